// Orders and jobs as a person reads them: which column, how far, how late, held up by what; and what a scanner meant.

import type { Entry, Job, JobState, Order, Substate } from '$lib/api/parseOrders';
import { isUnder } from './tree';

export const COLUMNS = ['waiting', 'ready', 'running', 'held', 'done'] as const;
export type Column = (typeof COLUMNS)[number];

/** The column an order stands in. One held job holds it, while none runs; one that is not released waits. */
export function columnOf(order: Order): Column {
  switch (order.state) {
    case 'Forecast':
      return 'waiting';
    case 'Completed':
    case 'Closed':
    case 'Cancelled':
      return 'done';
    case 'Released':
    case 'Running': {
      if (order.jobs.some((job) => job.state === 'Running')) return 'running';
      if (order.jobs.some((job) => job.state === 'Interrupted')) return 'held';
      return order.state === 'Running' ? 'running' : 'ready';
    }
  }
}

/** Whether amounts of a unit are whole: of any other a part can be made, counted and scrapped. */
export const inPieces = (unit: string): boolean => unit === 'pcs';

export const isOver = (order: Pick<Order, 'state'>): boolean => order.state === 'Completed' || order.state === 'Closed' || order.state === 'Cancelled';
export const isUnderWay = (job: Pick<Job, 'state'>): boolean => job.state === 'Running' || job.state === 'Interrupted';
export const isJobOver = (job: Pick<Job, 'state'>): boolean => job.state === 'Ended' || job.state === 'Aborted';

/** How long an order is past its due time, in ms; null: it is not, or is done. */
export function lateBy(order: Pick<Order, 'state' | 'due'>, now: number): number | null {
  return order.due !== null && !isOver(order) && now > order.due ? now - order.due : null;
}

/** How long the plan of an order ends after its due time, in ms; null: it does not, or has no plan. */
export function planLate(order: Pick<Order, 'state' | 'due' | 'jobs'>): number | null {
  if (order.due === null || isOver(order)) return null;
  const end = Math.max(...order.jobs.filter((job) => !isJobOver(job)).map((job) => job.plannedEnd ?? -Infinity));
  return end > order.due ? end - order.due : null;
}

export interface Progress {
  /** Good ones of what is to be made, at most 1. */
  share: number;
  /** What should be good by now after the plan, 0 to 1; null: there is no plan. */
  planned: number | null;
}

/** How far a job is, against its plan. */
export function jobProgress(job: Job, now: number): Progress {
  const share = job.quantity > 0 ? Math.min(1, Math.max(0, job.good / job.quantity)) : 0;
  const { plannedStart: from, plannedEnd: to } = job;
  const planned = from === null || to === null || to <= from ? null : Math.min(1, Math.max(0, (now - from) / (to - from)));
  return { share, planned };
}

/** How far an order is through all its jobs, each with the weight of its run time: half filled and nothing packed is not "nothing". */
export function orderProgress(order: Order, now: number): Progress {
  const parts = order.jobs.map((job) => ({ weight: Math.max(1, job.runTime), ...jobProgress(job, now), over: isJobOver(job) }));
  const all = parts.reduce((sum, part) => sum + part.weight, 0);
  if (all === 0) return { share: order.quantity > 0 ? Math.min(1, Math.max(0, order.good / order.quantity)) : 0, planned: null };
  // A job that has ended is done, though a few pieces may be missing.
  const share = parts.reduce((sum, part) => sum + part.weight * (part.over ? 1 : part.share), 0) / all;
  const planned = parts.some((part) => part.planned === null) ? null : parts.reduce((sum, part) => sum + part.weight * (part.planned ?? 0), 0) / all;
  return { share, planned };
}

/** What holds up an order: of the jobs that come next, those that are interrupted or may not begin yet, and the jobs they wait for. */
export function blockedBy(order: Order): { job: Job; why: 'interrupted' | 'after' | 'not_allowed'; waitsFor: Job[] }[] {
  if (isOver(order) || order.state === 'Forecast') return [];
  const of = new Map(order.jobs.map((job) => [job.id, job]));
  const held = order.jobs.filter((job) => job.state === 'Interrupted').map((job) => ({ job, why: 'interrupted' as const, waitsFor: [] }));
  if (held.length || order.jobs.some((job) => job.state === 'Running')) return held;
  const next = order.jobs.find((job) => !isJobOver(job));
  if (!next) return [];
  const waitsFor = next.after.flatMap((id) => of.get(id) ?? []).filter((job) => !isJobOver(job));
  if (waitsFor.length) return [{ job: next, why: 'after', waitsFor }];
  return next.state === 'NotAllowedToStart' ? [{ job: next, why: 'not_allowed', waitsFor: [] }] : [];
}

/** The jobs before this one that are not over: it has to wait for them. */
export function waitsFor(job: Job, jobs: readonly Job[]): Job[] {
  return jobs.filter((one) => job.after.includes(one.id) && !isJobOver(one));
}

export interface OrderFilter {
  text: string;
  branch: string;
  column: Column | '';
  late: boolean;
}

/** Whether an order is asked for: each word stands in its number, material, title or note; a job of it is under the branch. */
export function matchesOrder(order: Order, filter: OrderFilter, now: number): boolean {
  const all = `${order.number} ${order.material} ${order.title} ${order.note}`.toLowerCase();
  return (
    filter.text.toLowerCase().split(/\s+/).every((word) => all.includes(word)) &&
    (filter.branch === '' || order.jobs.some((job) => [job.equipment ?? '', ...(job.equipment === null ? job.alternatives : [])].some((path) => path !== '' && isUnder(path, filter.branch)))) &&
    (filter.column === '' || columnOf(order) === filter.column) &&
    (!filter.late || lateBy(order, now) !== null || planLate(order) !== null)
  );
}

/** Late first by how late, then by due time, priority and number; what is done, the newest first. */
export function compareOrders(a: Order, b: Order): number {
  const over = Number(isOver(a)) - Number(isOver(b));
  if (over !== 0) return over;
  if (isOver(a)) return (lastEnd(b) ?? b.created) - (lastEnd(a) ?? a.created) || a.number.localeCompare(b.number);
  return (a.due ?? Infinity) - (b.due ?? Infinity) || b.priority - a.priority || a.number.localeCompare(b.number, undefined, { numeric: true });
}

export function lastEnd(order: Pick<Order, 'jobs'>): number | null {
  const ends = order.jobs.flatMap((job) => job.ended ?? []);
  return ends.length ? Math.max(...ends) : null;
}

/** The key of the words for a state: `job_state.Running`, `job_state.Interrupted_Held`. */
export function stateKey(state: JobState, substate: Substate | null): string {
  return `job_state.${state}${substate ? `_${substate}` : ''}`;
}

type Scanned = { kind: 'order'; order: Order } | { kind: 'job'; order: Order; job: Job } | { kind: 'none'; text: string };

/** What a scanned text means: the number of a job or of an order. Numbers are told apart by their case; a scanner may have lost it. */
export function scanned(raw: string, orders: readonly Order[]): Scanned {
  const text = cleanScan(raw);
  for (const is of sameNumber(text)) {
    for (const order of orders) {
      const job = order.jobs.find((one) => is(one.number));
      if (job) return { kind: 'job', order, job };
    }
    const order = orders.find((one) => is(one.number));
    if (order) return { kind: 'order', order };
  }
  return { kind: 'none', text };
}

/** Whether a number is the one that is meant: to the letter, and, where none is, but for upper and lower case. */
export const sameNumber = (text: string): ((number: string) => boolean)[] => [(number) => number === text, (number) => number.toLowerCase() === text.toLowerCase()];

/** Of what is scanned, the number of the order: a job's has its operation behind a slash. */
export const orderNumber = (text: string): string => text.split('/')[0] ?? '';

/** What a scan means at a work unit: a job of its list, or the next one of an order. */
export function scannedHere(raw: string, jobs: readonly Job[]): Job | null {
  const { current, next } = atStation(jobs);
  for (const is of sameNumber(cleanScan(raw))) {
    const job = jobs.find((one) => is(one.number)) ?? next.find((one) => is(one.order)) ?? (current && is(current.order) ? current : undefined);
    if (job) return job;
  }
  return null;
}

/** The text of a scan without what scanners add: blanks and control characters. */
export function cleanScan(raw: string): string {
  return raw.replace(/[\u0000-\u001f\u007f]/g, '').trim();
}

/** A person needs longer between two keys: what comes faster, four keys or more, came from a scanner. In ms. */
const SCAN_GAP = 25;
const SCAN_KEYS = 4;

/** Whether the keys pressed at these times (ms, rising) end with a scan. */
export function isScan(times: readonly number[]): boolean {
  let run = 1;
  for (let i = times.length - 1; i > 0 && (times[i] ?? 0) - (times[i - 1] ?? 0) <= SCAN_GAP; i -= 1) run += 1;
  return run >= SCAN_KEYS;
}

/** The pace of a running job: good ones per hour since it began, and what the plan wants; null where there is nothing to tell yet. */
export function pace(job: Job, now: number): { actual: number | null; wanted: number | null; end: number | null } {
  const wanted = job.runTime > 0 ? (job.quantity / job.runTime) * 3_600_000 : null;
  const span = job.started === null ? 0 : (job.ended ?? now) - job.started;
  // In the first minute a single piece would make any pace.
  const made = job.good + job.scrap + job.rework;
  const actual = span >= 60_000 && made > 0 ? (made / span) * 3_600_000 : null;
  const left = Math.max(0, job.quantity - job.good);
  const end = job.state === 'Running' && actual !== null ? now + (left / actual) * 3_600_000 : null;
  return { actual, wanted, end };
}

/**
 * An amount being typed on the keypad: at most nine digits, and six behind `mark`, where there is one. `C` clears, `<` takes the last one
 * back.
 */
export function keyed(before: string, key: string, mark = ''): string {
  if (key === 'C') return '';
  if (key === '<') return before.slice(0, -1);
  if (mark !== '' && key === mark) return before.includes(mark) ? before : `${before || '0'}${mark}`;
  if (!/^\d$/.test(key)) return before;
  const [whole = '', part] = mark === '' ? [before] : before.split(mark);
  if (part === undefined ? whole.length >= 9 : part.length >= 6) return before;
  return before === '0' ? key : before + key;
}

/** Of the jobs of a work unit: the one on it, and those that come next, as the dispatch list orders them. */
export function atStation(jobs: readonly Job[]): { current: Job | null; next: Job[] } {
  const current = jobs.find((job) => job.state === 'Running') ?? jobs.find((job) => job.state === 'Interrupted') ?? null;
  const next = jobs.filter((job) => job !== current && !isJobOver(job));
  return { current, next };
}

/** Where a job is or can be done: whoever makes, changes or plans its order needs the right at each of them. */
export const placesOf = (job: Pick<Job, 'equipment' | 'alternatives'>): string[] => [...new Set([...job.alternatives, ...(job.equipment === null ? [] : [job.equipment])])];

export type Move = 'release' | 'revoke' | 'cancel' | 'close';
/** What can be done with an order as a whole, by what its jobs know. */
export function movesOf(order: Pick<Order, 'jobs'>): Move[] {
  const knows = (job: Job, word: string): boolean => job.may.includes(word);
  const some = (is: (job: Job) => boolean): boolean => order.jobs.some(is);
  const waits = (job: Job): boolean => knows(job, 'prepare');
  const underWay = (job: Job): boolean => knows(job, 'stop');
  const moves: Record<Move, boolean> = {
    cancel: some(waits) && !some(underWay),
    revoke: some((job) => knows(job, 'begin')),
    close: some((job) => knows(job, 'close')) && order.jobs.every((job) => knows(job, 'close') || job.may.length === 0),
    release: some((job) => waits(job) && !knows(job, 'begin')),
  };
  return (Object.keys(moves) as Move[]).filter((move) => moves[move]);
}

/** The instructions that have to be read before the work may begin. */
export const unread = (job: Pick<Job, 'instructions'>): Job['instructions'] => job.instructions.filter((one) => !one.seen);

/** Newest first; entries of one millisecond keep the order they were written in, turned round. */
export const newestFirst = (entries: readonly Entry[]): Entry[] => entries.map((entry, i) => ({ entry, i })).sort((a, b) => b.entry.at - a.entry.at || b.i - a.i).map(({ entry }) => entry);
