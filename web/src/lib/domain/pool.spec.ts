import { expect, test } from 'vitest';
import { Pool } from './pool';

test('never more than so many at once, all in their turn, and a failure holds up nobody', async () => {
  const pool = new Pool(2);
  const signal = new AbortController().signal;
  let now = 0;
  let most = 0;
  const done: number[] = [];
  const work = (i: number) => async (): Promise<void> => {
    now += 1;
    most = Math.max(most, now);
    await new Promise((ready) => setTimeout(ready, 5));
    now -= 1;
    done.push(i);
    if (i === 1) throw new Error('lost');
  };
  for (let i = 0; i < 5; i += 1) pool.add(work(i), signal);
  await expect.poll(() => done).toEqual([0, 1, 2, 3, 4]);
  expect(most).toBe(2);
});

test('what nobody waits for any more is not begun', async () => {
  const pool = new Pool(1);
  const stop = new AbortController();
  const begun: string[] = [];
  const begin = (name: string) => async (): Promise<void> => {
    begun.push(name);
    await new Promise((ready) => setTimeout(ready, 5));
  };
  pool.add(begin('first'), stop.signal);
  pool.add(begin('gone'), stop.signal);
  stop.abort();
  pool.add(begin('last'), new AbortController().signal);
  await expect.poll(() => begun).toEqual(['first', 'last']);
});
