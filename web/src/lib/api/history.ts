// Reading history: few at a time, and the same question asked twice within a while is answered once.

import { ask } from './http';
import { aggregate as parseAggregate, event as parseEvent, history as parseHistory, intervals as parseIntervals } from './parse';
import type { Aggregate, History, PlantEvent } from './types';

const AT_ONCE = 4;
const KEEP_MS = 45_000;
const MOST_KEPT = 400;

let running = 0;
const waiting: (() => void)[] = [];
const kept = new Map<string, { at: number; answer: Promise<History> }>();

async function turn<T>(work: () => Promise<T>): Promise<T> {
  if (running >= AT_ONCE) await new Promise<void>((go) => waiting.push(go));
  running += 1;
  try {
    return await work();
  } finally {
    running -= 1;
    waiting.shift()?.();
  }
}

export function readHistory(tag: string, from: number, to: number, maxPoints: number, signal?: AbortSignal): Promise<History> {
  return turn(() =>
    ask('/api/history', {
      query: { tag, from_ms: Math.floor(from), to_ms: Math.ceil(to), max_points: Math.round(maxPoints) },
      read: parseHistory,
      signal,
      timeoutMs: 30_000,
    }),
  );
}

/** One number out of all readings of a stretch, by its name in OPC 10000-13. It is computed in the server, never here. */
export function readAggregate(tag: string, aggregate: string, from: number, to: number, stepped: boolean, signal?: AbortSignal): Promise<Aggregate> {
  return turn(() =>
    ask('/api/aggregate', {
      query: { tag, aggregate, from_ms: Math.floor(from), to_ms: Math.ceil(to), interval_ms: 0, stepped: String(stepped) },
      read: parseAggregate,
      signal,
      timeoutMs: 30_000,
    }),
  );
}

/** For how long, in ms, a tag was bad in each interval of a stretch: uncertain time does not count. */
export function readBadTime(tag: string, from: number, to: number, interval: number, stepped: boolean, signal?: AbortSignal): Promise<{ at: number; value: number }[]> {
  return turn(() =>
    ask('/api/aggregate', {
      query: { tag, aggregate: 'DurationBad', from_ms: Math.floor(from), to_ms: Math.ceil(to), interval_ms: Math.ceil(interval), stepped: String(stepped), treat_uncertain_as_bad: 'false' },
      read: parseIntervals,
      signal,
      timeoutMs: 30_000,
    }),
  );
}

/** Takes a stretch out of a tag's history: `from <= time < to`. */
export function deleteHistory(tag: string, from: number, to: number, reason: string): Promise<void> {
  return ask('/api/history/delete', { method: 'POST', body: { tag, from_ms: Math.floor(from), to_ms: Math.ceil(to), reason }, timeoutMs: 60_000 });
}

/** Accepts that what cannot be read of a damaged file of history is lost. */
export function giveUpFile(file: string, reason: string): Promise<void> {
  return ask('/api/history/give-up', { method: 'POST', body: { file, reason }, timeoutMs: 60_000 });
}

/** Writes a note about a tag or equipment into the timeline, about an instant or a stretch. */
export function writeNote(path: string, text: string, at: number, until: number | null): Promise<PlantEvent> {
  return ask('/api/notes', { method: 'POST', body: { path, text, at_ms: Math.round(at), until_ms: until === null ? null : Math.round(until) }, read: parseEvent });
}

/** The hour behind `now` for a small curve; good for a while, because the screen adds live values itself. */
export function recentHistory(tag: string, now: number, span: number, maxPoints: number): Promise<History> {
  const key = `${tag} ${span} ${maxPoints}`;
  const known = kept.get(key);
  if (known && now - known.at < KEEP_MS) return known.answer;
  const answer = readHistory(tag, now - span, now, maxPoints);
  if (kept.size >= MOST_KEPT) kept.delete(kept.keys().next().value ?? '');
  kept.set(key, { at: now, answer });
  answer.catch(() => kept.delete(key));
  return answer;
}
