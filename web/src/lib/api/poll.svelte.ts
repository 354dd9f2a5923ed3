// The one owner of asking again and again: a page names what it reads and how often.

import { clock } from './clock.svelte';
import { asProblem, isAbort, type Problem } from './http';
import { live } from './live.svelte';

/**
 * In a component: does `work` every `every` ms, one at a time. It waits while nobody looks or the link is lost, and works at once on
 * return. What is returned works at once, and is done with the newest answer; a change of what `work` reads does not start it. An answer
 * that something newer was asked after has its signal aborted: it must not be shown.
 */
export function poll(every: () => number | null, work: (signal: AbortSignal) => Promise<void>): () => Promise<void> {
  let stop = new AbortController();
  let newest: Promise<void> = Promise.resolve();
  let busy = false;
  let at = 0;
  async function run(mine: AbortController): Promise<void> {
    busy = true;
    at = Date.now();
    await work(mine.signal);
    if (mine === stop) busy = false;
    else await newest;
  }
  function go(): Promise<void> {
    stop.abort();
    stop = new AbortController();
    newest = run(stop);
    return newest;
  }
  $effect(() => {
    const timer = setInterval(() => {
      const span = every();
      if (span === null || busy || document.visibilityState !== 'visible' || live.lostSince !== null || Date.now() - at < span - 100) return;
      void go();
    }, 500);
    const seen = (): void => {
      if (document.visibilityState === 'visible' && every() !== null) void go();
    };
    document.addEventListener('visibilitychange', seen);
    const off = live.onReturn(() => void go());
    return () => {
      clearInterval(timer);
      document.removeEventListener('visibilitychange', seen);
      off();
      stop.abort();
    };
  });
  return go;
}

/** What a page shows of the server, asked again and again. */
export class Renewal {
  /** When the newest answer came; null: there is none yet. */
  readAt = $state<number | null>(null);
  /** Why there is no newer one; null: the last question was answered. */
  problem = $state.raw<Problem | null>(null);
  /** What is shown is not known to be so any more. */
  readonly stale = $derived(this.problem !== null || live.lostSince !== null);
  /** Asks at once, and is done with the newest answer. */
  load: () => Promise<void> = () => Promise.resolve();
}

/** In a component: asks now and then as `poll` does, and first when it is loaded. An answer that nothing newer was asked after is taken. */
export function renew<T>(every: () => number, ask: (signal: AbortSignal) => Promise<T>, take: (answer: T, signal: AbortSignal) => unknown): Renewal {
  const renewal = new Renewal();
  renewal.load = poll(every, async (signal) => {
    try {
      const answer = await ask(signal);
      if (signal.aborted) return;
      renewal.readAt = clock.exact();
      renewal.problem = null;
      await take(answer, signal);
    } catch (error) {
      if (!isAbort(error) && !signal.aborted) renewal.problem = asProblem(error);
    }
  });
  return renewal;
}
