// Asking what machines do and how they are counted, and saying why they stood.

import { ask } from './http';
import {
  corrections as parseCorrections, kpis as parseKpis, level as parseLevel, machines as parseMachines, pieces as parsePieces, reasons as parseReasons, series as parseSeries, stops as parseStops, why as parseWhy,
  type Change, type Correction, type Kpis, type Level, type Machines, type Piece, type Reason, type Slot, type Stops, type Why,
} from './parseOee';

/** A stretch of time in ms: `from <= time < to`. */
export interface Span {
  from: number;
  to: number;
}
export type Step = 'hour' | 'shift' | 'day';
/** So many stops are asked for; the list says so when there are more. */
const MOST_STOPS = 200;

const within = (path: string, span: Span): Record<string, string | number> => ({ path, from_ms: Math.floor(span.from), to_ms: Math.ceil(span.to) });

export const readMachines = (branch: string, signal?: AbortSignal): Promise<Machines> => ask('/api/mes/machines', { query: { branch: branch || null }, read: parseMachines, signal });

export const readKpis = (path: string, span: Span, signal?: AbortSignal): Promise<Kpis> => ask('/api/mes/kpis', { query: within(path, span), read: parseKpis, signal });

/** A node and what stands one level below it, in one question; '' for all that can be seen. */
export const readLevel = (path: string, span: Span, signal?: AbortSignal): Promise<Level> => ask('/api/mes/kpis/children', { query: within(path, span), read: parseLevel, signal, timeoutMs: 30_000 });

export const readSeries = (path: string, span: Span, step: Step, signal?: AbortSignal): Promise<Slot[]> =>
  ask('/api/mes/kpis/series', { query: { ...within(path, span), step }, read: parseSeries, signal, timeoutMs: 30_000 });

export const readPieces = (unit: string, span: Span, signal?: AbortSignal): Promise<Piece[]> => ask('/api/mes/states', { query: within(unit, span), read: parsePieces, signal });

export const readStops = (path: string, span: Span, signal?: AbortSignal): Promise<Stops> =>
  ask('/api/mes/stops', { query: { ...within(path, span), limit: MOST_STOPS }, read: parseStops, signal });

export const readReasons = (signal?: AbortSignal): Promise<Reason[]> => ask('/api/mes/reasons', { read: parseReasons, signal });

/** Of one machine; the others at a branch are asked for one by one. */
export const readCorrections = (unit: string, span: Span, signal?: AbortSignal): Promise<Correction[]> =>
  ask('/api/mes/corrections', { query: within(unit, span), read: parseCorrections, signal });

export const readWhy = (path: string, kpi: string, span: Span, signal?: AbortSignal): Promise<Why> =>
  ask('/api/mes/why', { query: { ...within(path, span), kpi }, read: parseWhy, signal, timeoutMs: 30_000 });

/** Says what a stretch of a unit really was; it ends now at the latest. `key`: the same one again changes nothing, so that a lost answer may be asked for again. */
export function correct(path: string, span: Span, change: Change, note: string, key: string): Promise<void> {
  const said = 'asRecorded' in change ? { as_recorded: true } : change;
  return ask('/api/mes/corrections', { method: 'POST', body: { ...within(path, span), ...said, ...(note ? { note } : {}), key } });
}
