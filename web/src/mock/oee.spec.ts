import { describe, expect, test } from 'vitest';
import { kpis, machines, pieces, series, stops, why, type Kpis, type Piece, type Stop } from '$lib/api/parseOee';
import { waterfall } from '$lib/domain/oee';
import { MockOee } from './oee';

const HOUR = 3_600_000;
const START = Date.UTC(2026, 10, 27, 13, 20);
const NOW = START + 90_000;
const LINE = 'works/nord/bottling/line1';

function mock(): { get: <T>(path: string, query: Record<string, string | number>, read: (raw: unknown) => T) => T; post: (body: Record<string, unknown>) => number } {
  const server = new MockOee(START, () => NOW);
  return {
    get: (path, query, read) => {
      const answer = server.handle('GET', `/api/mes/${path}`, new URLSearchParams(Object.entries(query).map(([k, v]): [string, string] => [k, String(v)])), {}, () => true, 'admin');
      if (answer?.status !== 200) throw new Error(JSON.stringify(answer));
      return read(answer.body);
    },
    post: (body) => server.handle('POST', '/api/mes/corrections', new URLSearchParams(), body, () => true, 'admin')?.status ?? 0,
  };
}
const span = { from_ms: NOW - 8 * HOUR, to_ms: NOW };

describe('the mock’s shift', () => {
  test.each([`${LINE}/filler`, LINE, 'works'])('times, losses and KPIs of %s agree', (path) => {
    const { get } = mock();
    const k: Kpis = get('kpis', { path, ...span }, kpis);
    const units = get('machines', { branch: path }, machines).machines.length;
    const falls = waterfall(k);
    expect(falls[0]?.ms).toBe(8 * HOUR * units);
    const oee = k.kpis.find((one) => one.id === 'oee');
    expect(falls.at(-1)?.ms).toBeCloseTo(oee?.numerator ?? NaN, -1);
    expect(oee?.denominator).toBe(k.times.planned_busy);
    expect(k.amounts.produced).toBe(k.amounts.good + k.amounts.scrap + k.amounts.rework);
  });
  test('pieces cover the span without hole or overlap, and add up to the times', () => {
    const { get } = mock();
    const list: Piece[] = get('states', { path: `${LINE}/filler`, ...span }, pieces);
    expect(list[0]?.fromMs).toBe(span.from_ms);
    expect(list.at(-1)?.toMs).toBe(span.to_ms);
    expect(list.every((p, i) => i === 0 || p.fromMs === list[i - 1]?.toMs)).toBe(true);
    const k = get('kpis', { path: `${LINE}/filler`, ...span }, kpis);
    expect(list.filter((p) => p.element === 'production').reduce((sum, p) => sum + p.toMs - p.fromMs, 0)).toBe(k.times.production);
  });
  test('the terms of a KPI add up from their rows', () => {
    const { get } = mock();
    const k = get('kpis', { path: LINE, ...span }, kpis);
    for (const term of get('why', { path: LINE, kpi: 'availability', ...span }, why).terms) {
      expect(term.rows.reduce((sum, row) => sum + (row.ms ?? 0), 0)).toBe(term.value);
      expect([k.times.production, k.times.planned_busy]).toContain(term.value);
    }
  });
  test('unexplained stops come first; a reason moves the time from nobody to it, and said twice it changes nothing', () => {
    const { get, post } = mock();
    const all = (): Stop[] => get('stops', { path: LINE, ...span }, stops);
    const [first] = all() as [Stop];
    expect(first).toMatchObject({ reason: null, open: true, unit: `${LINE}/labeller` });
    const body = { path: first.unit, from_ms: first.fromMs, to_ms: first.toMs, reason: 'Mechanical/Label web torn', open: true, key: 'k1' };
    expect([post(body), post(body)]).toEqual([201, 201]);
    expect(all().find((s) => s.unit === first.unit && s.open)).toMatchObject({ reason: 'Mechanical/Label web torn', corrected: 41, recorded: { reason: null } });
    expect(all().length).toBe(mock().get('stops', { path: LINE, ...span }, stops).length);
  });
  test('a correction to Execute turns a stop into production, and back', () => {
    const { get, post } = mock();
    const production = (): number => get('kpis', { path: `${LINE}/labeller`, ...span }, kpis).times.production;
    const before = production();
    const about = { path: `${LINE}/labeller`, from_ms: START - 600_000, to_ms: START };
    post({ ...about, state: 'Execute', key: 'a' });
    expect(production()).toBe(before + 600_000);
    post({ ...about, as_recorded: true, key: 'b' });
    expect(production()).toBe(before);
  });
  test('a shift without plan has no slot', () => {
    const { get } = mock();
    // Early and late of yesterday and the early one of today; the night between has none.
    const slots = get('kpis/series', { path: LINE, from_ms: NOW - 24 * HOUR, to_ms: NOW, step: 'shift' }, series);
    expect(slots.map((s) => (s.fromMs - (slots[0]?.fromMs ?? 0)) / HOUR)).toEqual([0, 8, 24]);
  });
});
