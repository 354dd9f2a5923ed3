import { expect, test } from 'vitest';
import { figures, plans, work, workPage, type Work } from '$lib/api/parseMaintenance';
import { compareWork, isFailure } from './maintenance';

const RAW = {
  id: '1', number: 'M-1', kind: 'corrective', equipment: 'works/line1/press', title: 'Pressure low', note: '', priority: 5, due_ms: null, plan: null, turn: null, alarm: null, source: 'person', state: 'AllowedToStart', substate: 'Waiting',
  failed_ms: null, restored_ms: null, code: null, cause: '', remedy: '', estimated_ms: null, skills: [], instructions: [], planned_parts: [], parts: [], people: [], work_ms: 0, running_ms: 0, created_ms: 0, created_by: 'x', created_by_name: null, started_ms: null, ended_ms: null, version: 1, may: ['begin'],
};
const one = (number: string, more: object): Work => work({ ...RAW, number, ...more });

test('failures first by priority and age, then what is late, then what is due', () => {
  const rows = [one('due', { due_ms: 900 }), one('calm', {}), one('late', { due_ms: 10 }), one('young', { failed_ms: 90 }), one('old', { failed_ms: 40 }), one('grave', { failed_ms: 95, priority: 9 }), one('mended', { failed_ms: 1, restored_ms: 2 })];
  expect(rows.sort(compareWork(100)).map((r) => r.number)).toEqual(['grave', 'old', 'young', 'late', 'due', 'calm', 'mended']);
});

test('nothing failed is no failure, and one that runs again is none any more', () => {
  expect([one('a', {}), one('b', { failed_ms: 0 }), one('c', { failed_ms: 0, restored_ms: 5 })].map(isFailure)).toEqual([false, true, false]);
});

test('what nobody agreed on is refused with its place', () => {
  expect(() => work({ ...RAW, state: 'Broken' })).toThrow('order.state');
  expect(() => workPage({ orders: 7 })).toThrow('orders');
  expect(() => plans({ plans: [{ name: 'p', equipment: 'e', state: 'Late' }] })).toThrow('plan.state');
  expect(() => figures({ from_ms: 0, to_ms: 1, failures: 'many' })).toThrow('figures.failures');
});
