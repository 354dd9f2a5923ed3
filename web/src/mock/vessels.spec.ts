// What the mock tells of vessels is what the page reads; ideally mixed, what leaves is as what is in there.
import { expect, test } from 'vitest';
import { vesselDetail, vessels } from '$lib/api/parseVessels';
import { MockServer } from './server';

const START = Date.UTC(2026, 10, 27, 9, 0, 0);
const TANK = encodeURIComponent('works/nord/bottling/line1/filler');
const id = (n: number): string => `0192f0c0-7000-7000-8000-${String(n).padStart(12, '0')}`;
const key = (n: number): string => `0192f0c0-6000-7000-8000-${String(n).padStart(12, '0')}`;
type Told = { status: number; body: Record<string, unknown> };
function mock(): { get: (path: string) => Told; post: (path: string, body: object) => Told } {
  const server = new MockServer(() => START, START);
  server.user = server.users[0] ?? null;
  const ask = (method: string, path: string, body: object = {}): Told => {
    const url = new URL(`/api/mes/${path}`, 'http://node');
    const { status, body: answer } = server.handle(method, url.pathname, url.searchParams, body as Record<string, unknown>);
    return { status, body: (answer ?? {}) as Record<string, unknown> };
  };
  return { get: (path) => ask('GET', path), post: (path, body) => ask('POST', path, body) };
}

test('vessels, and what is in one as shares, now and at a date', () => {
  const { get } = mock();
  const all = vessels(get('vessels').body);
  expect(all.vessels.map((one) => [one.mixing, one.level])).toEqual([['ideal', 800], ['plug', 0]]);
  expect([all.more, vessels({ vessels: [], truncated: true }).more]).toEqual([false, true]);
  const now = vesselDetail(get(`vessels/${TANK}`).body);
  expect(now.contents.map((one) => [one.item.number, one.quantity, one.share])).toEqual([['S-301', 300, 0.375], ['S-302', 500, 0.625]]);
  expect(vesselDetail(get(`vessels/${TANK}?at_ms=${START - 3 * 3_600_000}`).body).contents.map((one) => one.quantity)).toEqual([300]);
  expect([get(`vessels/${TANK}?at_ms=${START + 1}`).status, get('vessels/nothing').status]).toEqual([400, 404]);
});

test('what is drawn leaves the shares as they are, once for its key; too much, too full and barred are refused', () => {
  const { post } = mock();
  const draw = (n: number, quantity: number): Told => post(`vessels/${TANK}/draw`, { key: key(n), quantity, into: { material: 'LEMONADE', number: 'L-1' } });
  for (let i = 0; i < 2; i += 1) expect(vesselDetail(draw(1, 80).body)).toMatchObject({ vessel: { level: 720 }, contents: [{ share: 0.375 }, { share: 0.625 }] });
  expect([draw(1, 81).status, draw(2, 2000).status]).toEqual([409, 409]);
  const fill = (n: number, item: string, quantity: number): number => post(`vessels/${TANK}/fill`, { key: key(n), item, quantity }).status;
  expect([fill(3, id(111), 500), fill(4, id(3), 1), fill(5, id(1), 1), fill(6, id(111), 100)]).toEqual([409, 409, 422, 200]);
});
