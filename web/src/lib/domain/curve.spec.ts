import { describe, expect, test } from 'vitest';
import { seenExtent, trace, type View } from './curve';
import type { Dot } from './series';

const dot = (x: number, y: number | null, more: Partial<Dot> = {}): Dot => ({ x, y, q: y === null ? 'bad' : 'good', ...more });
/** One pixel for each ms and unit; the value 0 at the bottom, y = 100. */
const VIEW: View = { from: 0, to: 100, left: 0, perMs: 1, lo: 0, bottom: 100, perUnit: 1 };

/** `M0,99 L10,98 …`, and `o` for a lone reading. */
function path(dots: Dot[], stepped = false, until: number | null = null, view = VIEW): string {
  const steps: string[] = [];
  const pencil = {
    moveTo: (x: number, y: number) => steps.push(`M${x},${100 - y}`),
    lineTo: (x: number, y: number) => steps.push(`L${x},${100 - y}`),
    arc: (x: number, y: number) => steps.splice(-1, 1, `o${x},${100 - y}`),
  };
  trace(pencil as never, dots, view, stepped, until, 2);
  return steps.join(' ');
}

describe('the line of a curve', () => {
  test('a slope goes straight, a step holds', () => {
    expect(path([dot(0, 1), dot(10, 3)])).toBe('M0,1 L10,3');
    expect(path([dot(0, 1), dot(10, 3)], true)).toBe('M0,1 L10,1 L10,3');
  });
  test('before a bad reading and before a gap the value holds until then, and the line breaks', () => {
    const lost = [dot(0, 1), dot(10, 3), dot(30, null), dot(40, 5), dot(50, 6)];
    expect(path(lost)).toBe('M0,1 L10,3 L30,3 M40,5 L50,6');
    expect(path(lost, true)).toBe('M0,1 L10,1 L10,3 L30,3 M40,5 L50,5 L50,6');
    expect(path([dot(0, 1), dot(20, null, { q: 'good' }), dot(40, 5), dot(50, 6)])).toBe('M0,1 L20,1 M40,5 L50,6');
  });
  test('what is bad for less than can be shown breaks nothing', () => expect(path([dot(0, 1), dot(5, null, { brief: true }), dot(10, 3)])).toBe('M0,1 L10,3'));
  test('the last value of a step holds until it is no longer known, that of a slope ends', () => {
    expect(path([dot(0, 1), dot(10, 3)], true, 60)).toBe('M0,1 L10,1 L10,3 L60,3');
    expect(path([dot(0, 1), dot(10, 3)], true, 160)).toBe('M0,1 L10,1 L10,3 L100,3');
  });
  test('a reading that no line shows is a dot', () => {
    expect(path([dot(0, null), dot(20, 4), dot(20.5, null)])).toBe('M20,4 o20,4');
    expect(path([dot(50, 4)])).toBe('M50,4 o50,4');
  });
  test('one dot beyond each edge is drawn, and no more', () => {
    const many = Array.from({ length: 41 }, (_, i) => dot(i * 10 - 200, i));
    const seen = path(many);
    expect(seen.startsWith('M0,20')).toBe(true);
    expect(seen.endsWith('L110,31')).toBe(true);
    expect(path(many, false, null, { ...VIEW, from: 5, to: 15 })).toBe('M-5,20 L5,21 L15,22');
  });
});

test('the extent of what is seen counts the line at both edges', () => {
  const dots = [dot(-100, 0), dot(100, 20), dot(200, 0)];
  expect(seenExtent(dots, 0, 150, false)).toEqual({ lo: 10, hi: 20 });
  expect(seenExtent(dots, 0, 50, true)).toEqual({ lo: 0, hi: 0 });
  expect(seenExtent([dot(10, null)], 0, 50, true)).toBeNull();
});
