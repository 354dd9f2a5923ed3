import { afterEach, expect, test, vi } from 'vitest';
import { count, getInstruction, listOrders, trigger } from './orders';
import { job as readJob } from './parseOrders';

const raw = { id: 'j', number: '1/10', order: '1', quantity: 5, state: 'AllowedToStart', substate: 'Waiting', version: 2 };
const order = (id: string, state: string): object => ({ id, number: id, material: 'M', quantity: 1, state, version: 1 });

/** Answers each question, and keeps what was asked. */
function answers(answer: (address: URL, body: unknown) => unknown): { address: URL; body: unknown }[] {
  const asked: { address: URL; body: unknown }[] = [];
  vi.stubGlobal('fetch', (path: string, init: RequestInit) => {
    const wish = { address: new URL(path, 'http://node'), body: typeof init.body === 'string' ? JSON.parse(init.body) : undefined };
    asked.push(wish);
    return Promise.resolve(new Response(JSON.stringify(answer(wish.address, wish.body)), { status: 200 }));
  });
  return asked;
}
afterEach(() => vi.unstubAllGlobals());

test('all open orders are asked for, and the newest of those that are over; one that ends meanwhile is shown as ended', async () => {
  const asked = answers(({ searchParams: q }) => {
    if (q.get('state') === 'Completed,Closed,Cancelled') return { orders: [order('o1', 'Completed'), order('c', 'Closed')], next: 'more' };
    return q.get('after') === null ? { orders: [order('o1', 'Running')], next: 'o1' } : { orders: [order('o2', 'Released')], next: null };
  });
  const { orders, more } = await listOrders();
  expect(orders.map((one) => [one.id, one.state])).toEqual([['o1', 'Completed'], ['o2', 'Released'], ['c', 'Closed']]);
  expect(more).toEqual({ open: false, over: true });
  expect(asked.map(({ address: { searchParams: q } }) => `${q.get('state')} ${q.get('limit')} ${q.get('after')}`)).toEqual(['Forecast,Released,Running 500 null', 'Forecast,Released,Running 500 o1', 'Completed,Closed,Cancelled 100 null']);
});

test('the newest instruction is asked for without a revision: an empty one means the one that has none', async () => {
  const asked = answers(() => ({ name: 'rinse', sha256: 'x' }));
  await getInstruction('rinse', null);
  await getInstruction('rinse', '');
  expect(asked.map(({ address }) => address.search)).toEqual(['', '?revision=']);
});

test('the same key again, and where it begins', async () => {
  const asked = answers(() => raw);
  const job = readJob(raw);
  for (let i = 0; i < 2; i += 1) await trigger(job, 'begin', { equipment: 'a/filler' }, 'k1');
  await count(job, { scrap: 0.25, reason: 'Set-up/First parts' }, 'k2');
  expect(asked.map(({ body }) => body)).toEqual([{ version: 2, key: 'k1', equipment: 'a/filler' }, { version: 2, key: 'k1', equipment: 'a/filler' }, { key: 'k2', scrap: 0.25, reason: 'Set-up/First parts' }]);
});

test('who was faster is whoever made another version, and not who has counted since', async () => {
  const entry = (at_ms: number, kind: string, by_name: string | null): object => ({ at_ms, kind, by_name });
  vi.stubGlobal('fetch', (path: string) =>
    Promise.resolve(
      path.endsWith('/ledger')
        ? new Response(JSON.stringify({ entries: [entry(1, 'release', 'k.brandt'), entry(2, 'begin', 'Erika'), entry(3, 'count', 'Jonas'), entry(4, 'seen', 'Jonas')], next: null }))
        : new Response(JSON.stringify({ detail: 'changed meanwhile', current: { ...raw, version: 3, state: 'Running', substate: null } }), { status: 409 }),
    ),
  );
  expect(await trigger(readJob(raw), 'begin', { equipment: 'a/filler' }, 'k')).toMatchObject({ was: 'overtaken', job: { state: 'Running' }, last: { kind: 'begin', by: 'Erika' } });
  // Of the same version nothing was overtaken: it was refused.
  vi.stubGlobal('fetch', () => Promise.resolve(new Response(JSON.stringify({ detail: 'another job stands there', current: raw }), { status: 409 })));
  expect(await trigger(readJob(raw), 'begin', {}, 'k')).toMatchObject({ was: 'refused', problem: { detail: 'another job stands there' } });
});
