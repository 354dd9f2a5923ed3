// Finding by parts of words: every word typed must occur in the name or the path; names that begin so come first.

export interface Findable {
  name: string;
  path: string;
}

const plain = (text: string): string => text.toLowerCase().normalize('NFD').replace(/\p{Diacritic}/gu, '');

export function rank<T extends Findable>(entries: readonly T[], text: string, most: number): T[] {
  const words = plain(text).split(/\s+/).filter(Boolean);
  if (words.length === 0) return entries.slice(0, most);
  const scored: { entry: T; score: number }[] = [];
  for (const entry of entries) {
    const name = plain(entry.name);
    const path = plain(entry.path);
    let score = 0;
    for (const word of words) {
      if (name.startsWith(word)) score += 4;
      else if (name.includes(word)) score += 2;
      else if (path.includes(word)) score += 1;
      else {
        score = -1;
        break;
      }
    }
    if (score > 0) scored.push({ entry, score });
  }
  return scored
    .sort((a, b) => b.score - a.score || a.entry.path.length - b.entry.path.length)
    .slice(0, most)
    .map((s) => s.entry);
}
