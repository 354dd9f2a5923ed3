import { expect, test } from 'vitest';
import type { Alarm } from '$lib/api/types';
import { alarmKey, compareAlarms, matches, worst } from './alarms';
import { hold } from './held';

function alarm(parts: Partial<Alarm>): Alarm {
  return {
    name: 'a', occurrence: '1', state: 'unacknowledged', priority: 2, condition: 'high', message: 'Level high', cause: '', consequence: '', action: '',
    tag: 'works/line1/tank/level', equipment: 'works/line1/tank', value: 1, quality: 0, limit: null, raisedMs: 0, changedMs: 0, acknowledgedBy: null, ...parts,
  };
}

test('unacknowledged first, then priority, then the newest', () => {
  const list = [
    alarm({ name: 'acked-critical', state: 'acknowledged', priority: 1 }),
    alarm({ name: 'low', priority: 4, raisedMs: 9 }),
    alarm({ name: 'high-old', priority: 2, raisedMs: 1 }),
    alarm({ name: 'high-new', priority: 2, raisedMs: 5 }),
    alarm({ name: 'returned', state: 'returned_to_normal_unacknowledged', priority: 3 }),
  ];
  expect(list.toSorted(compareAlarms).map((a) => a.name)).toEqual(['high-new', 'high-old', 'returned', 'low', 'acked-critical']);
});
test('the worst alarm of a branch does not come from its neighbour', () => {
  const list = [alarm({ name: 'mine', priority: 3 }), alarm({ name: 'neighbour', priority: 1, tag: 'works/line10/x/y' })];
  expect(worst(list, 'works/line1')?.name).toBe('mine');
  expect(worst(list, 'works/line2')).toBeNull();
});
test('filters hold together', () => {
  const none = { priorities: new Set<1 | 2 | 3 | 4>(), state: '' as const, branch: '', text: '' };
  expect(matches(alarm({}), none)).toBe(true);
  expect(matches(alarm({}), { ...none, text: 'LEVEL tank' })).toBe(true);
  expect(matches(alarm({}), { ...none, text: 'level pump' })).toBe(false);
  expect(matches(alarm({}), { ...none, priorities: new Set([1] as const) })).toBe(false);
  expect(matches(alarm({ state: 'acknowledged' }), { ...none, state: 'unacknowledged' })).toBe(false);
  expect(matches(alarm({}), { ...none, branch: 'works/line' })).toBe(false);
});
test('rows under the finger stay; new ones are counted; shown ones change in place', () => {
  const a = alarm({ name: 'a' });
  const b = alarm({ name: 'b' });
  const c = alarm({ name: 'c', priority: 1 });
  const acked = { ...a, state: 'acknowledged' as const };
  const held = hold([a, b], [c, b, acked], alarmKey, true);
  expect(held.rows.map((r) => [r.name, r.state])).toEqual([['a', 'acknowledged'], ['b', 'unacknowledged']]);
  expect(held.waiting).toBe(1);
  expect(hold([a, b], [c, b, acked], alarmKey, false)).toEqual({ rows: [c, b, acked], waiting: 0 });
});
test('a shown row that no longer passes the filter still tells its newest state', () => {
  const a = alarm({});
  const acked = { ...a, state: 'acknowledged' as const };
  expect(hold([a], [], alarmKey, true, [acked]).rows[0]?.state).toBe('acknowledged');
});
test('a row that went away stays where it was while the list is held', () => {
  expect(hold([alarm({})], [], alarmKey, true).rows).toHaveLength(1);
});
