// The mock has to answer as the server does: the words are those of crates/api/src/routes/trace.rs and crates/server/src/trace.
import { expect, test } from 'vitest';
import { findings, itemsPage, lot, recall, trace, unit } from '$lib/api/parseTrace';
import { MockServer } from './server';

const START = Date.UTC(2026, 10, 27, 9, 0, 0);
const id = (n: number): string => `0192f0c0-7000-7000-8000-${String(n).padStart(12, '0')}`;
const [STEEL, GOOD, BARRED, THIRD] = [id(1), id(2), id(3), id(22)];
type Told = { status: number; body: Record<string, unknown>; text: string };

function mock(user = 'admin'): { server: MockServer; get: (path: string) => Told; post: (path: string, body: object) => Told } {
  const server = new MockServer(() => START, START);
  server.user = server.users.find((one) => one.name === user) ?? null;
  const ask = (method: string, path: string, body: object = {}): Told => {
    const url = new URL(`/api/mes/${path}`, 'http://node');
    const { status, body: answer, text } = server.handle(method, url.pathname, url.searchParams, body as Record<string, unknown>);
    return { status, body: (answer ?? {}) as Record<string, unknown>, text: text?.content ?? '' };
  };
  return { server, get: (path) => ask('GET', path), post: (path, body) => ask('POST', path, body) };
}
const key = (n: number): string => `0192f0c0-2000-7000-8000-${String(n).padStart(12, '0')}`;
const said = ({ status, body }: Told): string => `${status} ${String(body['detail'])}`;

test('units and lots are listed the newest first, page by page, by number or by how it begins', () => {
  const { get } = mock();
  const first = itemsPage(get('units?limit=2').body);
  expect(first.items.map((one) => one.number)).toEqual(['CP25-0004712', 'CP25-0004711']);
  expect(itemsPage(get(`units?limit=2&before=${first.next}`).body).items[0]?.number).toBe('CP25-0004710');
  expect(itemsPage(get('lots?text=V-22').body).items.map((one) => one.number)).toEqual(['V-2212', 'V-2211']);
  expect(itemsPage(get('lots?number=V-22').body).items).toEqual([]);
  expect(said(get('lots?state=Lost'))).toBe('400 "Lost" is not known as "state"');
  expect(get('units?q=1').text).toContain('unknown field `q`');
});

test('a unit knows its passes, and its parts as built and as maintained', () => {
  const { get } = mock();
  const one = unit(get(`units/${THIRD}`).body);
  expect(one.passes.map((pass) => pass.passed)).toEqual([true, true]);
  const valves = (parts: typeof one.asBuilt): string[] => parts.filter((part) => part.position === 'valve_lot').map((part) => part.item.number);
  expect([valves(one.asBuilt), valves(one.asMaintained)]).toEqual([['V-2211'], ['V-2212']]);
  expect(one.certificates.map((certificate) => certificate.supersededBy)).toEqual([`${one.certificates[0]?.number}-2`, null]);
  expect(said(get(`units/${GOOD}`))).toBe('404 this serial unit is not known here');
});

test('forward, at a date or ever; the recall list has all that ever had it inside', () => {
  const { get } = mock();
  const forward = (query = ''): string[] => trace(get(`lots/${BARRED}/trace/forward${query}`).body).items.map((one) => one.number);
  expect(forward()).toContain('CP25-0004703');
  expect(forward(`?at_ms=${START - 3_600_000}`)).not.toContain('CP25-0004703');
  expect(said(get(`lots/${BARRED}/trace/forward?at_ms=-1`))).toMatch(/^400 "at_ms" must be/);
  const called = recall(get(`lots/${BARRED}/recall`).body);
  expect(called.units.map((one) => one.number)).toEqual(['CP25-0004706', 'CP25-0004707', 'CP25-0004708', 'CP25-0004709', 'CP25-0004703']);
  expect(called.units.at(-1)?.packedIn).toEqual(['container PALLET PAL-118']);
  const table = get(`lots/${BARRED}/recall.csv`).text.split('\r\n');
  expect(table[0]).toBe('kind,material,revision,number,state,remaining,places,packed_in,steps,id');
  expect(table.length).toBe(2 + called.units.length + called.lots.length);
  expect(trace(get(`lots/${STEEL}/trace/forward`).body).items.some((one) => one.depth === 2)).toBe(true);
});

test('a decision is made once for its key, with a reason, by whoever operates there', () => {
  const { get, post } = mock();
  const decide = (n: number, more: object = {}): Told => post(`lots/${GOOD}/state`, { key: key(n), state: 'Hold', reason: 'Swarf', ...more });
  expect(lot(decide(1).body)).toMatchObject({ state: 'Hold', decisions: [{ state: 'Released' }, { state: 'Hold', reason: 'Swarf', by: 'u1' }] });
  expect(lot(decide(1).body).decisions.length).toBe(2);
  expect(decide(1, { reason: 'Other' }).status).toBe(409);
  expect(said(decide(2, { reason: '' }))).toBe('400 "reason" must be 1 to 500 bytes, without white space around');
  expect(lot(get(`lots/${GOOD}`).body).state).toBe('Hold');
  expect(mock('viewer').post(`lots/${GOOD}/state`, { key: key(3), state: 'Hold', reason: 'x' }).status).toBe(403);
});

test('whoever sees no station of units, and a node without one, is told there is no traceability', () => {
  expect(said(mock('line1').get('units'))).toBe('404 traceability is not known here');
  const { server, get } = mock();
  server.trace.none = true;
  expect(said(get('findings'))).toBe('404 traceability is not known here');
});

test('findings come the newest first, and a certificate under its number', () => {
  const { get } = mock();
  expect(findings(get('findings').body).map((one) => one.number)).toEqual([2, 1]);
  expect(JSON.parse(get('certificates/HP16-2026-004703-2').text)).toMatchObject({ certificate: { unit: { serial: 'CP25-0004703' } } });
  expect(said(get('certificates/0'))).toBe('404 this certificate is not known here');
});
