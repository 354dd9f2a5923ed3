// The order in which maintenance is looked at: what has failed and nobody planned first.

import type { Work } from '$lib/api/parseMaintenance';

/** Something stands broken now. */
export const isFailure = (order: Work): boolean => order.kind === 'corrective' && order.failed !== null && order.restored === null;
export const isLate = (order: Work, now: number): boolean => order.due !== null && order.due < now && order.ended === null;

/** Failures first, the higher priority and then the older before; then what is late, what is due first, and the rest by priority. */
export function compareWork(now: number): (a: Work, b: Work) => number {
  return (a, b) =>
    Number(isFailure(b)) - Number(isFailure(a)) ||
    (isFailure(a) ? b.priority - a.priority || (a.failed ?? 0) - (b.failed ?? 0) : 0) ||
    Number(isLate(b, now)) - Number(isLate(a, now)) ||
    (a.due ?? Infinity) - (b.due ?? Infinity) ||
    b.priority - a.priority ||
    a.created - b.created;
}
