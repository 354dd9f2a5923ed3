// What is asked of the server about maintenance. Each wish carries a key of its own: sent again after a lost answer, it is done once.

import { asProblem, ask, type Problem } from './http';
import type { Span } from './oee';
import { figures, plans, work, workLedger, workPage, type Figures, type Plan, type Work, type WorkEntry, type WorkPage } from './parseMaintenance';
import type { InstructionText } from './parseOrders';

export type Trigger = 'release' | 'revoke' | 'begin' | 'join' | 'leave' | 'pause' | 'resume' | 'finish' | 'cancel' | 'close';
const BASE = '/api/mes/maintenance';
const of = (number: string, what = ''): string => `${BASE}/orders/${encodeURIComponent(number)}${what}`;
/** The most that the server tells at once. */
const PAGE = 500;
/** The newest come first, so a failure that stands for long is behind them: so many pages are read. That there are more is said. */
const PAGES = 4;

export async function openWork(branch: string, signal?: AbortSignal): Promise<WorkPage> {
  const all: WorkPage = { orders: [], next: null };
  for (let read = 0; read < PAGES && (read === 0 || all.next !== null); read += 1) {
    const page = await ask(`${BASE}/orders`, { query: { open: 'true', branch: branch || null, limit: PAGE, after: all.next }, read: workPage, signal });
    // One that was begun between two pages is told once.
    all.orders.push(...page.orders.filter((one) => !all.orders.some((known) => known.id === one.id)));
    all.next = page.next;
  }
  return all;
}
export const getWork = (number: string, signal?: AbortSignal): Promise<Work> => ask(of(number), { read: work, signal });
export const getWorkLedger = (number: string, signal?: AbortSignal): Promise<{ entries: WorkEntry[]; more: boolean }> => ask(of(number, '/ledger'), { read: workLedger, signal });
export const listPlans = (branch: string, signal?: AbortSignal): Promise<Plan[]> => ask(`${BASE}/plans`, { query: { branch: branch || null }, read: plans, signal });
export const readFigures = (path: string, { from, to }: Span, signal?: AbortSignal): Promise<Figures> => ask(`${BASE}/figures`, { query: { path, from_ms: Math.floor(from), to_ms: Math.ceil(to) }, read: figures, signal, timeoutMs: 30_000 });

export interface NewWork {
  equipment: string;
  title: string;
  /** Null: nothing has failed. */
  failed: number | null;
  note: string;
}
export const newWork = (wish: NewWork, key: string): Promise<Work> => ask(`${BASE}/orders`, { method: 'POST', body: { key, kind: 'corrective', equipment: wish.equipment, title: wish.title, failed_ms: wish.failed, ...(wish.note ? { note: wish.note } : {}) }, read: work });
/** The alarm's order: made, or the one that is there for this occurrence. */
export const workOfAlarm = (alarm: { name: string; occurrence: string }, key: string): Promise<Work> => ask(`${BASE}/orders`, { method: 'POST', body: { key, alarm: { name: alarm.name, occurrence: alarm.occurrence } }, read: work });
export const workOfPlan = (plan: string, key: string): Promise<Work> => ask(`${BASE}/orders`, { method: 'POST', body: { key, plan }, read: work });

export interface More {
  why?: 'Held' | 'Suspended';
  reason?: string;
  code?: string;
  cause?: string;
  remedy?: string;
  /** When it ran again; now if missing. */
  restored_ms?: number;
}
export const trigger = (order: Work, what: Trigger, more: More, key: string): Promise<Work> => ask(of(order.number, `/${what}`), { method: 'POST', body: { version: order.version, key, ...more }, read: work });
export const addPart = (order: Work, part: { material: string; quantity: number; lot: string }, key: string): Promise<Work> =>
  ask(of(order.number, '/parts'), { method: 'POST', body: { key, material: part.material, quantity: part.quantity, ...(part.lot ? { lot: part.lot } : {}) }, read: work });
export const confirmRead = (order: Work, text: InstructionText): Promise<void> => ask(of(order.number, '/seen'), { method: 'POST', body: { instruction: text.name, revision: text.revision, sha256: text.sha256 } });

/** The order as it is now, out of a refusal that brings it. */
export function currentOf(problem: Problem): Work | null {
  try {
    return problem.kind === 'conflict' ? work(problem.more['current']) : null;
  } catch {
    return null;
  }
}

/** What became of a wish: done; refused, with the order as it is now where that is said; or nobody knows. */
export type Came<T> = { was: 'done'; what: T } | { was: 'refused'; problem: Problem; current: Work | null } | { was: 'unknown' };
export async function came<T>(doing: Promise<T>): Promise<Came<T>> {
  try {
    return { was: 'done', what: await doing };
  } catch (error) {
    const problem = asProblem(error);
    // 503: it may be written, and may not: the same key asks for it again.
    return problem.kind === 'offline' || problem.status === 503 ? { was: 'unknown' } : { was: 'refused', problem, current: currentOf(problem) };
  }
}
