// What screens say about orders and jobs, in the viewer's language.

import { clock } from '$lib/api/clock.svelte';
import type { Problem } from '$lib/api/http';
import type { Came } from '$lib/api/orders';
import type { Entry, Job, Order } from '$lib/api/parseOrders';
import { plant } from '$lib/api/plant.svelte';
import { access } from '$lib/api/session.svelte';
import { inPieces, lateBy, lastEnd, placesOf, planLate, stateKey } from '$lib/domain/orders';
import { MISSING, withUnit } from '$lib/domain/number';
import { clockTime, DAY, shortDate, spanText } from '$lib/domain/time';
import { parentPath } from '$lib/domain/tree';
import { count, exact } from '$lib/features/value/count';
import { when } from '$lib/features/value/reading.svelte';
import { language, t, tMaybe } from '$messages';

/** `pcs` in the viewer's language; other units are written as they are. */
export const unitWord = (unit: string): string => (unit === 'pcs' ? t('orders.pcs') : unit);
export const amount = (n: number, unit: string): string => withUnit(exact(n), unitWord(unit) || null);
/** An amount that was reckoned: there is no part of a piece. */
export const reckoned = (n: number, unit: string): string => count(inPieces(unit) ? Math.round(n) : n);
export const jobState = (job: { state: Job['state']; substate: Job['substate'] }): string => tMaybe(stateKey(job.state, job.substate)) ?? job.state;
export const orderState = (order: Order): string => t(`order_state.${order.state}`);
/** A machine with its line: there is a filler on each. */
export function machine(path: string | null): string {
  if (path === null) return t('orders.no_machine');
  const line = plant.equipment.get(parentPath(path));
  return line && plant.equipment.has(path) ? `${line.title} · ${plant.title(path)}` : plant.title(path);
}

/** Whether the person here may make, change and plan jobs: at every place where they can be done, as the server asks it. */
export const mayPlan = (jobs: readonly Job[]): boolean => access.mayAnywhere('configure') && jobs.every((job) => placesOf(job).every((path) => access.may('configure', path)));

/** A planned time: to the minute, with its date where it is another day's. */
export function planTime(ms: number | null): string {
  if (ms === null) return MISSING;
  const time = clockTime(ms).slice(0, 5);
  const today = new Date(ms).toDateString() === new Date(clock.now).toDateString();
  return today ? time : `${shortDate(ms, clock.now, language.tag)} ${time}`;
}

/** Planned from and to: the date once where both are of one day. */
export function planSpan(from: number | null, to: number | null): string {
  if (from === null) return MISSING;
  if (to === null) return planTime(from);
  return `${planTime(from)} – ${to - from < DAY && new Date(from).toDateString() === new Date(to).toDateString() ? clockTime(to).slice(0, 5) : planTime(to)}`;
}

/** Due, and whether it is late: by the clock, or by the plan. */
export function dueWords(order: Order, now: number): { text: string; late: boolean } {
  const late = lateBy(order, now);
  if (late !== null) return { text: t('orders.late_by', { span: spanText(late) }), late: true };
  const plan = planLate(order);
  if (plan !== null) return { text: t('orders.plan_late_by', { span: spanText(plan) }), late: true };
  const end = lastEnd(order);
  if (order.state === 'Completed' || order.state === 'Closed') return { text: end === null ? t('order_state.Completed') : t('orders.done_at', { time: planTime(end) }), late: false };
  return { text: order.due === null ? t('orders.no_due') : t('orders.due_at', { time: planTime(order.due) }), late: false };
}

export function problemText(problem: Problem): string {
  return localTimes([problem.detail ?? t(`error.${problem.kind}.what`, { status: problem.status }), problem.remedy].filter(Boolean).join(' '));
}

/** The server's words name times in UTC; a person reads them on the clock of the plant. */
export const localTimes = (words: string): string => words.replaceAll(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z/g, (utc) => planTime(Date.parse(utc)));

/** Each entry tells where the job was; it is said of those that put it there. */
function entryPlace({ kind, equipment, plannedStart }: Entry): string | null {
  if (equipment === null || (kind !== 'begin' && kind !== 'plan')) return null;
  return kind === 'plan' && plannedStart !== null ? `${machine(equipment)} ${planTime(plannedStart)}` : machine(equipment);
}

/** One line of a ledger. */
export function entryText(entry: Entry, unit: string): string {
  const amounts = (['good', 'scrap', 'rework'] as const).flatMap((kind) => (entry[kind] === 0 ? [] : [`${amount(entry[kind], unit)} ${t(`orders.${kind}_word`)}`]));
  const parts = [
    t(`deed.${entry.kind}`),
    entry.to && (entry.kind === 'pause' || entry.kind === 'prepare') ? jobState(entry.to) : null,
    amounts.join(', ') || null,
    entry.instruction,
    entryPlace(entry),
    entry.reason,
  ];
  return parts.filter((part) => part !== null).join(' · ');
}

export const byWhom = (entry: Pick<Entry, 'by'>): string => entry.by ?? t('word.somebody');

/** "Erika has just started this job at 06:42:10." and what it is now. */
export function overtakenText(came: Extract<Came, { was: 'overtaken' }>): string {
  const { job, last } = came;
  const now = t('orders.now_is', { job: job.number, state: jobState(job) });
  if (!last) return `${t('orders.overtaken')} ${now}`;
  return `${t(`overtaken.${last.kind}`, { who: byWhom(last), job: job.number, time: when(last.at) })} ${now}`;
}
