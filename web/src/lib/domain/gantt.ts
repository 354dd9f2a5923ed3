// The geometry of the Gantt: times to pixels and back, bars of a row, what a drag may become. Times in ms, lengths in px.

import type { Closed, Job, Lane } from '$lib/api/parseOrders';
import { isJobOver, isUnderWay, placesOf } from './orders';
import { DAY, HOUR, MINUTE } from './time';

export interface View {
  from: number;
  to: number;
}

/** Five minutes: a step of the arrow keys, and what a drag snaps to. */
export const STEP = 5 * MINUTE;
export const SHORTEST = HOUR;
export const LONGEST = 60 * DAY;
/** The server tells a plan over at most so long. */
const LONGEST_ASKED = 92 * DAY;

export const toX = (at: number, view: View, width: number): number => ((at - view.from) / (view.to - view.from)) * width;
export const toTime = (x: number, view: View, width: number): number => view.from + (x / Math.max(1, width)) * (view.to - view.from);

/** Makes the span `factor` times as long; the time `at` stays where it is. */
export function zoom(view: View, factor: number, at: number): View {
  const span = Math.min(LONGEST, Math.max(SHORTEST, (view.to - view.from) * factor));
  const share = (at - view.from) / (view.to - view.from);
  const from = Math.round(at - share * span);
  return { from, to: from + Math.round(span) };
}

/** Whole milliseconds, so that the span stays the same to the last bit and nothing has to be drawn anew for it. */
export const pan = (view: View, by: number): View => ({ from: view.from + Math.round(by), to: view.to + Math.round(by) });

/** What is asked for around a view: a span on each side, as far as the server tells so much at once. */
export function asked(view: View): View {
  const span = view.to - view.from;
  const room = Math.max(0, Math.min(span, (LONGEST_ASKED - span) / 2 - MINUTE));
  return { from: view.from - room, to: view.to + room };
}

/**
 * What is drawn around a view: two spans, beginning at a whole number of spans. Within them a pan only shifts the picture.
 */
export function drawn(view: View): View {
  const span = view.to - view.from;
  const from = Math.floor(view.from / span) * span;
  return { from, to: from + 2 * span };
}

/** Rounded to whole steps of the viewer's day, so that a drag ends at 06:05 and not at 06:03:17. */
export function snap(at: number): number {
  const zone = new Date(at).getTimezoneOffset() * MINUTE;
  return Math.round((at - zone) / STEP) * STEP + zone;
}

export interface Bar {
  job: Job;
  planned: { from: number; to: number } | null;
  /** What really was, up to now where it goes on. */
  actual: { from: number; to: number } | null;
  /** The set-up that the plan has before it, on the machine it is on. */
  setup: { from: number; to: number } | null;
}

/** When a job is planned to end that begins then: its own planned length, or setup and run time where it has none. */
export function plannedLength(job: Job): number {
  if (job.plannedStart !== null && job.plannedEnd !== null && job.plannedEnd > job.plannedStart) return job.plannedEnd - job.plannedStart;
  return Math.max(MINUTE, job.setup + job.runTime);
}

function barOf(job: Job, now: number, setup: Bar['setup'] = null): Bar {
  const planned = job.plannedStart === null ? null : { from: job.plannedStart, to: job.plannedStart + plannedLength(job) };
  const actual = job.started === null ? null : { from: job.started, to: Math.max(job.started, job.ended ?? now) };
  return { job, planned, actual, setup };
}

export interface Row {
  lane: Lane;
  /** By time. */
  bars: Bar[];
}

/** A row for each equipment, with its jobs; jobs at equipment that has no row get one at the end. Jobs without a place are none's. */
export function rowsOf(lanes: readonly Lane[], jobs: readonly Job[], now: number): Row[] {
  const setups = new Map(lanes.flatMap((lane) => lane.setups.map((setup): [string, Bar['setup']] => [setup.job, { from: setup.from, to: setup.to }])));
  const rows = new Map<string, Row>(lanes.map((lane) => [lane.path, { lane, bars: [] }]));
  for (const job of jobs) {
    if (job.equipment === null || (job.plannedStart === null && job.started === null)) continue;
    let row = rows.get(job.equipment);
    if (!row) rows.set(job.equipment, (row = { lane: { path: job.equipment, title: job.equipment, closed: [], setups: [] }, bars: [] }));
    row.bars.push(barOf(job, now, setups.get(job.id)));
  }
  const first = (bar: Bar): number => Math.min(bar.planned?.from ?? Infinity, bar.actual?.from ?? Infinity);
  for (const row of rows.values()) row.bars.sort((a, b) => first(a) - first(b));
  return [...rows.values()];
}

/** The bars of a row that can be seen. */
export function visible(bars: readonly Bar[], view: View): Bar[] {
  const touches = (span: { from: number; to: number } | null): boolean => span !== null && span.to >= view.from && span.from <= view.to;
  return bars.filter((bar) => touches(bar.planned) || touches(bar.actual));
}

/** The rows from and up to (not including) which are in sight, two more on each side. */
export function rowWindow(top: number, height: number, each: number, count: number): [from: number, to: number] {
  return [Math.max(0, Math.floor(top / each) - 2), Math.min(count, Math.ceil((top + height) / each) + 2)];
}

/** Whether the plan of a job can still be changed: it has not begun. */
export const isMovable = (job: Job): boolean => !isUnderWay(job) && !isJobOver(job);

/** The next machine up (−1) or down (1) among the rows on which the job may be made; where it is when there is none. */
export function nextMachine(job: Job, at: string, rows: readonly { lane: { path: string } }[], direction: 1 | -1): string {
  const allowed = new Set(placesOf(job));
  const order = rows.map((row) => row.lane.path);
  for (let i = order.indexOf(at) + direction; i >= 0 && i < order.length; i += direction) {
    const path = order[i];
    if (path !== undefined && allowed.has(path)) return path;
  }
  return at;
}

export interface Spot {
  equipment: string;
  start: number;
}

type Snag = 'not_allowed' | 'closed' | 'overlaps' | 'before_predecessor' | 'past' | 'late';

/**
 * What stands against a job at a place: told, not forbidden, but for a machine on which it cannot be made. The server leaves a job where a
 * person has put it, also when it plans anew, and moves nothing out of its way.
 */
export function snags(job: Job, spot: Spot, rows: readonly Row[], jobs: ReadonlyMap<string, Job>, now: number, due: number | null): Snag[] {
  const found: Snag[] = [];
  const end = spot.start + plannedLength(job);
  const row = rows.find((one) => one.lane.path === spot.equipment);
  if (!placesOf(job).includes(spot.equipment)) found.push('not_allowed');
  if (spot.start < now) found.push('past');
  if (row && isClosed(row.lane.closed, spot.start)) found.push('closed');
  if (row?.bars.some((bar) => bar.job.id !== job.id && bar.planned !== null && !isJobOver(bar.job) && bar.planned.from < end && bar.planned.to > spot.start)) found.push('overlaps');
  if (job.after.some((id) => (jobs.get(id)?.plannedEnd ?? -Infinity) > spot.start)) found.push('before_predecessor');
  if (due !== null && end > due) found.push('late');
  return found;
}

const isClosed = (closed: readonly Closed[], at: number): boolean => closed.some((span) => at >= span.from && at < span.to);

export interface Link {
  from: { row: number; at: number };
  to: { row: number; at: number };
}

/** The arrows of an order: from the end of each job to the beginning of those that follow. */
export function linksOf(order: string, rows: readonly Row[]): Link[] {
  const places = new Map<string, { row: number; bar: Bar }>();
  rows.forEach((row, index) => {
    for (const bar of row.bars) if (bar.job.order === order) places.set(bar.job.id, { row: index, bar });
  });
  const start = (bar: Bar): number => bar.actual?.from ?? bar.planned?.from ?? 0;
  const end = (bar: Bar): number => (bar.job.ended === null ? Math.max(bar.planned?.to ?? 0, bar.actual?.to ?? 0) : (bar.actual?.to ?? 0));
  return [...places.values()].flatMap(({ row, bar }) =>
    bar.job.after.flatMap((id) => {
      const before = places.get(id);
      return before ? [{ from: { row: before.row, at: end(before.bar) }, to: { row, at: start(bar) } }] : [];
    }),
  );
}

/** The span that shows all of it, with a twentieth of room on each side; at least `least` long. Of what is too long, the time around now. */
export function spanOf(jobs: readonly Job[], now: number, least = 8 * HOUR): View {
  const at = jobs.flatMap((job) => [job.plannedStart, job.plannedEnd, job.started, job.ended]).filter((t): t is number => t !== null);
  const from = Math.min(now, ...at);
  const to = Math.max(now, ...at);
  const room = Math.max((to - from) * 0.05, (least - (to - from)) / 2, 0);
  const all = { from: from - room, to: to + room };
  if (all.to - all.from <= LONGEST) return all;
  const begin = Math.min(Math.max(all.from, now - LONGEST / 4), all.to - LONGEST);
  return { from: begin, to: begin + LONGEST };
}
