// Which events a filter lets through, and how grave an event is.

import type { EventKind, PlantEvent, Priority } from '$lib/api/types';
import { isUnder } from './tree';

export interface EventFilter {
  /** Empty: all kinds. */
  kinds: ReadonlySet<EventKind>;
  path: string;
}

export function wants(filter: EventFilter, event: PlantEvent): boolean {
  return (filter.kinds.size === 0 || filter.kinds.has(event.kind)) && isUnder(event.path, filter.path);
}

/**
 * Newest first, each event once. The number in the chain decides, never the clock: of two events in one millisecond the later
 * one stands above, and a clock that was set back puts nothing in another order than it happened.
 */
export function newestFirst(...lists: readonly (readonly PlantEvent[])[]): PlantEvent[] {
  const bySeq = new Map<number, PlantEvent>();
  for (const list of lists) for (const event of list) bySeq.set(event.seq, event);
  return [...bySeq.values()].sort((a, b) => b.seq - a.seq);
}

export type Gravity =
  /** An alarm was raised: its own symbol. */
  | { kind: 'alarm'; priority: Priority }
  /** Something did not work. */
  | { kind: 'trouble'; level: Priority }
  | { kind: 'info' };

/**
 * As grave as the server says, in its answers and in SQL: an alarm's return or acknowledgement is for the record, whatever the
 * alarm's priority. Saturated colour stays with alarms; other troubles are told by a shape in ink and a word.
 */
export function gravity(event: PlantEvent): Gravity {
  const level = priorityFrom(event.severity);
  if (level === null) return { kind: 'info' };
  return event.kind === 'alarm' ? { kind: 'alarm', priority: level } : { kind: 'trouble', level };
}

/** The priority of the alarm that an event is about, also where it returned or was acknowledged. */
export const alarmPriority = (event: PlantEvent): Priority => priorityFrom(event.detail['priority']) ?? 4;

const priorityFrom = (n: unknown): Priority | null => (n === 1 || n === 2 || n === 3 || n === 4 ? n : null);
