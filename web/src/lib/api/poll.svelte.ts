// The one owner of asking again and again: a page names what it reads and how often.

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
