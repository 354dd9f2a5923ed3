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
  /** An alarm: its own symbol; filled only where the event raised it. */
  | { kind: 'alarm'; priority: Priority; raised: boolean }
  /** Something did not work. */
  | { kind: 'trouble'; level: 1 | 2 | 3 | 4 }
  | { kind: 'info' };

/** Saturated colour stays with alarms; other troubles are told by a shape in ink and a word. */
export function gravity(event: PlantEvent): Gravity {
  if (event.kind === 'alarm') {
    const p = event.detail['priority'];
    const priority: Priority = p === 1 || p === 2 || p === 3 ? p : 4;
    return { kind: 'alarm', priority, raised: event.detail['to'] === 'unacknowledged' };
  }
  const level = Math.round(event.severity);
  if (level >= 1 && level <= 4) return { kind: 'trouble', level: level as 1 | 2 | 3 | 4 };
  return { kind: 'info' };
}
