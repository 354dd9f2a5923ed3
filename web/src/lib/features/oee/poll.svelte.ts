// The one owner of asking again and again: a page names what it reads and how often.

import { live } from '$lib/api/live.svelte';

/**
 * In a component: does `work` at once and then every `every` ms, one at a time. It waits while nobody looks or the link is lost, and
 * works at once on return. A change of what `work` reads at its beginning does not start it: call what is returned.
 */
export function poll(every: () => number | null, work: (signal: AbortSignal) => Promise<void>): () => void {
  let stop = new AbortController();
  let busy = false;
  let at = 0;
  async function go(): Promise<void> {
    stop.abort();
    stop = new AbortController();
    const { signal } = stop;
    busy = true;
    at = Date.now();
    await work(signal);
    if (!signal.aborted) busy = false;
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
  return () => void go();
}
