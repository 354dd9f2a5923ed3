// The border for kept reports (`/api/mes/reports`): raw JSON in, checked words out. A report's numbers that can be broken are texts of decimal
// digits there, so that they are signed as they are read; here they are numbers to be shown. Times in ms since 1970 UTC.

import { flag, list, num, numOr, numOrNull, object, oneOf, orNull, ShapeError, text, textOr, textOrNull, type Raw } from './parse';
import { kpis, type Kpis } from './parseOee';

export const REPORT_KINDS = ['shift', 'day', 'order'] as const;
export type ReportKind = (typeof REPORT_KINDS)[number];

export interface ReportRow {
  id: string;
  kind: ReportKind;
  path: string;
  order: string | null;
  shift: string | null;
  from: number;
  to: number;
  made: number;
  /** Null: a schedule made it. */
  by: string | null;
  byName: string | null;
  schedule: string | null;
  replaces: string | null;
  replacedBy: string | null;
  bytes: number;
}

export interface ReportsPage {
  reports: ReportRow[];
  next: string | null;
}

export interface Schedule {
  name: string;
  kind: ReportKind;
  path: string;
  after: number;
  folder: string | null;
  keepDays: number | null;
  last: ReportRow | null;
  next: { from: number; to: number; at: number } | null;
  error: { text: string; at: number } | null;
}

export type Cell = string | number | boolean | null;
/** A table of a report; `missing`: why it cannot be told. */
export type Table = { missing: string } | { rows: Readonly<Record<string, Cell>>[]; truncated: boolean };
export type Facts = { missing: string } | { facts: Readonly<Record<string, Cell>> };

export interface KeptReport extends ReportRow {
  title: string;
  goesOn: boolean;
  zone: string;
  node: { keyId: string; program: string };
  /** The node has just checked the kept bytes. */
  verified: boolean;
  /** Its figures come to something else now; null: that cannot be told. */
  superseded: boolean | null;
  signature: { alg: string; keyId: string };
  people: ReadonlyMap<string, string>;
  kpis: { missing: string } | { kpis: Kpis } | null;
  /** What an order came to. */
  head: Facts | null;
  labour: Facts | null;
  /** By the name of the section, in the order in which they are shown. */
  tables: ReadonlyMap<string, Table>;
}

export interface OrderUnit {
  id: string;
  material: string;
  number: string;
  state: string;
  made: number;
  finished: number | null;
  certificate: { number: string; sha256: string; issued: number } | null;
  /** Null: it is not finished. */
  certificateState: 'due' | 'issued' | 'not_possible' | null;
}

export function reportRow(o: Raw): ReportRow {
  return {
    id: text(o['id'], 'report.id'),
    kind: oneOf(o['kind'], REPORT_KINDS, 'report.kind'),
    path: textOr(o['path'], ''),
    order: textOrNull(o['order']),
    shift: textOrNull(o['shift']),
    from: num(o['from_ms'], 'report.from_ms'),
    to: num(o['to_ms'], 'report.to_ms'),
    made: num(o['made_ms'], 'report.made_ms'),
    by: textOrNull(o['by']),
    byName: textOrNull(o['by_name']),
    schedule: textOrNull(o['schedule']),
    replaces: textOrNull(o['replaces']),
    replacedBy: textOrNull(o['replaced_by']),
    bytes: numOr(o['bytes'], 0),
  };
}

export function reportsPage(raw: unknown): ReportsPage {
  const o = object(raw, 'reports');
  return { reports: list(o['reports'], 'reports').map((one) => reportRow(object(one, 'report'))), next: textOrNull(o['next']) };
}

export function schedules(raw: unknown): Schedule[] {
  return list(object(raw, 'schedules')['schedules'], 'schedules').map((raw) => {
    const o = object(raw, 'schedule');
    return {
      name: text(o['name'], 'schedule.name'),
      kind: oneOf(o['kind'], REPORT_KINDS, 'schedule.kind'),
      path: textOr(o['path'], ''),
      after: numOr(o['after_ms'], 0),
      folder: textOrNull(o['folder']),
      keepDays: numOrNull(o['keep_days']),
      last: orNull(o['last'], (one) => reportRow(object(one, 'schedule.last'))),
      next: orNull(o['next'], (raw) => {
        const next = object(raw, 'schedule.next');
        return { from: num(next['from_ms'], 'next.from_ms'), to: num(next['to_ms'], 'next.to_ms'), at: num(next['at_ms'], 'next.at_ms') };
      }),
      error: orNull(o['error'], (raw) => {
        const error = object(raw, 'schedule.error');
        return { text: text(error['text'], 'error.text'), at: num(error['at_ms'], 'error.at_ms') };
      }),
    };
  });
}

/** Members that are words, whatever they look like: a reason may be called 12, an order 4711. */
const WORDS = new Set(['id', 'name', 'path', 'title', 'unit', 'reason', 'element', 'code', 'formula', 'number', 'order', 'state', 'substate', 'message', 'tag', 'better', 'text', 'machine', 'equipment', 'material', 'revision', 'operation', 'summary', 'note', 'cause', 'remedy', 'kind', 'by', 'confirmed_by', 'job', 'links', 'alarm', 'certificate', 'sha256', 'source', 'missing', 'start']);
const DIGITS = /^-?\d+(\.\d+)?$/;

/** A report's texts of digits as the numbers that they are. */
export function numbered(raw: unknown, key = ''): unknown {
  if (typeof raw === 'string') return !WORDS.has(key) && DIGITS.test(raw) ? Number(raw) : raw;
  if (Array.isArray(raw)) return raw.map((one) => numbered(one, key));
  if (raw !== null && typeof raw === 'object') return Object.fromEntries(Object.entries(raw).map(([name, value]) => [name, numbered(value, name)]));
  return raw;
}

const missingOf = (o: Raw): { missing: string } | null => (typeof o['missing'] === 'string' ? { missing: o['missing'] } : null);
const cell = (raw: unknown): Cell => (typeof raw === 'string' || typeof raw === 'number' || typeof raw === 'boolean' ? raw : null);
const cells = (o: Raw): Record<string, Cell> => Object.fromEntries(Object.entries(o).map(([name, value]) => [name, cell(value)]));

function table(raw: unknown, where: string): Table {
  const o = object(raw, where);
  return missingOf(o) ?? { rows: list(numbered(o['rows']), `${where}.rows`).map((row) => cells(object(row, `${where}.row`))), truncated: flag(o['truncated']) };
}
function facts(raw: unknown, where: string): Facts {
  const o = object(raw, where);
  return missingOf(o) ?? { facts: cells(object(numbered(o), where)) };
}

const TABLES = ['children', 'orders', 'jobs', 'counts', 'consumption', 'units', 'alarms', 'logbook', 'handovers', 'labour', 'maintenance'] as const;
export type TableName = (typeof TABLES)[number];

export function keptReport(raw: unknown): KeptReport {
  const o = object(raw, 'report');
  const document = object(o['report'], 'report.report');
  if (document['format'] !== 'andon-report' || document['version'] !== 1) throw new ShapeError('report.format', 'andon-report, version 1');
  const sections = object(document['sections'], 'report.sections');
  const node = object(document['node'], 'report.node');
  const signature = object(o['signature'], 'report.signature');
  // `children` calls its rows so; every other table has `rows`.
  const rowsOf = (name: string): unknown => {
    const section = sections[name];
    if (name !== 'children') return section;
    const s = object(section, 'children');
    return missingOf(s) ?? { rows: s['rows'] ?? s['children'], truncated: s['truncated'] };
  };
  const hasTable = (name: string): boolean => sections[name] !== undefined && sections[name] !== null;
  return {
    ...reportRow(o),
    title: textOr(document['title'], ''),
    goesOn: flag(document['goes_on']),
    zone: textOr(document['time_zone'], ''),
    node: { keyId: textOr(node['key_id'], ''), program: textOr(node['program'], '') },
    verified: flag(o['verified']),
    superseded: typeof o['superseded'] === 'boolean' ? o['superseded'] : null,
    signature: { alg: textOr(signature['alg'], ''), keyId: textOr(signature['key_id'], '') },
    people: new Map(Object.entries(object(o['people'] ?? {}, 'report.people')).flatMap(([id, name]) => (typeof name === 'string' ? [[id, name] as [string, string]] : []))),
    kpis: orNull(sections['kpis'], (raw) => {
      const section = object(raw, 'kpis');
      return missingOf(section) ?? { kpis: kpis({ now_ms: o['made_ms'], ...(numbered(section) as object) }) };
    }),
    head: orNull(sections['order'], (one) => facts(one, 'order')),
    labour: orNull(sections['labour'], (one) => facts(one, 'labour')),
    tables: new Map(TABLES.filter(hasTable).map((name) => [name, table(rowsOf(name), name)])),
  };
}

export function orderUnits(raw: unknown): { units: OrderUnit[]; next: string | null } {
  const o = object(raw, 'units');
  return {
    units: list(o['units'], 'units').map((raw) => {
      const u = object(raw, 'unit');
      return {
        id: text(u['id'], 'unit.id'),
        material: textOr(u['material'], ''),
        number: text(u['number'], 'unit.number'),
        state: textOr(u['state'], ''),
        made: num(u['made_ms'], 'unit.made_ms'),
        finished: numOrNull(u['finished_ms']),
        certificate: orNull(u['certificate'], (raw) => {
          const c = object(raw, 'certificate');
          return { number: text(c['number'], 'certificate.number'), sha256: textOr(c['sha256'], ''), issued: num(c['issued_ms'], 'certificate.issued_ms') };
        }),
        certificateState: orNull(u['certificate_state'], (word) => oneOf(word, ['due', 'issued', 'not_possible'] as const, 'unit.certificate_state')),
      };
    }),
    next: textOrNull(o['next']),
  };
}
