// "Compare with earlier": by how much the ghost of each pen is shifted, as it stands in the address bar (`cmp=8h`).

import { DAY, HOUR, MINUTE, SECOND } from './time';

export const EARLIER = [
  { id: '1h', shift: HOUR },
  { id: '8h', shift: 8 * HOUR },
  { id: '1d', shift: DAY },
  { id: '7d', shift: 7 * DAY },
] as const;

const LONGEST = 3660 * DAY;
const UNITS: Readonly<Record<string, number>> = { s: SECOND, m: MINUTE, h: HOUR, d: DAY };

/** The shift in ms; null: nothing to compare with. */
export function parseEarlier(text: string | null): number | null {
  const match = /^(\d{1,9})(s|m|h|d)$/.exec(text ?? '');
  const shift = match ? Number(match[1]) * (UNITS[match[2] ?? ''] ?? 0) : 0;
  return shift > 0 && shift <= LONGEST ? shift : null;
}

/** For the address bar, in the largest unit that says it exactly; to the second. */
export function earlierText(shift: number): string {
  const seconds = Math.round(shift / SECOND) * SECOND;
  for (const [unit, size] of [['d', DAY], ['h', HOUR], ['m', MINUTE]] as const) if (seconds % size === 0) return `${seconds / size}${unit}`;
  return `${seconds / SECOND}s`;
}
