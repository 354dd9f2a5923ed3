// The strip under a chart: how long each alarm was active, and events gathered where they would stand on each other.

import type { PlantEvent, Priority } from '$lib/api/types';
import { alarmPriority, gravity } from './events';

/** A stretch in which an alarm was active. */
export interface AlarmBar {
  key: string;
  from: number;
  to: number;
  priority: Priority;
  text: string;
}

const word = (event: PlantEvent, key: string): string => {
  const value = event.detail[key];
  return typeof value === 'string' ? value : '';
};
const ACTIVE = new Set(['unacknowledged', 'acknowledged']);

/**
 * From raised to returned. What was raised before `from` begins there, what has not returned ends at `end`. Built from the
 * events of the range alone: an alarm that neither began nor changed within it has no bar.
 */
export function alarmBars(events: readonly PlantEvent[], from: number, end: number): AlarmBar[] {
  const open = new Map<string, AlarmBar>();
  const bars: AlarmBar[] = [];
  for (const event of events.filter((e) => e.kind === 'alarm').toSorted((a, b) => a.seq - b.seq)) {
    const key = word(event, 'alarm') || event.path;
    const known = open.get(key);
    const active = ACTIVE.has(word(event, 'to'));
    if (active && !known) {
      const began = word(event, 'to') === 'unacknowledged' ? event.atMs : from;
      const bar = { key: `${key} ${event.seq}`, from: Math.max(from, began), to: end, priority: alarmPriority(event), text: event.summary };
      open.set(key, bar);
      bars.push(bar);
    } else if (!active && known) {
      known.to = event.atMs;
      open.delete(key);
    } else if (!active && ACTIVE.has(word(event, 'from'))) {
      bars.push({ key: `${key} ${event.seq}`, from, to: event.atMs, priority: alarmPriority(event), text: event.summary });
    }
  }
  return bars.filter((bar) => bar.to > bar.from && bar.from < end);
}

/** When it was: a note is about another time than the one at which it was written. */
export const placeOf = (event: PlantEvent): number => (event.kind === 'note' ? (event.sourceMs ?? event.atMs) : event.atMs);

/** Until when a note is about what it says, in ms; null: it is about an instant. */
export function noteEnd(event: PlantEvent): number | null {
  const until = event.detail['until'];
  return event.kind === 'note' && typeof until === 'number' ? until / 1000 : null;
}

export interface Cluster {
  x: number;
  events: PlantEvent[];
}

/** Events whose marks would come nearer than `room` pixels share one, at the place of the first. Oldest first. */
export function clusters(events: readonly PlantEvent[], X: (at: number) => number, room: number): Cluster[] {
  const found: Cluster[] = [];
  for (const event of events.toSorted((a, b) => placeOf(a) - placeOf(b) || a.seq - b.seq)) {
    const x = X(placeOf(event));
    const last = found.at(-1);
    if (last && x - last.x < room) last.events.push(event);
    else found.push({ x, events: [event] });
  }
  return found;
}

/** The gravest priority among them; null where none is an alarm that was raised. */
export function worst(events: readonly PlantEvent[]): Priority | null {
  const raised = events.map(gravity).flatMap((g) => (g.kind === 'alarm' ? [g.priority] : []));
  return raised.length ? (Math.min(...raised) as Priority) : null;
}

/** What stands in which row: alarms where they were raised, what people and programs did, and what people wrote. A return is the end of a bar. */
export function rows(events: readonly PlantEvent[]): { alarms: PlantEvent[]; others: PlantEvent[]; notes: PlantEvent[] } {
  const alarms: PlantEvent[] = [];
  const others: PlantEvent[] = [];
  const notes: PlantEvent[] = [];
  for (const event of events) {
    if (event.kind === 'note') notes.push(event);
    else if (event.kind !== 'alarm') others.push(event);
    else if (word(event, 'to') === 'unacknowledged') alarms.push(event);
    else if (event.by.kind !== 'system') others.push(event);
  }
  return { alarms, others, notes };
}
