import { expect, test } from 'vitest';
import { figures, plans, work, workLedger, workPage } from '$lib/api/parseMaintenance';
import { MockMaintenance } from './maintenance';

const NOW = 1_790_000_000_000;
const BASE = '/api/mes/maintenance';
const none = new URLSearchParams();
function mock(may: (action: string, path: string) => boolean = () => true): (method: string, path: string, body?: Record<string, unknown>) => { status: number; body?: unknown } {
  const server = new MockMaintenance(NOW, () => NOW, () => ({ id: 'p1', name: 'admin' }), may, (_name, occurrence) => (occurrence === 'o1' ? { equipment: 'works/nord/bottling/line1/labeller', message: 'Labeller aborted', raised: NOW - 1000 } : null));
  return (method, path, body = {}) => server.handle(method, `${BASE}/${path}`, none, body) ?? { status: 0 };
}

test('what it tells is what the page reads', () => {
  const ask = mock();
  expect(workPage(ask('GET', 'orders').body).orders).toHaveLength(4);
  expect(plans(ask('GET', 'plans').body).map((p) => p.state)).toEqual(['Overdue', 'Due', 'Soon', 'Ok']);
  expect(workLedger(ask('GET', 'orders/M-1/ledger').body).entries[0]?.kind).toBe('made');
  const server = new MockMaintenance(NOW, () => NOW, () => ({ id: '', name: '' }), () => true, () => null);
  const told = server.handle('GET', `${BASE}/figures`, new URLSearchParams({ path: 'works', from_ms: String(NOW - 86_400_000), to_ms: String(NOW) }), {});
  expect(figures(told?.body).figures.map((f) => f.id)).toEqual(['mtbf', 'mttf', 'mttr', 'corrective_maintenance_ratio']);
});

test('the same key does it once, with another wish it is refused, and an old version too', () => {
  const ask = mock();
  const first = ask('POST', 'orders/M-3/begin', { version: 1, key: 'k' });
  expect(first.status).toBe(200);
  expect(work(ask('POST', 'orders/M-3/begin', { version: 1, key: 'k' }).body).version).toBe(2);
  expect(ask('POST', 'orders/M-3/finish', { version: 2, key: 'k' }).status).toBe(409);
  expect(ask('POST', 'orders/M-3/finish', { version: 1, key: 'l' }).status).toBe(409);
});

test('an alarm has one order however often it is asked for, and one that does not stand has none', () => {
  const ask = mock();
  const wish = (occurrence: string, key: string) => ask('POST', 'orders', { key, alarm: { name: 'a', occurrence } });
  expect([wish('o1', 'k1').status, wish('o1', 'k2').status, wish('gone', 'k3').status]).toEqual([201, 200, 404]);
});

test('a restored failure carries the time of the finish; who may not is told which role it needs', () => {
  const ask = mock();
  ask('POST', 'orders/M-1/begin', { version: 1, key: 'a' });
  const done = work(ask('POST', 'orders/M-1/finish', { version: 2, key: 'b', code: 'Mechanical/Jam' }).body);
  expect([done.state, done.restored, done.code]).toEqual(['Ended', NOW, 'Mechanical/Jam']);
  expect(JSON.stringify(mock((action) => action === 'view')('POST', 'orders/M-3/begin', { version: 1, key: 'c' }).body)).toContain('needs the role Operator');
});
