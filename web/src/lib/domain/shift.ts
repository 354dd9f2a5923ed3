// The logbook, hand-overs and labour: what can be said of them without the server.

import type { Entries, Entry, Handover, Item, Span } from '$lib/api/parseShift';
import { isUnder } from './tree';

/** The longest texts that are taken, in bytes. */
export const TEXT_BYTES = 4000;
export const NOTE_BYTES = 1000;

const utf8 = new TextEncoder();
/** How many bytes more than `limit` a text has; 0: it fits. */
export const tooLongBy = (text: string, limit: number): number => Math.max(0, utf8.encode(text.trim()).length - limit);

/**
 * The newest page put over what is shown, both the newest first. What is shown keeps its place and tells its newest state; what is new
 * waits, for no row moves under a finger. `joined`: the page reaches down to what is shown, so nothing lies between unseen. `open`: only
 * what is open was asked for, so what is missing within the page is open no more.
 */
export function renewed(shown: readonly Entry[], { entries: page, next }: Entries, open: boolean): { rows: Entry[]; waiting: Entry[]; joined: boolean } {
  const now = new Map(page.map((one): [number, Entry] => [one.number, one]));
  const newest = shown[0]?.number ?? 0;
  const oldest = next === null ? 0 : (page.at(-1)?.number ?? 0);
  const rows = shown.map((one) => now.get(one.number) ?? (open && one.number >= oldest ? { ...one, open: false } : one));
  const waiting = page.filter((one) => one.number > newest);
  return { rows, waiting, joined: shown.length === 0 || waiting.length < page.length || page.length === 0 };
}

/** Older entries put after those that are shown; none stands twice. */
export function appended(shown: readonly Entry[], older: readonly Entry[]): Entry[] {
  const known = new Set(shown.map((one) => one.number));
  return [...shown, ...older.filter((one) => !known.has(one.number))];
}

export type CorrectBar = 'handover' | 'corrected' | 'right' | null;
/** Why an entry cannot be corrected by this person; null: it can. `engineer`: at its place. */
export function correctBar(entry: Entry, me: string, engineer: boolean): CorrectBar {
  if (entry.kind === 'handover') return 'handover';
  if (entry.correctedBy !== null) return 'corrected';
  return entry.by === me || engineer ? null : 'right';
}

/** Who wrote a hand-over does not confirm it; where nobody logs in, one person cannot be told from another. */
export const isOwn = (handover: Handover, user: { id: string; kind: string }): boolean => handover.by === user.id && user.kind !== 'anonymous';

/** `Interrupted (Held)` as it is named among the texts: state and what it is in. */
export function jobStateKey(state: string): string {
  const match = /^(\w+)(?: \((\w+)\))?$/.exec(state);
  return match ? `job_state.${match[1]}${match[2] ? `_${match[2]}` : ''}` : '';
}

export const itemKey = (item: Item): string => [item.kind, item.path, item.entry ?? item.job ?? item.alarm ?? item.since].join(' ');

/** The entries of a proposal that are wished to stay open and are open still. */
export const keptOf = (items: readonly Item[], wished: readonly number[]): number[] => items.flatMap((item) => (item.kind === 'entry' && item.entry !== null && wished.includes(item.entry) ? [item.entry] : []));

/** Where a screen without a place in its address looks: the highest place where the person may act, else the highest there is. */
export function firstPlace(places: readonly string[], may: (path: string) => boolean): string {
  const high = places.toSorted((a, b) => a.split('/').length - b.split('/').length);
  return high.find(may) ?? high[0] ?? '';
}

/** How long it lasted within a window, up to now: what ends by a rule has ended then. */
export const lasted = (span: Span, now: number): number => Math.max(0, (span.to ?? Math.min(now, span.endsBy)) - span.from);

/** Whether the person is signed on at this very place, somewhere else, or nowhere. */
export function standing(me: Span | null, path: string, now: number): 'here' | 'below' | 'elsewhere' | 'off' {
  if (me === null || me.endsBy <= now) return 'off';
  if (me.path === path) return 'here';
  return isUnder(me.path, path) ? 'below' : 'elsewhere';
}
