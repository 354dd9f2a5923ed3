import { describe, expect, test } from 'vitest';
import type { History } from '$lib/api/types';
import { common, doubtful, emptyParts, extent, knownSince, markBrief, niceTicks, thin, tickDigits, toDots, trim, valueAt, weighed, withLive, type Dot, type Span } from './series';

const good = (x: number, y: number | null): Dot => ({ x, y, q: y === null ? 'bad' : 'good' });
const line = [good(0, 0), good(10, 10), good(20, 0)];

function history(parts: Partial<History>): History {
  return { tag: 't', from: 0, to: 100, points: [], before: null, thinned: false, completeTo: 100, gaps: [], ...parts };
}

describe('curves from history', () => {
  test('a gap breaks the line', () => {
    const dots = toDots(history({ points: [{ at: 10, value: 1, code: 0 }, { at: 50, value: 2, code: 0 }], gaps: [{ from: 20, to: 40, reason: 'x' }] }));
    expect(dots.map((d) => [d.x, d.y])).toEqual([[10, 1], [20, null], [50, 2]]);
    expect(doubtful(dots, 100)).toEqual([]);
  });
  test('readings that came late stand in the gap; only what is before and behind them is empty', () => {
    const gap = { from: 20, to: 40, reason: 'x' };
    const at = (...times: number[]): Dot[] => toDots(history({ points: times.map((t) => ({ at: t, value: t, code: 0 })), gaps: [gap] }));
    const dots = at(10, 20, 25, 30, 40, 50);
    expect(dots.map((d) => [d.x, d.y])).toEqual([[10, 10], [20, 20], [20, null], [25, 25], [30, 30], [31, null], [40, 40], [50, 50]]);
    expect(emptyParts(gap, dots)).toEqual([{ from: 20, to: 25 }, { from: 30, to: 40 }]);
    expect(emptyParts(gap, at(10, 30, 50))).toEqual([{ from: 20, to: 30 }, { from: 30, to: 40 }]);
    expect(emptyParts(gap, at(10, 50))).toEqual([{ from: 20, to: 40 }]);
    expect(emptyParts(gap, [])).toEqual([{ from: 20, to: 40 }]);
  });
  test('a bad point is not drawn and hatches until the next good one', () => {
    const dots = toDots(history({ points: [{ at: 10, value: 1, code: 0 }, { at: 20, value: 7, code: 0x80310000 }, { at: 60, value: 2, code: 0 }] }));
    expect(dots[1]).toEqual({ x: 20, y: null, q: 'bad' });
    expect(doubtful(dots, 100)).toEqual([{ from: 20, to: 60, q: 'bad' }]);
  });
  test('an uncertain point is drawn and hatched', () => {
    const dots = toDots(history({ points: [{ at: 10, value: 1, code: 0x40940000 }] }));
    expect(dots[0]).toEqual({ x: 10, y: 1, q: 'uncertain' });
    expect(doubtful(dots, 100)).toEqual([{ from: 10, to: 100, q: 'uncertain' }]);
  });
  test('the value before the range leads in', () => {
    expect(toDots(history({ before: { at: -5, value: 3, code: 0 }, points: [{ at: 10, value: 4, code: 0 }] })).map((d) => d.x)).toEqual([-5, 10]);
  });
});

describe('reading a curve', () => {
  test('sloped goes straight, stepped holds', () => {
    expect(valueAt(line, 5, false)).toBe(5);
    expect(valueAt(line, 5, true)).toBe(0);
    expect(valueAt(line, 10, true)).toBe(10);
  });
  test('before a bad reading the last value holds, on a slope as on a step', () => {
    const lost = [good(0, 1), good(10, 3), good(30, null), good(40, 5)];
    for (const stepped of [true, false]) {
      expect(valueAt(lost, 29, stepped)).toBe(3);
      expect(valueAt(lost, 30, stepped)).toBeNull();
      expect(valueAt(lost, 39, stepped)).toBeNull();
    }
  });
  test('outside and inside a gap there is no value', () => {
    expect(valueAt(line, -1, true)).toBeNull();
    expect(valueAt(line, 25, false)).toBeNull();
    expect(valueAt([good(0, 1), good(5, null), good(10, 1)], 7, false)).toBeNull();
  });
});


test('trimming keeps one point to lead in and bounds the length', () => {
  expect(trim([good(0, 1), good(5, 1), good(9, 1)], 6, 100).map((d) => d.x)).toEqual([5, 9]);
  expect(trim(Array.from({ length: 10 }, (_, i) => good(i, 1)), -1, 4)).toHaveLength(4);
});

test('axis ticks are round', () => {
  expect(niceTicks(2.86, 3.21, 4)).toEqual([2.9, 3, 3.1, 3.2]);
  expect(niceTicks(5, 5, 4)).toEqual([]);
});

describe('a young curve', () => {
  test('begins where something is known, not where the window does', () => {
    expect(knownSince([good(70, 1), good(80, 2)], 0)).toBe(70);
    expect(knownSince([good(-5, 1), good(80, 2)], 0)).toBe(0);
    expect(knownSince([], 0)).toBeNull();
  });
  test('yesterday, then nothing until a moment ago: the gap is not drawn as if it were data', () => {
    const gap: Dot = { x: -50, y: null, q: 'good' };
    expect(knownSince([good(-100, 1), gap, good(70, 2), good(80, 2)], 0)).toBe(70);
    expect(knownSince([good(-100, 1), { ...gap, x: 10 }, good(70, 2)], 0)).toBe(0);
  });
  test('a bad value is known to be bad', () => expect(knownSince([good(20, null), good(80, 2)], 0)).toBe(20));
  test('its reach counts what leads in, and not what was before', () => {
    expect(extent([good(-20, 9), good(-10, 5), good(10, 1), good(20, 3)], 0)).toEqual({ lo: 1, hi: 5 });
    expect(extent([good(5, null)], 0)).toBeNull();
  });
});

describe('thinning keeps what matters', () => {
  const many = Array.from({ length: 1000 }, (_, i) => good(i, Math.sin(i / 50)));
  test('peaks, both ends and the order stay', () => {
    many[333] = good(333, 42);
    many[777] = good(777, -42);
    const few = thin(many, 100);
    expect(few.length).toBeLessThanOrEqual(104);
    expect(few.map((d) => d.y)).toEqual(expect.arrayContaining([42, -42]));
    expect(few.at(-1)).toEqual(many.at(-1));
    expect(few.map((d) => d.x)).toEqual(few.map((d) => d.x).toSorted((a, b) => a - b));
  });
  test('a gap stays a gap and a doubtful stretch stays doubtful', () => {
    const dots: Dot[] = many.map((d, i) => (i === 500 ? { x: 500, y: null, q: 'good' } : i > 600 && i < 620 ? { ...d, q: 'uncertain' } : d));
    const few = thin(dots, 20);
    expect(few.filter((d) => d.y === null).map((d) => d.x)).toEqual([500]);
    expect(doubtful(few, 1000)).toEqual([{ from: expect.closeTo(601, -1), to: 620, q: 'uncertain' }]);
  });
  test('few dots are left alone', () => expect(thin(line, 10)).toBe(line));
});

test('ticks are told apart and never rounded away', () => {
  expect(tickDigits([3.075, 3.1, 3.125])).toBe(3);
  expect(tickDigits([0.2, 0.4])).toBe(1);
  expect(tickDigits([20, 40])).toBe(0);
  expect(tickDigits([2.5, 5])).toBe(1);
});

describe('bad readings among thinned ones', () => {
  const at = (...bad: number[]): Dot[] => Array.from({ length: 10 }, (_, i) => good(i * 10, bad.includes(i) ? null : i));
  test('a lone one between close neighbours is brief; several, or one that nothing follows for long, are not', () => {
    expect(markBrief(at(3), 100, 10).map((d) => d.brief ?? false)).toEqual(Array.from({ length: 10 }, (_, i) => i === 3));
    expect(markBrief(at(3, 4), 100, 10).some((d) => d.brief)).toBe(false);
    expect(markBrief([good(0, 1), good(10, null), good(90, 1)], 100, 10).some((d) => d.brief)).toBe(false);
    expect(markBrief(at(0, 9), 100, 10).some((d) => d.brief)).toBe(false);
  });
  test('what is brief is hatched without width', () => expect(doubtful(markBrief(at(3), 100, 10), 100)).toEqual([{ from: 30, to: 30, q: 'bad' }]));
});

test('brief spans take the width that is told of them, and stay marks where nothing is', () => {
  const at = (from: number, to = from): Span => ({ from, to, q: 'bad' });
  const spans = [at(3), at(7), at(12), at(10, 19), at(25), at(31)];
  expect(weighed(spans, [{ from: 0, to: 2 }, { from: 20, to: 21 }], 10)).toEqual([at(12), at(10, 19), at(31), at(0, 2), at(20, 21)]);
  expect(weighed(spans, [], 1)).toEqual(spans);
});

test('live readings stand behind the answer, once, and nothing of an earlier answer does', () => {
  const dot = (x: number, y: number | null = 1): Dot => ({ x, y, q: 'good' });
  const xs = (dots: Dot[]): number[] => dots.map((d) => d.x);
  // The range has no reading: what led in and the break stand there once, whatever was there before.
  expect(xs(withLive([dot(10), dot(50, null)], [dot(10), dot(50, null)]))).toEqual([10, 50]);
  expect(xs(withLive([dot(10), dot(20)], [dot(20), dot(30), dot(40)]))).toEqual([10, 20, 30, 40]);
  // A gap that the historian knows of, and readings that came after it.
  expect(xs(withLive([dot(10), dot(15, null)], [dot(30)]))).toEqual([10, 15, 30]);
  expect(xs(withLive([dot(10), dot(50, null)], [dot(30)]))).toEqual([10, 30, 50]);
  expect(xs(withLive([], [dot(5)]))).toEqual([5]);
});

test('what is empty in all curves of a lane', () => {
  const parts = (...all: [number, number][]) => all.map(([from, to]) => ({ from, to }));
  expect(common([parts([0, 10], [20, 30])])).toEqual(parts([0, 10], [20, 30]));
  expect(common([parts([0, 10], [20, 30]), parts([5, 25])])).toEqual(parts([5, 10], [20, 25]));
  expect(common([parts([0, 10]), []])).toEqual([]);
  expect(common([])).toEqual([]);
});
