// The one time range of a page, as it stands in the address bar.
// `span=8h` follows the clock; `from=…&to=…` (RFC 3339, UTC) stands still.

import { DAY, HOUR, MINUTE } from './time';

export type TimeRange = { kind: 'live'; span: number } | { kind: 'fixed'; from: number; to: number };

export const PRESETS = [
  { id: '15m', span: 15 * MINUTE },
  { id: '1h', span: HOUR },
  { id: '8h', span: 8 * HOUR },
  { id: '24h', span: DAY },
] as const;

export type PresetId = (typeof PRESETS)[number]['id'];

const SHORTEST = 2_000;
const LONGEST = 366 * DAY;

export function parseRange(query: URLSearchParams, preset: PresetId): TimeRange {
  const from = Date.parse(query.get('from') ?? '');
  const to = Date.parse(query.get('to') ?? '');
  if (Number.isFinite(from) && Number.isFinite(to) && to > from) return clampRange({ kind: 'fixed', from, to });
  const match = /^(\d{1,5})(s|m|h|d)$/.exec(query.get('span') ?? '');
  const unit = { s: 1000, m: MINUTE, h: HOUR, d: DAY }[match?.[2] ?? 'm'] ?? MINUTE;
  const span = match ? Number(match[1]) * unit : (PRESETS.find((p) => p.id === preset)?.span ?? HOUR);
  return clampRange({ kind: 'live', span });
}

function clampRange(range: TimeRange): TimeRange {
  if (range.kind === 'live') return { kind: 'live', span: Math.min(Math.max(range.span, SHORTEST), LONGEST) };
  const span = range.to - range.from;
  if (span >= SHORTEST && span <= LONGEST) return range;
  const middle = (range.from + range.to) / 2;
  const half = Math.min(Math.max(span, SHORTEST), LONGEST) / 2;
  return { kind: 'fixed', from: middle - half, to: middle + half };
}

function spanId(span: number): string {
  if (span % DAY === 0 && span > DAY) return `${span / DAY}d`;
  if (span % HOUR === 0) return `${span / HOUR}h`;
  if (span % MINUTE === 0) return `${span / MINUTE}m`;
  return `${Math.round(span / 1000)}s`;
}

/** What belongs into the address bar; null removes a key. */
export function rangeQuery(range: TimeRange): Record<'span' | 'from' | 'to', string | null> {
  return range.kind === 'live'
    ? { span: spanId(range.span), from: null, to: null }
    : { span: null, from: new Date(range.from).toISOString(), to: new Date(range.to).toISOString() };
}

export function bounds(range: TimeRange, now: number): { from: number; to: number } {
  return range.kind === 'live' ? { from: now - range.span, to: now } : { from: range.from, to: range.to };
}

/** One width back or forth. Forth past now becomes live again. */
export function shiftRange(range: TimeRange, direction: -1 | 1, now: number): TimeRange {
  const { from, to } = bounds(range, now);
  const span = to - from;
  const next = { kind: 'fixed' as const, from: from + direction * span, to: to + direction * span };
  return next.to >= now ? { kind: 'live', span } : next;
}

/** A factor over 1 shows more. Keeps the right edge while live, else the point `at`. */
export function zoomRange(range: TimeRange, factor: number, now: number, at?: number): TimeRange {
  if (range.kind === 'live' && at === undefined) return clampRange({ kind: 'live', span: range.span * factor });
  const { from, to } = bounds(range, now);
  const pivot = at ?? (from + to) / 2;
  return clampRange({ kind: 'fixed', from: pivot - (pivot - from) * factor, to: pivot + (to - pivot) * factor });
}
