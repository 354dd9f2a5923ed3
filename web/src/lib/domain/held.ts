// New rows never move the row under the finger (UI rules, section 6): while somebody points at, types in or has
// scrolled a list, new rows wait and are counted; rows that are shown change in place.

export interface Held<T> {
  rows: T[];
  waiting: number;
}

/**
 * `shown` are the rows on the screen, `latest` all rows in their right order.
 * While `holding`, the shown rows keep their places with their newest contents, and those that left stay as they were.
 */
export function hold<T>(
  shown: readonly T[],
  latest: readonly T[],
  key: (row: T) => string,
  holding: boolean,
  /** Every row there is, where `latest` is filtered: a shown row that the filter now drops still tells its newest state. */
  all: readonly T[] = latest,
): Held<T> {
  if (!holding || shown.length === 0) return { rows: [...latest], waiting: 0 };
  const byKey = new Map(all.map((row): [string, T] => [key(row), row]));
  const rows = shown.map((row) => byKey.get(key(row)) ?? row);
  const seen = new Set(shown.map(key));
  let waiting = 0;
  for (const row of latest) if (!seen.has(key(row))) waiting += 1;
  return { rows, waiting };
}
