// The curves of the page: history joined with what arrives live, one `Pen` for each tag.

import { clock } from '$lib/api/clock.svelte';
import { readHistory } from '$lib/api/history';
import { asProblem, isAbort, type Problem } from '$lib/api/http';
import type { Live, Tag } from '$lib/api/types';
import { toDots, trim, type Dot } from '$lib/domain/series';
import { isStepped } from '$lib/domain/value';
import { liveDot } from '$lib/features/value/recent.svelte';

/** The most one page holds. */
export const MOST_PENS = 8;
/** Dots kept for each pen; the oldest go first. History comes thinned to two a pixel, so this is plenty. */
const MOST_DOTS = 20_000;
/** After so many live dots the history is read again, thinned anew. */
const RELOAD_AFTER = 6_000;

export class Pen {
  dots = $state.raw<readonly Dot[]>([]);
  gaps = $state.raw<readonly { from: number; to: number; reason: string }[]>([]);
  loading = $state(true);
  problem = $state.raw<Problem | null>(null);
  appended = 0;
  /** Up to here history was asked for. */
  loadedTo = 0;
  #stop: AbortController | null = null;

  constructor(
    readonly path: string,
    readonly tag: Tag,
    /** By so much earlier, in ms: the ghost of a pen, drawn where the present is. 0 for the pen itself. */
    readonly shift = 0,
  ) {}

  /** One name for a pen, another for its ghost. */
  get key(): string {
    return this.shift ? `${this.path} -${this.shift}` : this.path;
  }

  /** Numbers, not words. */
  get numeric(): boolean {
    return this.tag.dataType !== 'boolean' && Object.keys(this.tag.states).length === 0;
  }

  get stepped(): boolean {
    return isStepped(this.tag);
  }

  async load(from: number, to: number, points: number): Promise<void> {
    this.#stop?.abort();
    const stop = new AbortController();
    this.#stop = stop;
    this.loading = true;
    try {
      const history = await readHistory(this.path, from - this.shift, to - this.shift, points, stop.signal);
      if (stop.signal.aborted) return;
      const last = history.points.at(-1)?.at ?? 0;
      // What came live is kept where it is newer than the answer: the historian may lag, and the question took a while.
      this.dots = this.shift ? toDots(history).map((d) => ({ ...d, x: d.x + this.shift })) : [...toDots(history), ...this.dots.filter((d) => d.x > last)];
      this.gaps = history.gaps.map((gap) => ({ ...gap, from: gap.from + this.shift, to: gap.to + this.shift }));
      this.loadedTo = to;
      this.appended = 0;
      this.problem = null;
    } catch (error) {
      if (isAbort(error) || stop.signal.aborted) return;
      this.problem = asProblem(error);
    }
    if (this.#stop === stop) this.loading = false;
  }

  append(live: Live): void {
    const dot = liveDot(live);
    const last = this.dots.at(-1);
    if (!dot || (last && dot.x <= last.x)) return;
    this.dots = [...this.dots, dot];
    this.appended += 1;
  }

  /** What was deleted is gone here, too, also where it came live and history has not caught up. */
  cut(from: number, to: number): void {
    this.dots = this.dots.filter((d) => d.x < from || d.x >= to);
  }

  forget(before: number): void {
    this.dots = trim(this.dots as Dot[], before, MOST_DOTS);
  }

  get wantsReload(): boolean {
    return this.appended > RELOAD_AFTER;
  }

  /** The dots as they are drawn: a stepped value holds until now, or until it counts as stale. */
  drawn(now: number): readonly Dot[] {
    const last = this.dots.at(-1);
    if (!last || !this.stepped || last.y === null || last.x >= now) return this.dots;
    const held = this.tag.staleAfterMs === null ? now : Math.min(now, last.x + this.tag.staleAfterMs);
    return [...this.dots, { ...last, x: held }];
  }

  close(): void {
    this.#stop?.abort();
  }
}

export const nowExact = (): number => clock.exact();
