import { afterEach, expect, test, vi } from 'vitest';
import { openWork } from './maintenance';

afterEach(() => vi.unstubAllGlobals());

const order = (n: number): object => ({ id: `o${n}`, number: `M-${n}`, kind: 'corrective', equipment: 'works', title: 'x', state: 'AllowedToStart', created_ms: 1, version: 1, may: [] });

/** As many pages as `pages`, one order in each. */
function answers(pages: number): URLSearchParams[] {
  const asked: URLSearchParams[] = [];
  vi.stubGlobal('fetch', (path: string) => {
    const query = new URL(path, 'http://node').searchParams;
    asked.push(query);
    const at = Number(query.get('after') ?? 0);
    return Promise.resolve(new Response(JSON.stringify({ orders: [order(at)], next: at + 1 < pages ? String(at + 1) : null }), { status: 200 }));
  });
  return asked;
}

test('a failure behind the newest 500 open orders is read as well', async () => {
  const asked = answers(3);
  const { orders, next } = await openWork('works');
  expect([orders.map((one) => one.number), next]).toEqual([['M-0', 'M-1', 'M-2'], null]);
  expect(asked.map((query) => [query.get('open'), query.get('branch'), query.get('after')])).toEqual([['true', 'works', null], ['true', 'works', '1'], ['true', 'works', '2']]);
});

test('beyond four pages there are more, and that is known', async () => {
  answers(9);
  const { orders, next } = await openWork('');
  expect([orders.length, next]).toEqual([4, '4']);
});
