// The wall screen: which tiles are shown, how they are laid out, and what counts as abnormal.

import type { Alarm } from '$lib/api/types';
import type { Element, Machine } from '$lib/api/parseOee';
import { isActive } from './alarms';
import { isUnder } from './tree';

export const MOST_TILES = 12;

/** It stands though it should work, or nobody knows what it does. */
const STANDS: ReadonlySet<Element> = new Set<Element>(['delay', 'minor_stop', 'unknown']);

export const standing = (machine: Machine): boolean => STANDS.has(machine.element) && machine.planned === 'busy';

/** Active alarms below a machine. */
export const alarmsOf = (alarms: readonly Alarm[], path: string): Alarm[] => alarms.filter((a) => isActive(a) && isUnder(a.equipment || a.tag, path));

/** Somebody should look: it stands, or has an alarm of priority 1 or 2. A minor stop may go by itself: it does not hold the screen. */
export function abnormal(machine: Machine, alarms: readonly Alarm[]): boolean {
  if (standing(machine) && machine.element !== 'minor_stop') return true;
  return alarmsOf(alarms, machine.path).some((a) => a.priority <= 2);
}

/**
 * What the screen shows at its `turn`-th change. What is abnormal stays, the longest first; the others take turns in the room that is
 * left, in the order of the plant. Is there more abnormal than fits, then that takes turns.
 */
export function onScreen(machines: readonly Machine[], bad: ReadonlySet<string>, room: number, turn: number): { shown: Machine[]; turns: number } {
  if (machines.length <= room) return { shown: [...machines], turns: 1 };
  const held = machines.filter((m) => bad.has(m.path)).toSorted((a, b) => (a.sinceMs ?? Infinity) - (b.sinceMs ?? Infinity) || a.path.localeCompare(b.path));
  if (held.length >= room) return pageOf(held, room, turn, []);
  return pageOf(
    machines.filter((m) => !bad.has(m.path)),
    room - held.length,
    turn,
    held,
  );
}

function pageOf(list: readonly Machine[], room: number, turn: number, held: readonly Machine[]): { shown: Machine[]; turns: number } {
  const turns = Math.max(1, Math.ceil(list.length / room));
  // The last page is filled from the front, so that no tile changes its size.
  const first = Math.min((turn % turns) * room, Math.max(0, list.length - room));
  return { shown: [...held, ...list.slice(first, first + room)], turns };
}

/** How many columns and rows for so many tiles: as near to tiles of 3 : 2 as the screen allows. */
export function layout(count: number, width: number, height: number): { columns: number; rows: number } {
  let best = { columns: 1, rows: Math.max(1, count) };
  let worst = Infinity;
  for (let columns = 1; columns <= Math.max(1, count); columns += 1) {
    const rows = Math.max(1, Math.ceil(count / columns));
    const shape = width / columns / (height / rows);
    const empty = columns * rows - count;
    const off = Math.abs(Math.log(shape / 1.5)) + empty * 0.08;
    if (off < worst) {
      worst = off;
      best = { columns, rows };
    }
  }
  return best;
}

/** `12:05`, `3 h 20`: how long, so short that it can be read from afar. */
export function sinceText(ms: number): string {
  const s = Math.max(0, Math.floor(ms / 1000));
  const two = (n: number): string => String(n).padStart(2, '0');
  if (s < 3600) return `${Math.floor(s / 60)}:${two(s % 60)}`;
  const h = Math.floor(s / 3600);
  return h < 48 ? `${h}:${two(Math.floor((s % 3600) / 60))}\u202fh` : `${Math.floor(h / 24)}\u202fd`;
}
