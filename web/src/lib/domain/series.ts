// Curves from history: which points join, where the line breaks, where it is hatched.

import type { History, HistoryPoint } from '$lib/api/types';
import { severityOf } from './quality';
import { asNumber } from './value';

/** One place on a curve; `y` null breaks the line. */
export interface Dot {
  x: number;
  y: number | null;
  /** Good, uncertain (drawn, hatched) or bad (not drawn, hatched). */
  q: 'good' | 'uncertain' | 'bad';
  /** Bad for less than the drawing can show: the line goes on, and of what is hatched nothing but this moment is known. */
  brief?: true;
}

export const toDot = (p: HistoryPoint): Dot => {
  const q = severityOf(p.code);
  const y = asNumber(p.value);
  return { x: p.at, y: q === 'bad' ? null : y, q: y === null && q === 'good' ? 'bad' : q };
};

/**
 * The points of a range with its gaps as breaks, led in by the last value before it. Readings that came late into a gap join
 * each other; the line breaks again behind the last of them.
 */
export function toDots(h: History): Dot[] {
  const dots = h.points.map(toDot);
  if (h.before && h.before.at < (dots[0]?.x ?? Infinity)) dots.unshift(toDot(h.before));
  for (const gap of h.gaps) {
    const start = firstAfter(dots, gap.from);
    const late = dots[firstFrom(dots, gap.to) - 1];
    if (late && late.x > gap.from) dots.splice(firstFrom(dots, gap.to), 0, { x: Math.min(late.x + 1, gap.to), y: null, q: 'good' });
    dots.splice(start, 0, { x: gap.from, y: null, q: 'good' });
  }
  return dots;
}

/**
 * An answer of history, and behind its newest reading what came live meanwhile: the historian may lag, and the question took a
 * while. Breaks of an earlier answer did not come live.
 */
export function withLive(answer: readonly Dot[], live: readonly Dot[]): Dot[] {
  const newest = answer.findLast((dot) => !isBreak(dot))?.x ?? -Infinity;
  const newer = live.filter((dot) => dot.x > newest && !isBreak(dot));
  // A gap may begin behind what the historian does not have yet.
  return [...answer, ...newer].sort((a, b) => a.x - b.x);
}

/** The parts of a gap in which there really is no reading: what lies between two readings that came late is known. */
export function emptyParts(gap: Stretch, dots: readonly Dot[]): Stretch[] {
  let first = firstAfter(dots, gap.from);
  let last = firstFrom(dots, gap.to) - 1;
  while (first <= last && isBreak(dots[first])) first += 1;
  while (last >= first && isBreak(dots[last])) last -= 1;
  const [a, b] = [dots[first], dots[last]];
  if (first > last || !a || !b) return [{ from: gap.from, to: gap.to }];
  return [{ from: gap.from, to: a.x }, { from: b.x, to: gap.to }];
}

export interface Stretch {
  from: number;
  to: number;
}

/** What lies in a stretch of each of the lists; each is in order and without overlap. */
export function common(lists: readonly (readonly Stretch[])[]): Stretch[] {
  const [first = [], ...rest] = lists;
  return rest.reduce<readonly Stretch[]>(
    (known, list) => known.flatMap((a) => list.map((b) => ({ from: Math.max(a.from, b.from), to: Math.min(a.to, b.to) })).filter((both) => both.to > both.from)),
    first,
  ).slice();
}
/** Of a break nothing is known; a bad value is known to be bad. */
const isBreak = (dot: Dot | undefined): boolean => dot?.y === null && dot.q === 'good';

/** The place of the first dot later than `x`. */
export function firstAfter(dots: readonly Dot[], x: number): number {
  let lo = 0;
  let hi = dots.length;
  while (lo < hi) {
    const mid = (lo + hi) >> 1;
    if ((dots[mid]?.x ?? Infinity) <= x) lo = mid + 1;
    else hi = mid;
  }
  return lo;
}
/** The place of the first dot at `x` or later. */
function firstFrom(dots: readonly Dot[], x: number): number {
  let at = firstAfter(dots, x);
  while (at > 0 && dots[at - 1]?.x === x) at -= 1;
  return at;
}

export interface Span {
  from: number;
  to: number;
  q: 'uncertain' | 'bad';
}

/**
 * Thinned history keeps of each small stretch the first, lowest, highest and last reading and one bad one. Where a bad reading
 * and its neighbours lie within such a stretch, the good readings between them were left out: it counts for itself alone.
 * `count` is the number of points kept of the span; a stretch keeps five at most, so it is no wider than `span * 5 / count`.
 */
export function markBrief(dots: readonly Dot[], span: number, count: number): Dot[] {
  const widest = (span * 5) / Math.max(1, count);
  return dots.map((dot, i) => {
    const [before, after] = [dots[i - 1], dots[i + 1]];
    const lone = dot.q === 'bad' && before !== undefined && after !== undefined && before.y !== null && after.y !== null;
    return lone && after.x - before.x <= widest ? { ...dot, brief: true } : dot;
  });
}

/** Where to hatch: from a doubtful point to the next one of another quality (or the end). A brief one is a span without width. */
export function doubtful(dots: readonly Dot[], end: number): Span[] {
  const spans: Span[] = [];
  let open: Span | null = null;
  for (const dot of dots) {
    if (dot.brief) {
      spans.push({ from: dot.x, to: dot.x, q: 'bad' });
      continue;
    }
    if (open && dot.q !== open.q) {
      open.to = dot.x;
      spans.push(open);
      open = null;
    }
    if (!open && dot.q !== 'good') open = { from: dot.x, to: dot.x, q: dot.q };
  }
  if (open) spans.push({ ...open, to: Math.max(end, open.from) });
  return spans;
}

/**
 * Brief spans with the width they really have: each of `parts` begins an interval of so many ms and is as long as that was bad. A brief span
 * of which none tells stays as it is. Both are in order.
 */
export function weighed(spans: readonly Span[], parts: readonly Stretch[], interval: number): Span[] {
  let next = 0;
  const left = spans.filter((span) => {
    if (span.to > span.from) return true;
    while ((parts[next]?.from ?? Infinity) <= span.from) next += 1;
    const part = parts[next - 1];
    return !part || span.from >= part.from + interval;
  });
  return [...left, ...parts.map((part): Span => ({ ...part, q: 'bad' }))];
}

/**
 * The value at `x`: held for stepped tags, on the straight line otherwise; null in a gap or outside. Before a bad reading or a
 * gap the last value holds on a slope, too, as the simple bounds of OPC 10000-13 have it: nobody knows where it was going.
 */
export function valueAt(dots: readonly Dot[], x: number, stepped: boolean): number | null {
  const next = firstAfter(dots, x);
  const before = dots[next - 1];
  if (!before || before.y === null) return null;
  if (before.x === x || stepped) return before.y;
  const after = dots[next];
  if (!after) return null;
  if (after.y === null) return before.y;
  return before.y + ((after.y - before.y) * (x - before.x)) / (after.x - before.x);
}

/** Cuts what lies before `from`, keeping one point to lead in; bounds the length by dropping the oldest. */
export function trim(dots: Dot[], from: number, most: number): Dot[] {
  let cut = 0;
  while (cut + 1 < dots.length && (dots[cut + 1]?.x ?? Infinity) <= from) cut += 1;
  cut = Math.max(cut, dots.length - most);
  return cut > 0 ? dots.slice(cut) : dots;
}

/** Where the curve begins within a window that starts at `from`: the first time of which something is known. Null: nothing is. */
export function knownSince(dots: readonly Dot[], from: number): number | null {
  for (const [i, dot] of dots.entries()) {
    if (isBreak(dot)) continue;
    if ((dots[i + 1]?.x ?? Infinity) > from) return Math.max(dot.x, from);
  }
  return null;
}

/** Lowest and highest value of what is drawn from `from` on; null where nothing is. */
export function extent(dots: readonly Dot[], from: number): { lo: number; hi: number } | null {
  let lo = Infinity;
  let hi = -Infinity;
  for (const [i, dot] of dots.entries()) {
    if (dot.y === null || (dots[i + 1]?.x ?? Infinity) <= from) continue;
    lo = Math.min(lo, dot.y);
    hi = Math.max(hi, dot.y);
  }
  return lo > hi ? null : { lo, hi };
}

/** About `most` dots that look like all of them: of each stretch its lowest and highest, every break, every change of quality. */
export function thin(dots: Dot[], most: number): Dot[] {
  const first = dots[0]?.x ?? 0;
  const width = ((dots.at(-1)?.x ?? 0) - first) / Math.max(1, Math.floor(most / 2));
  if (dots.length <= most || width <= 0) return dots;
  const kept: Dot[] = [];
  let at = 0;
  while (at < dots.length) {
    const here = dots[at];
    if (!here) break;
    const stretch = Math.floor((here.x - first) / width);
    let low = at;
    let high = at;
    let end = at + 1;
    for (; end < dots.length; end += 1) {
      const next = dots[end];
      if (!next || next.q !== here.q || (next.y === null) !== (here.y === null) || Math.floor((next.x - first) / width) !== stretch) break;
      if ((next.y ?? 0) < (dots[low]?.y ?? 0)) low = end;
      if ((next.y ?? 0) > (dots[high]?.y ?? 0)) high = end;
    }
    // The last dot stands for now.
    const keep = new Set([low, high].sort((a, b) => a - b));
    if (end === dots.length) keep.add(end - 1);
    for (const i of keep) {
      const dot = dots[i];
      if (dot) kept.push(dot);
    }
    at = end;
  }
  return kept;
}

/** Round axis ticks: 1, 2, 2.5 or 5 times a power of ten. */
export function niceTicks(lo: number, hi: number, most: number): number[] {
  if (!(hi > lo) || most < 1) return [];
  const raw = (hi - lo) / most;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = ([1, 2, 2.5, 5, 10].find((m) => m * power >= raw) ?? 10) * power;
  const ticks: number[] = [];
  for (let tick = Math.ceil(lo / step) * step; tick <= hi + step * 1e-9; tick += step) ticks.push(Number(tick.toPrecision(12)));
  return ticks;
}

/** Digits that tell round ticks apart; a step of 2.5 × 10ⁿ needs one more than its power of ten. */
export function tickDigits(ticks: readonly number[]): number {
  const step = ticks.length > 1 ? (ticks[1] ?? 1) - (ticks[0] ?? 0) : 1;
  const digits = Math.max(0, Math.min(6, Math.ceil(-Math.log10(step) - 1e-9)));
  return Math.abs(step * 10 ** digits - Math.round(step * 10 ** digits)) > 1e-6 ? digits + 1 : digits;
}
