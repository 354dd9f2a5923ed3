// What is asked of the server about kept reports. A wish carries a key of its own: sent again after a lost answer, it is done once.

import { ask, askFile } from './http';
import { object } from './parse';
import { keptReport, orderUnits, reportRow, reportsPage, schedules, type KeptReport, type OrderUnit, type ReportKind, type ReportRow, type ReportsPage, type Schedule } from './parseReports';

const BASE = '/api/mes/reports';
const LONG = 60_000;
const PAGE = 50;

export interface ReportFilter {
  kind: ReportKind | null;
  path: string;
  order: string;
}
export const listReports = ({ kind, path, order }: ReportFilter, after: string | null, signal?: AbortSignal): Promise<ReportsPage> => ask(BASE, { query: { kind, path: path || null, order: order || null, after, limit: PAGE }, read: reportsPage, signal });
export const getReport = (id: string, signal?: AbortSignal): Promise<KeptReport> => ask(`${BASE}/${encodeURIComponent(id)}`, { read: keptReport, signal, timeoutMs: LONG });
export const reportFile = (id: string): Promise<Blob> => askFile(`${BASE}/${encodeURIComponent(id)}/file`, { timeoutMs: LONG });
export const listSchedules = (signal?: AbortSignal): Promise<Schedule[]> => ask('/api/mes/report-schedules', { read: schedules, signal });

/** Without a window: the shift that is on or was last, the day of now. */
export type NewReport = { kind: 'shift' | 'day'; path: string; window: { from: number; to: number } | null } | { kind: 'order'; order: string };
export function makeReport(wish: NewReport, key: string): Promise<ReportRow> {
  const body = wish.kind === 'order' ? { kind: wish.kind, order: wish.order } : { kind: wish.kind, path: wish.path, ...(wish.window ? { from_ms: Math.floor(wish.window.from), to_ms: Math.ceil(wish.window.to) } : {}) };
  return ask(BASE, { method: 'POST', body: { key, ...body }, read: (raw) => reportRow(object(raw, 'report')), timeoutMs: LONG });
}
/** Units of an order, the newest first. */
export const listOrderUnits = (number: string, before: string | null, signal?: AbortSignal): Promise<{ units: OrderUnit[]; next: string | null }> => ask(`/api/mes/orders/${encodeURIComponent(number)}/units`, { query: { before, limit: 500 }, read: orderUnits, signal });
