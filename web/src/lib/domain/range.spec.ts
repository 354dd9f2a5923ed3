import { expect, test } from 'vitest';
import { bounds, parseRange, rangeQuery, shiftRange, zoomRange } from './range';

const now = Date.UTC(2026, 0, 1, 12);
const query = (text: string): URLSearchParams => new URLSearchParams(text);
const hour = 3_600_000;

test('the address decides, else the page', () => {
  expect(parseRange(query(''), '8h')).toEqual({ kind: 'live', span: 8 * hour });
  expect(parseRange(query('span=15m'), '8h')).toEqual({ kind: 'live', span: hour / 4 });
});
test('a copied link shows the same range', () => {
  const fixed = { kind: 'fixed' as const, from: now - hour, to: now };
  const { from, to } = rangeQuery(fixed);
  expect(parseRange(query(`from=${from}&to=${to}`), '1h')).toEqual(fixed);
  expect(parseRange(query(`span=${rangeQuery({ kind: 'live', span: 24 * hour }).span}`), '1h')).toEqual({ kind: 'live', span: 24 * hour });
});
test('nonsense in the address does no harm', () => {
  for (const text of ['span=x', 'span=999999d', 'from=a&to=b', 'from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z', 'span=0s']) {
    const { from, to } = bounds(parseRange(query(text), '1h'), now);
    expect(to - from).toBeGreaterThan(0);
    expect(to - from).toBeLessThanOrEqual(366 * 24 * hour);
  }
});
test('back stands still, forth past now is live again', () => {
  const back = shiftRange({ kind: 'live', span: hour }, -1, now);
  expect(back).toEqual({ kind: 'fixed', from: now - 2 * hour, to: now - hour });
  expect(shiftRange(back, 1, now)).toEqual({ kind: 'live', span: hour });
});
test('zooming keeps what is pointed at, or the right edge while live', () => {
  expect(zoomRange({ kind: 'live', span: hour }, 2, now)).toEqual({ kind: 'live', span: 2 * hour });
  expect(zoomRange({ kind: 'fixed', from: 0, to: 100_000 }, 0.5, now, 25_000)).toEqual({ kind: 'fixed', from: 12_500, to: 62_500 });
});
