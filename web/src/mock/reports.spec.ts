// What the mock tells of kept reports is what the page reads.
import { expect, test } from 'vitest';
import { keptReport, numbered, orderUnits, reportRow, reportsPage, schedules } from '$lib/api/parseReports';
import { MockServer } from './server';

const START = Date.UTC(2026, 10, 27, 9, 0, 0);
const key = (n: number): string => `0192f0c0-5000-7000-8000-${String(n).padStart(12, '0')}`;
type Told = { status: number; body: Record<string, unknown> };
function mock(user = 'admin'): { get: (path: string) => Told; post: (path: string, body: object) => Told } {
  const server = new MockServer(() => START, START);
  server.user = server.users.find((one) => one.name === user) ?? null;
  const ask = (method: string, path: string, body: object = {}): Told => {
    const url = new URL(`/api/mes/${path}`, 'http://node');
    const { status, body: answer } = server.handle(method, url.pathname, url.searchParams, body as Record<string, unknown>);
    return { status, body: (answer ?? {}) as Record<string, unknown> };
  };
  return { get: (path) => ask('GET', path), post: (path, body) => ask('POST', path, body) };
}

test('kept reports come the newest first, by kind and place; schedules say what was and will be', () => {
  const { get } = mock();
  expect(reportsPage(get('reports').body).reports.map((one) => one.kind)).toEqual(['order', 'shift', 'shift']);
  expect(reportsPage(get('reports?kind=shift&path=works/nord/bottling/line1').body).reports).toHaveLength(2);
  expect(reportsPage(get('reports?order=4709').body).reports).toHaveLength(1);
  expect(schedules(get('report-schedules').body).map((one) => [one.name, one.last !== null, one.error !== null])).toEqual([['line1-shift', true, false], ['nord-day', false, true]]);
});

test('a report is made once for its key; made again it takes the place of the one before', () => {
  const { get, post } = mock();
  const make = (n: number): Told => post('reports', { key: key(n), kind: 'shift', path: 'works/nord/bottling/line1', from_ms: START - 3_600_000, to_ms: START });
  const first = reportRow(make(1).body);
  expect([make(1).status, reportRow(make(1).body).id]).toEqual([200, first.id]);
  const second = reportRow(make(2).body);
  expect([second.replaces, reportRow(get(`reports/${first.id}`).body).replacedBy]).toEqual([first.id, second.id]);
  expect(mock('viewer').post('reports', { key: key(3), kind: 'day', path: 'works' }).status).toBe(403);
});

test('its document: figures that were texts are numbers, words that look like numbers stay words, what is missing says why', () => {
  const { get } = mock();
  const [order, shift] = reportsPage(get('reports').body).reports;
  const one = keptReport(get(`reports/${shift?.id}`).body);
  expect(one.kpis && 'kpis' in one.kpis ? one.kpis.kpis.kpis.find((kpi) => kpi.id === 'oee_index')?.value : null).toBeTypeOf('number');
  expect(one.tables.get('maintenance')).toEqual({ missing: 'the records of maintenance could not be read at that time' });
  const of = keptReport(get(`reports/${order?.id}`).body);
  expect(of.tables.get('counts')).toMatchObject({ rows: [{ scrap: 12, reason: '12' }] });
  expect(of.tables.get('units')).toMatchObject({ rows: [{ number: '0004711' }] });
  expect(of.head && 'facts' in of.head ? of.head.facts['quantity'] : null).toBeTypeOf('number');
  expect(orderUnits(get('orders/4709/units').body).units.map((unit) => unit.certificateState)).toEqual([null, 'not_possible', 'issued', 'issued']);
});

test('texts of digits are numbers, and a document of another form is refused', () => {
  expect(numbered({ value: '0.8125', reason: '12', rows: [{ good: '-3', title: '7' }] })).toEqual({ value: 0.8125, reason: '12', rows: [{ good: -3, title: '7' }] });
  const { get } = mock();
  const raw = get(`reports/${reportsPage(get('reports').body).reports[0]?.id}`).body;
  expect(() => keptReport({ ...raw, report: { ...(raw['report'] as object), version: 2 } })).toThrow();
});
