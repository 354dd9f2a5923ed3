import { expect, test } from 'vitest';
import type { NodeFigures } from '$lib/api/parseOee';
import type { Alarm } from '$lib/api/types';
import { compareAttention, heldOrder, type Asking } from './attention';

const row = (path: string, more: Partial<NodeFigures> = {}, alarm: Partial<Alarm> | null = null): Asking => ({
  node: { path, title: path, level: 'work_center', children: 0, machines: 1, oee: 0.7, target: null, availability: 1, effectiveness: 1, qualityRatio: 1, good: 1, scrap: 0, loss: null, orders: { running: 0, late: 0 }, ...more },
  alarm: alarm as Alarm | null,
});
const order = (...rows: Asking[]): string => rows.sort(compareAttention).map((one) => one.node.path).join(' ');

test('the worst alarm comes first, and of one priority the one that nobody has seen', () => {
  expect(order(row('calm', { oee: 0.1 }), row('low', {}, { priority: 3, state: 'unacknowledged' }), row('seen', {}, { priority: 1, state: 'acknowledged' }), row('new', {}, { priority: 1, state: 'unacknowledged' }))).toBe('new seen low calm');
});

test('then late orders, then what misses its target most, then the lowest OEE; what is not counted comes last', () => {
  expect(
    order(row('none', { oee: null }), row('fine', { oee: 0.9, target: 0.8 }), row('poor', { oee: 0.3 }), row('near', { oee: 0.75, target: 0.8 }), row('far', { oee: 0.5, target: 0.8 }), row('late', { orders: { running: 1, late: 1 } })),
  ).toBe('late far near poor fine none');
});

test('two late orders are not twice as urgent: the target decides between them', () => {
  expect(order(row('two', { orders: { running: 0, late: 2 } }), row('one', { oee: 0.5, target: 0.8, orders: { running: 0, late: 1 } }))).toBe('one two');
});

test('a row under the finger stays where it is', () => {
  expect(heldOrder(['a', 'b', 'c'], ['c', 'new', 'a'])).toEqual(['a', 'c', 'new']);
});
