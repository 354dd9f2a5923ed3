// The curves of the page: history joined with what arrives live, one `Pen` for each tag.

import { clock } from '$lib/api/clock.svelte';
import { readBadTime, readHistory } from '$lib/api/history';
import { asProblem, isAbort, type Problem } from '$lib/api/http';
import type { Live, Tag } from '$lib/api/types';
import { doubtful, markBrief, toDots, trim, valueAt, weighed, withLive, type Dot, type Span, type Stretch } from '$lib/domain/series';
import { isStepped } from '$lib/domain/value';
import { liveDot } from '$lib/features/value/recent.svelte';

/** The most one page holds. */
export const MOST_PENS = 8;
/** Dots kept for each pen; the oldest go first. History comes thinned to two a pixel, so this is plenty. */
const MOST_DOTS = 20_000;
/** Of thinned history, bad time is shown by stretches so wide: a fiftieth of one is a pixel still, and not the whole of it. */
const BAD_PX = 8;
const NONE = { interval: 1, parts: [] };
/** After so many live dots the history is read again, thinned anew. */
const RELOAD_AFTER = 6_000;

export class Pen {
  dots = $state.raw<readonly Dot[]>([]);
  gaps = $state.raw<readonly { from: number; to: number; reason: string }[]>([]);
  /** Where thinned history was bad for moments, as long as it really was: each begins its stretch of `interval` ms. */
  moments = $state.raw<{ interval: number; parts: readonly Stretch[] }>(NONE);
  /** Doubtful readings of the curve; the last one goes on without end. */
  readonly #doubts = $derived(weighed(doubtful(this.dots, Infinity), this.moments.parts, this.moments.interval));
  loading = $state(true);
  problem = $state.raw<Problem | null>(null);
  appended = 0;
  /** From here up to there history was asked for. */
  loadedFrom = 0;
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
      const dots = history.thinned ? markBrief(toDots(history), to - from, history.points.length) : toDots(history);
      const live = this.appended > 0 ? this.dots.slice(-this.appended) : [];
      this.dots = this.shift ? dots.map((d) => ({ ...d, x: d.x + this.shift })) : withLive(dots, live);
      this.moments = NONE;
      this.gaps = history.gaps.map((gap) => ({ ...gap, from: gap.from + this.shift, to: gap.to + this.shift }));
      this.loadedFrom = from;
      this.loadedTo = to;
      this.appended = this.shift ? 0 : this.dots.length - dots.length;
      this.problem = null;
      if (!this.shift && dots.some((d) => d.brief)) void this.#weigh(from, last, Math.ceil(((to - from) / points) * 2 * BAD_PX), stop.signal);
    } catch (error) {
      if (isAbort(error) || stop.signal.aborted) return;
      this.problem = asProblem(error);
    }
    if (this.#stop === stop) this.loading = false;
  }

  /** Without an answer, each bad moment stays what is known of it: a pixel. */
  async #weigh(from: number, to: number, interval: number, signal: AbortSignal): Promise<void> {
    try {
      const found = await readBadTime(this.path, from, to, interval, this.stepped, signal);
      if (signal.aborted) return;
      // The server counts as bad what was not recorded, too; that is drawn as what it is.
      const empty = [...this.gaps, { from: -Infinity, to: this.unrecorded()?.to ?? -Infinity }];
      const parts = found.filter(({ at, value }) => value > 0 && !empty.some((gap) => gap.from < at + interval && gap.to > at));
      this.moments = { interval, parts: parts.map(({ at, value }) => ({ from: at, to: at + value })) };
    } catch {
      if (!signal.aborted) this.moments = NONE;
    }
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
    this.moments = { ...this.moments, parts: this.moments.parts.filter((m) => m.from < from || m.from >= to) };
  }

  forget(before: number): void {
    const kept = trim(this.dots as Dot[], before, MOST_DOTS);
    if (kept.length === this.dots.length) return;
    this.dots = kept;
    // What was let go is not what was never there.
    this.loadedFrom = Math.max(this.loadedFrom, kept[0]?.x ?? 0);
  }

  get wantsReload(): boolean {
    return this.appended > RELOAD_AFTER;
  }

  /** Up to when the last value holds, seen at `now`: for a step until it counts as stale. Null: it ends with its reading. */
  heldTo(now: number): number | null {
    const last = this.dots.at(-1);
    if (!last || !this.stepped || last.y === null || last.x >= now) return null;
    return this.tag.staleAfterMs === null ? now : Math.min(now, last.x + this.tag.staleAfterMs);
  }

  /** What was asked for and came before the first reading there is: of that time nothing is known. */
  unrecorded(): Stretch | null {
    const first = this.dots[0]?.x ?? this.loadedTo;
    return first > this.loadedFrom ? { from: this.loadedFrom, to: first } : null;
  }

  /** The value at `x` as the curve shows it at `now`. */
  valueAt(x: number, now: number): number | null {
    const last = this.dots.at(-1);
    if (!last || x <= last.x) return valueAt(this.dots, x, this.stepped);
    const held = this.heldTo(now);
    return held !== null && x <= held ? last.y : null;
  }

  /** What is hatched up to `now`: doubtful readings, and the time in which the next reading is overdue. */
  hatched(now: number): Span[] {
    const spans = [...this.#doubts];
    const last = this.dots.at(-1);
    const due = last && last.y !== null && this.tag.staleAfterMs !== null ? last.x + this.tag.staleAfterMs : Infinity;
    if (due < now) spans.push({ from: due, to: Infinity, q: 'bad' });
    return spans;
  }

  close(): void {
    this.#stop?.abort();
  }
}

export const nowExact = (): number => clock.exact();
