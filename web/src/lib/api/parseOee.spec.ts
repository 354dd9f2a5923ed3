import { describe, expect, test } from 'vitest';
import { corrections, kpis, machines, pieces, stops, why } from './parseOee';

const machine = { path: 'w/l/filler', title: '', line: 'w/l', state: 'Execute', mode: 'Production', since_ms: 5, element: 'production', reason: null, planned: 'busy', calendar: null, shift: null, job: null };

describe('the border', () => {
  test('a machine without a title has its path’s last name', () => {
    expect(machines({ now_ms: 9, machines: [machine] }).machines[0]).toMatchObject({ title: 'filler', sinceMs: 5, shift: null });
  });
  test('the shift that it is in', () => {
    expect(machines({ now_ms: 9, machines: [{ ...machine, calendar: 'two', shift: { name: 'Early', from_ms: 1, to_ms: 8 } }] }).machines[0]).toMatchObject({ calendar: 'two', shift: { name: 'Early', fromMs: 1, toMs: 8 } });
    expect(machines({ now_ms: 9, machines: [{ ...machine, job: { id: 'a', number: '4711/10', order: '4711', title: 'Fill', state: 'Running' } }] }).machines[0]?.job).toEqual({ id: 'a', number: '4711/10', title: 'Fill' });
  });
  test('an element that is none of the agreed is refused with its place', () => {
    expect(() => machines({ now_ms: 9, machines: [{ ...machine, element: 'lunch' }] })).toThrow('machine.element');
    expect(() => pieces({ pieces: [{ from_ms: 0, to_ms: 1, element: 'lunch' }] })).toThrow('piece.element');
  });
  test('a KPI without value stays without: null is not zero', () => {
    const times = Object.fromEntries(['production', 'setup', 'delay', 'minor_stop', 'idle', 'unknown', 'planned_down', 'off_shift', 'pbt'].map((e) => [`${e}_ms`, 1]));
    const answer = kpis({ path: '', from_ms: 0, to_ms: 1, now_ms: 1, machines: 1, times, amounts: { produced: 0, good: 0, scrap: 0, rework: 0 }, good_ms: null, kpis: [{ id: 'oee_index', value: null, numerator: 0, denominator: 0, formula: 'x' }], losses: [], reasons: [] });
    expect(answer.kpis[0]).toMatchObject({ value: null, denominator: 0 });
    expect(answer).toMatchObject({ goodMs: null, times: { planned_busy: 1 } });
  });
  test('a stop is a delay or a minor stop, and what was left off is counted', () => {
    const one = { unit: 'u', from_ms: 0, to_ms: 1, open: false, state: 'Held', reason: null, cause: 'inside', minor: false };
    const answer = stops({ stops: [one, { ...one, open: true, minor: true, cause: null }], of: 7 });
    expect(answer.stops.map((s) => [s.element, s.open, s.cause])).toEqual([['delay', false, 'inside'], ['minor_stop', true, null]]);
    expect(answer.of).toBe(7);
  });
  test('a correction is a reason, a state, or back to what was recorded; other words stay as they came', () => {
    const list = corrections({ corrections: ['reason a/b', 'state Held', 'as recorded', 'moved'].map((says, number) => ({ number, from_ms: 0, to_ms: 1, says, note: number ? null : 'twice', by: 'id', by_name: number ? 'k' : null, at_ms: 2 })) });
    expect(list.map((c) => c.change)).toEqual([{ reason: 'a/b' }, { state: 'Held' }, { asRecorded: true }, null]);
    expect(list.map((c) => c.byName)).toEqual(['', 'k', 'k', 'k']);
    expect(list.map((c) => c.note)).toEqual(['twice', null, null, null]);
  });
  test('why: the KPI itself, the edition, and terms in seconds or items', () => {
    const row = { unit: 'u', from_ms: 0, to_ms: 1500, what: 'Execute: production', amount: 1.5 };
    const answer = why({ kpi: { id: 'availability', value: 0.5, numerator: 1.5, denominator: 3, formula: 'APT / PBT', better: 'up' }, edition: 'ISO 22400-2:2014', terms: [{ symbol: 'APT', value: 1.5, unit: 's', rows: [row], more: 3 }] });
    expect(answer).toMatchObject({ kpi: { id: 'availability', value: 0.5 }, edition: 'ISO 22400-2:2014', terms: [{ symbol: 'APT', unit: 's', more: 3, rows: [{ amount: 1.5, what: 'Execute: production' }] }] });
    expect(() => why({ kpi: answer.kpi, edition: '', terms: [{ symbol: 'APT', value: 1, unit: 'ms', rows: [], more: 0 }] })).toThrow('term.unit');
  });
});
