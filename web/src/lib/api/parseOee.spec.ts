import { describe, expect, test } from 'vitest';
import { corrections, kpis, machines, pieces, stops, why } from './parseOee';

const machine = { path: 'w/l/filler', title: '', line: 'w/l', state: 'Execute', mode: 'Production', since_ms: 5, element: 'production', reason: null, job: null, planned: 'busy', calendar: null };

describe('the border', () => {
  test('a machine without a title has its path’s last name, and what has no order has no job', () => {
    expect(machines({ now_ms: 9, machines: [machine] }).machines[0]).toMatchObject({ title: 'filler', job: null, sinceMs: 5 });
  });
  test('an element that is none of the agreed is refused with its place', () => {
    expect(() => machines({ now_ms: 9, machines: [{ ...machine, element: 'lunch' }] })).toThrow('machine.element');
    expect(() => pieces({ pieces: [{ from_ms: 0, to_ms: 1, element: 'lunch' }] })).toThrow('piece.element');
  });
  test('a KPI without value stays without: null is not zero', () => {
    const times = Object.fromEntries(['production', 'setup', 'delay', 'minor_stop', 'idle', 'unknown', 'planned_down', 'off_shift', 'pbt'].map((e) => [`${e}_ms`, 1]));
    const answer = kpis({ path: '', from_ms: 0, to_ms: 1, now_ms: 1, times, amounts: {}, kpis: [{ id: 'oee', value: null, numerator: 0, denominator: 0, formula: 'x' }], losses: [], reasons: [] });
    expect(answer.kpis[0]).toMatchObject({ value: null, denominator: 0 });
    expect(answer.times.planned_busy).toBe(1);
  });
  test('what a stop was before a correction', () => {
    const [one] = stops({ stops: [{ unit: 'u', from_ms: 0, to_ms: 1, element: 'delay', corrected: 3, recorded: { element: 'unknown', state: null, reason: null } }] });
    expect(one).toMatchObject({ open: false, corrected: 3, recorded: { element: 'unknown' } });
  });
  test('a correction is a reason, a state, or back to what was recorded', () => {
    const list = corrections({ corrections: [{ reason: 'a/b' }, { state: 'Held' }, { as_recorded: true }, null].map((change, number) => ({ number, from_ms: 0, to_ms: 1, change, by_name: 'k', at_ms: 2 })) });
    expect(list.map((c) => c.change)).toEqual([{ reason: 'a/b' }, { state: 'Held' }, { asRecorded: true }, null]);
  });
  test('a version may be a number or a text', () => {
    expect([3, 'ISO 22400-2:2014'].map((formula_version) => why({ kpi: 'oee', formula: '', formula_version, terms: [] }).formulaVersion)).toEqual(['3', 'ISO 22400-2:2014']);
  });
});
