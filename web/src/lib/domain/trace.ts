// What screens show of what went into what.

import type { Finding, Item, Link, Measured, Reached, Trace } from '$lib/api/parseTrace';
import { numberText } from './number';

/** A line of the tree of what hangs together. */
export interface Branch {
  item: Reached;
  /** How it went there; null for what was asked about. */
  link: Link | null;
  /** Steps from what was asked about, on this way. */
  level: number;
  /** What follows of it stands higher up and is not told twice. */
  again: boolean;
}

/**
 * The tree from what was asked about, depth first, in order of time. An item that is reached on several ways has a line for each, and what
 * follows of it below the first one only, so there are as many lines as links. At most `most` lines; `left` says how many more there are.
 */
export function branches(trace: Trace, forward: boolean, most: number): { rows: Branch[]; left: number } {
  const root = trace.items[0];
  if (!root) return { rows: [], left: 0 };
  const known = new Map(trace.items.map((item): [string, Reached] => [item.id, item]));
  const next = new Map<string, Link[]>();
  for (const link of trace.links) {
    const at = forward ? link.from : link.to;
    const there = next.get(at);
    if (there) there.push(link);
    else next.set(at, [link]);
  }
  for (const links of next.values()) links.sort((a, b) => a.at - b.at);
  const rows: Branch[] = [];
  const told = new Set<string>();
  let count = 0;
  // A list and not a call in itself: a chain may be longer than the browser's stack.
  const waiting: Omit<Branch, 'again'>[] = [{ item: root, link: null, level: 0 }];
  for (let one = waiting.pop(); one; one = waiting.pop()) {
    const { item, level } = one;
    const links = next.get(item.id) ?? [];
    const again = told.has(item.id) && links.length > 0;
    count += 1;
    if (rows.length < most) rows.push({ ...one, again });
    if (told.has(item.id)) continue;
    told.add(item.id);
    for (const link of links.toReversed()) {
      const there = known.get(forward ? link.to : link.from);
      if (there) waiting.push({ item: there, link, level: level + 1 });
    }
  }
  return { rows, left: count - rows.length };
}

/** What concerns an item, itself or what was put into it. */
export const findingsOf = (findings: readonly Finding[], id: string): Finding[] => findings.filter((one) => one.item === id || one.other === id);

/** A measured value as it was said, with its digits. */
export function measuredText(value: Measured, locale: string, words: { yes: string; no: string }): string {
  if (typeof value === 'boolean') return value ? words.yes : words.no;
  if (typeof value === 'string') return value;
  return numberText(value, locale);
}

/** A name for a file, as the server writes it. */
export const fileName = (text: string, ending: string): string => `${text.replace(/[^A-Za-z0-9._-]/g, '_')}.${ending}`;

/** More of it was used than there was. */
export const isOverdrawn = (item: Pick<Item, 'remaining'>): boolean => item.remaining !== null && item.remaining < 0;
