// What is asked of the server about energy.

import { ask } from './http';
import type { Span } from './oee';
import { energy, peaks, type Energy, type EnergyStep, type Peaks } from './parseEnergy';

/** A long window of many meters. */
const LONG = 30_000;

export const readEnergy = (path: string, { from, to }: Span, step: EnergyStep, signal?: AbortSignal): Promise<Energy> =>
  ask('/api/mes/energy', { query: { path, from_ms: Math.floor(from), to_ms: Math.ceil(to), step }, read: energy, signal, timeoutMs: LONG });
/** `month` as 2026-06. */
export const readPeaks = (path: string, month: string, signal?: AbortSignal): Promise<Peaks> => ask('/api/mes/energy/peaks', { query: { path, month, limit: 10 }, read: peaks, signal, timeoutMs: LONG });
