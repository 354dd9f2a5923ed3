// The order of an alarm list (UI rules, section 5): unacknowledged first, then priority, then the newest.

import type { Alarm, Priority } from '$lib/api/types';
import { isUnder } from './tree';

export const PRIORITIES: readonly Priority[] = [1, 2, 3, 4];

export const isUnacknowledged = (a: Alarm): boolean => a.state !== 'acknowledged';
export const isActive = (a: Alarm): boolean => a.state !== 'returned_to_normal_unacknowledged';

export function compareAlarms(a: Alarm, b: Alarm): number {
  return (
    Number(isUnacknowledged(b)) - Number(isUnacknowledged(a)) ||
    a.priority - b.priority ||
    b.raisedMs - a.raisedMs ||
    a.name.localeCompare(b.name)
  );
}

/** One row of the list; a new occurrence of the same alarm is another row. */
export const alarmKey = (a: Alarm): string => `${a.name} ${a.occurrence}`;

export function countByPriority(alarms: readonly Alarm[]): Record<Priority, number> {
  const counts: Record<Priority, number> = { 1: 0, 2: 0, 3: 0, 4: 0 };
  for (const a of alarms) counts[a.priority] += 1;
  return counts;
}

/** The alarm that decides how a machine looks: the first of the list under its branch. */
export function worst(alarms: readonly Alarm[], branch: string): Alarm | null {
  let found: Alarm | null = null;
  for (const a of alarms) {
    if (!isUnder(a.tag, branch)) continue;
    if (!found || a.priority < found.priority || (a.priority === found.priority && compareAlarms(a, found) < 0)) found = a;
  }
  return found;
}

export interface AlarmFilter {
  priorities: ReadonlySet<Priority>;
  /** '' for all. */
  state: '' | 'unacknowledged' | 'active' | 'returned';
  branch: string;
  text: string;
}

export function matches(a: Alarm, filter: AlarmFilter): boolean {
  if (filter.priorities.size > 0 && !filter.priorities.has(a.priority)) return false;
  if (filter.state === 'unacknowledged' && !isUnacknowledged(a)) return false;
  if (filter.state === 'active' && !isActive(a)) return false;
  if (filter.state === 'returned' && isActive(a)) return false;
  if (!isUnder(a.tag, filter.branch)) return false;
  if (filter.text === '') return true;
  const words = filter.text.toLowerCase().split(/\s+/).filter(Boolean);
  const all = `${a.message} ${a.tag}`.toLowerCase();
  return words.every((word) => all.includes(word));
}
