// What the mock tells of tools is what the page reads.
import { expect, test } from 'vitest';
import { toolDetail, toolsPage } from '$lib/api/parseTools';
import { MockTools } from './tools';

const NOW = 1_790_000_000_000;
const LABELLER = 'works/nord/bottling/line1/labeller';
const key = (n: number): string => `0192f0c0-4000-7000-8000-${String(n).padStart(12, '0')}`;
function mock(may: (action: string, path: string) => boolean = () => true): (method: string, path: string, body?: Record<string, unknown>) => { status: number; body?: unknown } {
  const server = new MockTools(NOW, () => NOW, () => ({ id: 'u1', name: 'admin' }), may);
  return (method, path, body = {}) => {
    const url = new URL(`/api/mes/${path}`, 'http://node');
    return server.handle(method, url.pathname, url.searchParams, body) ?? { status: 0 };
  };
}

test('tools by name, those below a branch, and how much of their life is used', () => {
  const ask = mock();
  expect(toolsPage(ask('GET', 'tools').body).tools.map((one) => [one.name, one.state])).toEqual([['CH-04', 'end'], ['G-1', 'no_life'], ['M-17', 'warn'], ['M-18', 'ok'], ['N-2', 'ok']]);
  expect(toolsPage(ask('GET', `tools?machine=${LABELLER}`).body).tools.map((one) => one.name)).toEqual(['M-17']);
  expect(toolDetail(ask('GET', 'tools/M-17').body)).toMatchObject({ share: 0.9024005, cavities: 4, machine: LABELLER, renewals: 1, told: [{ level: 'warn' }] });
});

test('it is taken off the machine that is named, and stays where it is otherwise', () => {
  const ask = mock();
  const off = (n: number, body: Record<string, unknown>): number => ask('POST', 'tools/M-17/unmount', { key: key(n), ...body }).status;
  expect([off(1, {}), off(2, { machine: 'works/nord/bottling/line2/labeller' }), off(3, { machine: LABELLER }), off(3, { machine: LABELLER })]).toEqual([422, 409, 200, 200]);
});

test('one machine at a time, only where it belongs, once for its key', () => {
  const ask = mock();
  const mount = (n: number, machine: string): ReturnType<typeof ask> => ask('POST', 'tools/M-17/mount', { key: key(n), machine });
  expect([mount(1, 'works/nord/bottling/line2/labeller').status, ask('POST', 'tools/M-17/unmount', { key: key(2), machine: LABELLER }).status, mount(3, 'works/nord/bottling/line1/filler').status]).toEqual([409, 200, 422]);
  for (let i = 0; i < 2; i += 1) expect(toolDetail(mount(4, LABELLER).body).spans).toHaveLength(2);
  expect(mount(4, 'works').status).toBe(409);
});

test('a renewal begins a new life with its reason; it needs an engineer', () => {
  const ask = mock();
  expect(ask('POST', 'tools/CH-04/renew', { key: key(1), reason: '' }).status).toBe(400);
  expect(toolDetail(ask('POST', 'tools/CH-04/renew', { key: key(2), reason: 'Ground' }).body)).toMatchObject({ state: 'ok', share: 0, renewals: 1, renewalsDone: [{ reason: 'Ground', byName: 'admin' }] });
  expect(mock((action) => action !== 'configure')('POST', 'tools/CH-04/renew', { key: key(3), reason: 'x' }).status).toBe(403);
});
