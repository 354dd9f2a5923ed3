// The events of the pens' equipment in the page's range; new ones come over the live connection.

import { asProblem, ask, isAbort, type Problem } from '$lib/api/http';
import { timeline as parseTimeline } from '$lib/api/parse';
import type { PlantEvent } from '$lib/api/types';
import { newestFirst } from '$lib/domain/events';
import { isUnder } from '$lib/domain/tree';

/** For each piece of equipment; of more, the newest are shown and the page says so. */
const MOST = 500;

export class StripEvents {
  events = $state.raw<readonly PlantEvent[]>([]);
  /** There were more than the page holds. */
  cut = $state(false);
  problem = $state.raw<Problem | null>(null);
  #branches: readonly string[] = [];
  #stop: AbortController | null = null;

  async load(branches: readonly string[], from: number, to: number | null): Promise<void> {
    this.#stop?.abort();
    const stop = new AbortController();
    this.#stop = stop;
    this.#branches = branches;
    try {
      const answers = await Promise.all(
        branches.map((path) =>
          ask('/api/timeline', { query: { from_ms: Math.floor(from), to_ms: to === null ? null : Math.ceil(to), path, limit: MOST }, read: parseTimeline, signal: stop.signal }),
        ),
      );
      if (stop.signal.aborted) return;
      this.events = newestFirst(...answers.map((a) => a.events));
      this.cut = answers.some((a) => a.next !== null);
      this.problem = null;
    } catch (error) {
      if (isAbort(error) || stop.signal.aborted) return;
      this.problem = asProblem(error);
    }
  }

  add(event: PlantEvent): void {
    if (this.#branches.some((branch) => isUnder(event.path, branch))) this.events = newestFirst([event], this.events).slice(0, MOST * 8);
  }

  close(): void {
    this.#stop?.abort();
  }
}
