import { expect, test } from 'vitest';
import type { Tool } from '$lib/api/parseTools';
import { compareTools, fits } from './tools';

const tool = (name: string, state: Tool['state'], share: number | null): Tool => ({ name, state, share }) as Tool;

test('what is at its end comes first, what has no life last', () => {
  const all = [tool('N', 'no_life', null), tool('B', 'ok', 0.2), tool('A', 'ok', 0.2), tool('W', 'warn', 0.95), tool('E', 'end', 1.2), tool('F', 'end', 1.4)];
  expect(all.toSorted(compareTools).map((one) => one.name)).toEqual(['F', 'E', 'W', 'A', 'B', 'N']);
});

test('a tool without machines fits anywhere', () => {
  expect([fits({ machines: [] }, 'works/a'), fits({ machines: ['works/a'] }, 'works/a'), fits({ machines: ['works/a'] }, 'works/b')]).toEqual([true, true, false]);
});
