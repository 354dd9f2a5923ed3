import { expect, test } from 'vitest';

const source = Object.values(import.meta.glob('/src/routes/index.ts', { query: '?raw', import: 'default', eager: true }) as Record<string, string>)[0] ?? '';

test('no page has an address at which the server answers otherwise', () => {
  const pages = [...source.matchAll(/path: '([^']+)'/g)].map((m) => m[1]);
  expect(pages).toContain('/broker');
  const taken = ['/mqtt', '/write', '/ping', '/health', '/healthz', '/readyz', '/metrics'];
  expect(pages.filter((page) => taken.includes(page ?? '') || page?.startsWith('/api'))).toEqual([]);
});
