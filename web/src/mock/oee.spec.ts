import { describe, expect, test } from 'vitest';
import { corrections, kpis, level, machines, pieces, reasons, series, stops, why, type Kpis, type Piece, type Stop } from '$lib/api/parseOee';
import { waterfall } from '$lib/domain/oee';
import { MockOee } from './oee';
import { MockServer } from './server';

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

test('each node one level below tells what its own figures say; what is not counted has none', () => {
  const { get } = mock();
  const below = get('kpis/children', { path: 'works/nord', ...span }, level);
  expect(below.children.map((node) => node.path)).toEqual(['works/nord/bottling', 'works/nord/utilities']);
  expect(below.children[1]).toMatchObject({ machines: 0, oee: null, good: null, loss: null });
  for (const node of [below.node, below.children[0]]) {
    const own = get('kpis', { path: node?.path ?? '', ...span }, kpis);
    expect([node?.oee, node?.good, node?.scrap]).toEqual([own.kpis.find((k) => k.id === 'oee_index')?.value, own.amounts.good, own.amounts.scrap]);
    const losses = own.losses.filter((loss) => loss.id !== 'off_shift' && loss.id !== 'planned_down').map((loss) => loss.ms);
    expect(node?.loss?.ms).toBe(Math.max(...losses));
  }
});

describe('the mock’s shift', () => {
  test.each([`${LINE}/filler`, LINE, 'works'])('times, losses and KPIs of %s agree', (path) => {
    const { get } = mock();
    const k: Kpis = get('kpis', { path, ...span }, kpis);
    const units = get('machines', { branch: path }, machines).machines.length;
    const falls = waterfall(k);
    expect(falls[0]?.ms).toBe(8 * HOUR * units);
    expect(k.machines).toBe(units);
    // Calendar time without all losses is good time, to the millisecond.
    expect(8 * HOUR * units - k.losses.reduce((sum, loss) => sum + loss.ms, 0)).toBeCloseTo(k.goodMs ?? NaN, 3);
    const oee = k.kpis.find((one) => one.id === 'oee_index');
    expect(k.goodMs).toBeCloseTo((oee?.numerator ?? NaN) * 1000, 3);
    expect(k.times.planned_busy).toBeCloseTo((oee?.denominator ?? NaN) * 1000, 3);
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
    for (const kpi of ['availability', 'oee_index', 'quality_ratio', 'nee_index']) {
      const answer = get('why', { path: LINE, kpi, ...span }, why);
      expect(answer.kpi).toEqual(k.kpis.find((one) => one.id === kpi));
      for (const term of answer.terms) expect(term.rows.reduce((sum, row) => sum + row.amount, 0)).toBeCloseTo(term.value ?? NaN, 3);
    }
    expect(get('why', { path: LINE, kpi: 'availability', ...span }, why).terms.map((term) => [term.symbol, (term.value ?? 0) * 1000])).toEqual([['APT', k.times.production], ['PBT', k.times.planned_busy]]);
  });
  test('unexplained stops come first, each from its true beginning, with how many there are', () => {
    const { get } = mock();
    const all = get('stops', { path: LINE, from_ms: NOW - 60_000, to_ms: NOW, limit: 1 }, stops);
    expect(all.stops).toMatchObject([{ reason: null, open: true, unit: `${LINE}/labeller`, fromMs: START - 11 * 60_000, toMs: NOW }]);
    expect([all.stops.length, all.of]).toEqual([1, 2]);
    const list = get('stops', { path: LINE, ...span }, stops).stops;
    expect(list.map((s) => s.reason !== null)).toEqual(list.map((s) => s.reason !== null).toSorted((a, b) => Number(a) - Number(b)));
  });
  test('a reason holds until now, and the rest of the stop has none; said twice it changes nothing', () => {
    const { get, post } = mock();
    const unit = `${LINE}/labeller`;
    const mine = (): Stop[] => get('stops', { path: unit, ...span }, stops).stops.filter((s) => s.toMs > START - 11 * 60_000).toSorted((a, b) => a.fromMs - b.fromMs);
    const [first] = mine() as [Stop];
    const body = { path: unit, from_ms: first.fromMs, to_ms: NOW - 1000, reason: 'Mechanical/Label web torn', key: 'k1' };
    expect([post(body), post(body), post({ ...body, to_ms: NOW - 500 })]).toEqual([201, 201, 409]);
    expect(mine()).toMatchObject([{ fromMs: first.fromMs, toMs: NOW - 1000, reason: 'Mechanical/Label web torn', open: false, element: 'delay' }, { fromMs: NOW - 1000, reason: null, open: true, element: 'minor_stop' }]);
    expect(get('corrections', { path: unit, ...span }, corrections)).toMatchObject([{ number: 41, change: { reason: 'Mechanical/Label web torn' }, byName: 'admin' }]);
    expect(() => get('corrections', { path: LINE, ...span }, corrections)).toThrow('no machine is followed');
  });
  test('what cannot be meant is refused: the future, a field that there is not, nothing said', () => {
    const { post } = mock();
    const body = { path: `${LINE}/labeller`, from_ms: START, to_ms: NOW, state: 'Held', key: 'k' };
    expect([post({ ...body, to_ms: NOW + 1 }), post({ ...body, open: true }), post({ ...body, state: undefined }), post({ ...body, reason: 'Mechanical/Jam' }), post(body)]).toEqual([422, 422, 400, 400, 201]);
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
    expect(slots.map((s) => s.name)).toEqual(['Early', 'Late', 'Early']);
    // The first is cut where the window begins, the last where it ends.
    expect([slots[0]?.fromMs, slots[2]?.toMs]).toEqual([NOW - 24 * HOUR, NOW]);
  });
});

describe('the two mocks', () => {
  test('a machine without a job waits for one, and runs when it begins; as on a node, machines tell the job that stands on them', () => {
    const server = new MockServer(() => NOW, START);
    server.user = server.users[0] ?? null;
    const { body } = server.handle('GET', '/api/mes/machines', new URLSearchParams(), {});
    const all = machines(body).machines;
    expect(all.map((m) => [m.path.split('/').slice(-2).join('/'), m.job?.number ?? null])).toEqual([
      ['line1/capper', null], ['line1/filler', '4711/10'], ['line1/labeller', '4709/20'], ['line1/packer', '4706/30'], ['line2/filler', null], ['line2/labeller', null], ['line2/packer', '4710/30'],
    ]);
    expect(all.filter((m) => m.path.includes('line2')).map((m) => m.state)).toEqual(['Idle', 'Idle', 'Stopped']);
    const job = server.orders.jobs.find((one) => one.number === '4713/10');
    server.orders.other('erika', '4713/10', 'begin');
    expect(job?.state).toBe('Running');
    const filler = machines(server.handle('GET', '/api/mes/machines', new URLSearchParams(), {}).body).machines.find((m) => m.path === 'works/nord/bottling/line2/filler');
    expect(filler).toMatchObject({ element: 'production', job: { number: '4713/10' } });
  });
  test('there is one list of reasons', () => {
    const server = new MockServer(() => NOW, START);
    server.user = server.users[0] ?? null;
    const names = reasons(server.handle('GET', '/api/mes/reasons', new URLSearchParams(), {}).body).map((r) => r.name);
    expect(names).toEqual(names.toSorted());
    expect(names).toContain('Set-up/First parts');
    expect(server.handle('GET', '/api/mes/orders', new URLSearchParams(), {}).status).toBe(200);
  });
});
