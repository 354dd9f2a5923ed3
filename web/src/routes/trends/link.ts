// Pens in the address bar: paths in order, a `!` before one that is hidden.

import { MOST_PENS } from './data.svelte';

export interface PenWish {
  path: string;
  hidden: boolean;
}

export function parsePens(text: string | null): PenWish[] {
  const seen = new Set<string>();
  const wishes: PenWish[] = [];
  for (const part of (text ?? '').split(',')) {
    const hidden = part.startsWith('!');
    const path = hidden ? part.slice(1) : part;
    if (path === '' || seen.has(path) || wishes.length >= MOST_PENS) continue;
    seen.add(path);
    wishes.push({ path, hidden });
  }
  return wishes;
}

export function pensText(wishes: readonly PenWish[]): string {
  return wishes.map((w) => (w.hidden ? `!${w.path}` : w.path)).join(',');
}
