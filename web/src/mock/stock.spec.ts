// What the mock tells of stock is what the page reads, and it refuses what the server refuses.
import { expect, test } from 'vitest';
import { container, movesPage, places, stockPage } from '$lib/api/parseStock';
import { lot, unit } from '$lib/api/parseTrace';
import { MockServer } from './server';

const START = Date.UTC(2026, 10, 27, 9, 0, 0);
const id = (n: number): string => `0192f0c0-7000-7000-8000-${String(n).padStart(12, '0')}`;
const key = (n: number): string => `0192f0c0-3000-7000-8000-${String(n).padStart(12, '0')}`;
const [LOT, BARRED, BOX, PACKED, LOOSE, CRATE] = [id(2), id(3), id(90), id(20), id(26), id(91)];
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
const said = ({ status, body }: Told): string => `${status} ${String(body['detail'])}`;

test('places, and what lies in one of them by material and item', () => {
  const { get } = mock();
  expect(places(get('stock').body).places.map((one) => one.place)).toEqual(['line/pumps', 'store/a12', 'store/b03', 'store/out', 'store/quarantine', 'store/steel', 'store/tanks']);
  const there = stockPage(get('stock?place=store/quarantine').body);
  expect(there.materials.map((one) => [one.material, one.quantity > 0, one.released])).toEqual([['EV-20', true, 0]]);
  expect(stockPage(get('stock?place=nowhere').body).items).toEqual([]);
  expect(said(mock('line1').get('stock'))).toMatch(/^404/);
});

test('part of a lot is carried once for its key, and not more than lies there', () => {
  const { get, post } = mock();
  const before = lot(get(`lots/${LOT}`).body).stock;
  const move = (n: number, more: object = {}): Told => post(`lots/${LOT}/move`, { key: key(n), quantity: 10, from: 'store/a12', to: 'line/1', ...more });
  for (let i = 0; i < 2; i += 1) expect(lot(move(1).body).stock).toEqual([{ place: 'store/a12', quantity: (before[0]?.quantity ?? 0) - 10 }, { place: 'line/1', quantity: 10 }]);
  expect(move(1, { quantity: 11 }).status).toBe(409);
  expect(said(move(2, { quantity: 1000 }))).toMatch(/^409 in store\/a12 there is \d+ of EV-20 V-2211; 1000 cannot/);
  expect(movesPage(get(`moves?item=${LOT}`).body).moves).toMatchObject([{ from: 'store/a12', to: 'line/1', quantity: 10, byName: 'admin' }]);
  expect(mock('viewer').post(`lots/${LOT}/move`, { key: key(3), quantity: 1, to: 'x' }).status).toBe(403);
});

test('a container goes with what lies in it; what is packed is not carried; what is taken out stays there', () => {
  const { get, post } = mock();
  const inside = (): string[] => container(get(`containers/${BOX}`).body).contents.map((one) => one.item.id);
  expect(inside()).toContain(PACKED);
  expect(said(post(`lots/${PACKED}/move`, { key: key(1), from: 'store/out', to: 'x' }))).toMatch(/^409 .*is packed in/);
  expect(post(`lots/${BOX}/move`, { key: key(2), quantity: 1, from: 'store/out', to: 'gate' }).status).toBe(422);
  post(`lots/${BOX}/move`, { key: key(3), from: 'store/out', to: 'gate' });
  expect(lot(get(`lots/${PACKED}`).body).place).toBe('gate');
  post(`containers/${BOX}/unpack`, { key: key(4), item: PACKED });
  expect(inside()).not.toContain(PACKED);
  expect(lot(get(`lots/${PACKED}`).body).place).toBe('gate');
  expect(said(post(`containers/${BOX}/pack`, { key: key(5), item: LOOSE }))).toMatch(/^409 .*lies in line\/pumps/);
});

test('a new container is made once; in another place it is refused', () => {
  const { post } = mock();
  const make = (n: number, place: string): Told => post('containers', { key: key(n), material: 'BOX-20', number: 'B-7', place });
  const made = container(make(1, 'gate').body);
  expect(container(make(2, 'gate').body).id).toBe(made.id);
  expect(make(3, 'elsewhere').status).toBe(409);
  expect(container(post(`containers/${CRATE}/pack`, { key: key(4), item: LOT, quantity: 5 }).body).contents.map((one) => one.quantity)).toEqual([5]);
});

test('a part is exchanged for one that is released; what comes out is in quarantine', () => {
  const { get, post } = mock();
  const parts = (): ReturnType<typeof unit>['asMaintained'] => unit(get(`units/${LOOSE}`).body).asMaintained;
  const compressor = parts().find((one) => one.position === 'compressor_serial');
  const valves = parts().find((one) => one.position === 'valve_lot');
  const wish = (part: typeof compressor, more: object): object => ({ key: key(9), part: part?.item.id, position: part?.position, put_in_ms: part?.at, reason: 'Loud', ...more });
  expect(said(post(`units/${LOOSE}/exchange`, wish(valves, { with: BARRED })))).toMatch(/^409 .*may not be used: its state is Quarantine/);
  expect(post(`units/${LOOSE}/exchange`, wish(compressor, { reason: '' })).status).toBe(400);
  expect(unit(post(`units/${LOOSE}/exchange`, wish(compressor, {})).body).asMaintained.some((one) => one.position === 'compressor_serial')).toBe(false);
  expect(lot(get(`lots/${compressor?.item.id}`).body).state).toBe('Quarantine');
});
