import { describe, expect, test } from 'vitest';
import type { Alarm, Priority } from '$lib/api/types';
import type { Element, Machine } from '$lib/api/parseOee';
import { abnormal, layout, onScreen, sinceText } from './andon';

const machine = (path: string, element: Element = 'production', sinceMs: number | null = 0, planned: Machine['planned'] = 'busy'): Machine => ({ path, title: path, line: '', state: null, mode: null, sinceMs, element, reason: null, planned, calendar: null, shift: null, job: null });
const alarm = (equipment: string, priority: Priority, state: Alarm['state'] = 'acknowledged'): Alarm => ({ name: 'x', occurrence: 'x', state, priority, condition: '', message: '', cause: '', consequence: '', action: '', tag: `${equipment}/t`, equipment, value: null, quality: 0, limit: null, raisedMs: 0, changedMs: 0, acknowledgedBy: null });
const paths = (list: readonly Machine[]): string[] => list.map((m) => m.path);

describe('abnormal', () => {
  test('stands though it should work; a break and a minor stop are none', () => {
    expect([machine('a', 'delay'), machine('a', 'unknown'), machine('a', 'delay', 0, 'break'), machine('a', 'minor_stop'), machine('a', 'idle')].map((m) => abnormal(m, []))).toEqual([true, true, false, false, false]);
  });
  test('an alarm of priority 1 or 2 that is active, below it and not beside it', () => {
    expect([alarm('a', 2), alarm('a', 3), alarm('ab', 1), alarm('a/drive', 1), alarm('a', 1, 'returned_to_normal_unacknowledged')].map((a) => abnormal(machine('a'), [a]))).toEqual([true, false, false, true, false]);
  });
});

describe('turns', () => {
  const all = ['a', 'b', 'c', 'd', 'e'].map((path) => machine(path));
  test('what fits does not turn', () => expect(onScreen(all, new Set(['c']), 5, 7)).toEqual({ shown: all, turns: 1 }));
  test('what is abnormal stays, the longest first, and everyone else has a turn', () => {
    const some = [machine('a'), machine('b', 'delay', 50), machine('c'), machine('d', 'delay', 10), machine('e')];
    const bad = new Set(['b', 'd']);
    const seen = [0, 1, 2].map((turn) => paths(onScreen(some, bad, 3, turn).shown));
    expect(seen).toEqual([['d', 'b', 'a'], ['d', 'b', 'c'], ['d', 'b', 'e']]);
  });
  test('more abnormal than fits: they take turns, none is left out', () => {
    const bad = new Set(paths(all));
    const seen = new Set([0, 1, 2].flatMap((turn) => paths(onScreen(all, bad, 2, turn).shown)));
    expect([...seen].sort()).toEqual(paths(all));
  });
  test('every turn fills the room', () => expect([0, 1, 2].map((turn) => onScreen(all, new Set(), 2, turn).shown.length)).toEqual([2, 2, 2]));
});

test('tiles are near 3 : 2 on a wall, and stand on each other on a tall screen', () => {
  expect([1, 6, 12].map((n) => layout(n, 1920, 1000))).toEqual([{ columns: 1, rows: 1 }, { columns: 3, rows: 2 }, { columns: 4, rows: 3 }]);
  expect(layout(4, 800, 2100).columns).toBe(1);
});

test('how long, short enough for the wall', () => expect([0, 65_000, 3_599_000, 3_600_000 * 3 + 60_000, 3_600_000 * 80].map(sinceText)).toEqual(['0:00', '1:05', '59:59', '3:01\u202fh', '3\u202fd']));
