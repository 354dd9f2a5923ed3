// The small curves of the rows: asked for as rows come into sight, a few at a time, and kept while the window is the same.

import { SvelteMap } from 'svelte/reactivity';
import { readSeries, type Span, type Step } from '$lib/api/oee';
import type { Slot } from '$lib/api/parseOee';
import { Pool } from '$lib/domain/pool';
import { DAY, MINUTE } from '$lib/domain/time';

/** So many questions are on their way at once, however many rows there are. */
const AT_ONCE = 4;
/** A slot of an hour or a day changes slowly. */
const KEEP = MINUTE;

export class Trends {
  readonly slots = new SvelteMap<string, readonly Slot[]>();
  #pool = new Pool(AT_ONCE);
  #asked = new Map<string, number>();
  #stop = new AbortController();

  /** Another window: what was asked for is not waited for any more. */
  forget(): void {
    this.#stop.abort();
    this.#stop = new AbortController();
    this.#asked.clear();
    this.slots.clear();
  }

  /** A row is in sight. Asks where nothing is known, or it is no longer new. */
  want(path: string, span: Span, now: number): void {
    if (now - (this.#asked.get(path) ?? -Infinity) < KEEP) return;
    this.#asked.set(path, now);
    const { signal } = this.#stop;
    const step: Step = span.to - span.from > 2 * DAY ? 'day' : 'hour';
    this.#pool.add(async () => {
      try {
        const slots = await readSeries(path, span, step, signal);
        if (!signal.aborted) this.slots.set(path, slots);
      } catch {
        // A row without its curve is still a row; it is asked for again with the next turn.
      }
    }, signal);
  }
}
