// Kept reports in the mock: made of the mock's own answers and frozen, with the shapes, rights and refusals of the server.

import { badRequest, noKey, notThere, ok, problem, UUID, type Reply } from './trace';

type Json = Record<string, unknown>;
type Asks = (path: string, query: Record<string, string>) => unknown;

const MIN = 60_000;
const HOUR = 60 * MIN;
const DAY = 24 * HOUR;
const LINE1 = 'works/nord/bottling/line1';
const KEY_ID = 'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a';

interface MockReport {
  row: Json;
  document: Json;
}

export class MockReports {
  readonly reports: MockReport[] = [];
  /** None is kept and none is planned. */
  empty = false;
  #keys = new Map<string, { content: string; id: string }>();
  #made = false;

  constructor(
    readonly start: number,
    readonly now: () => number,
    readonly who: () => { id: string; name: string },
    readonly may: (action: string, path: string) => boolean,
    /** Another answer of this mock. */
    readonly asks: Asks,
  ) {}

  handle(method: string, path: string, query: URLSearchParams, body: Json): Reply | null {
    const [, , , area = '', id = '', what = ''] = path.split('/').map(decodeURIComponent);
    if (area === 'orders' && what === 'units' && method === 'GET') return this.#units(id);
    if (area !== 'reports' && area !== 'report-schedules') return null;
    this.#begin();
    if (area === 'report-schedules') return ok({ schedules: this.empty ? [] : this.#schedules() });
    const seen = this.empty ? [] : this.reports.filter((one) => this.may('view', String(one.row['path'])));
    if (method === 'POST') return this.#make(body);
    if (id === '') {
      const kinds = (query.get('kind') ?? '').split(',').filter(Boolean);
      const at = query.get('path') ?? '';
      const found = seen.filter(({ row }) => (kinds.length === 0 || kinds.includes(String(row['kind']))) && (at === '' || row['path'] === at || String(row['path']).startsWith(`${at}/`)) && (query.get('order') === null || row['order'] === query.get('order'))).toReversed();
      const [from, limit] = [query.get('after') === null ? 0 : found.findIndex(({ row }) => row['id'] === query.get('after')) + 1, Number(query.get('limit') ?? 100)];
      const page = found.slice(from, from + limit);
      return ok({ reports: page.map(({ row }) => row), next: from + limit < found.length ? page.at(-1)?.row['id'] : null });
    }
    const one = seen.find(({ row }) => row['id'] === id);
    if (!one) return notThere('this report');
    const signature = { alg: 'Ed25519', key_id: KEY_ID, value: '00'.repeat(64) };
    if (what === 'file') return { status: 200, text: { type: 'application/json', content: JSON.stringify({ report: one.document, signature }) } };
    return ok({ ...one.row, report: one.document, signature, verified: one.row['id'] !== this.reports[0]?.row['id'], superseded: one.row['replaced_by'] !== null ? true : one.row['kind'] === 'order' ? null : false, people: { p9: 'Jonas Weber', u1: 'admin' } });
  }

  /** What schedules have made before somebody looked. */
  #begin(): void {
    if (this.#made) return;
    this.#made = true;
    const day = new Date(this.start);
    const six = new Date(day.getFullYear(), day.getMonth(), day.getDate() - 1, 6).getTime();
    this.#append('shift', LINE1, null, 'Early', six, six + 8 * HOUR, six + 8 * HOUR + 10 * MIN, null, 'line1-shift');
    this.#append('shift', LINE1, null, 'Late', six + 8 * HOUR, six + 16 * HOUR, six + 16 * HOUR + 10 * MIN, null, 'line1-shift');
    this.#append('order', 'works/nord/bottling', '4709', null, this.start - 30 * HOUR, this.start - HOUR, this.start - HOUR, 'p9', null);
  }

  #schedules(): Json[] {
    const last = this.reports.filter(({ row }) => row['schedule'] === 'line1-shift').at(-1)?.row ?? null;
    const to = Number(last?.['to_ms'] ?? this.start);
    return [
      { name: 'line1-shift', kind: 'shift', path: LINE1, after_ms: 10 * MIN, folder: 'line1', keep_days: 400, last, next: { from_ms: to, to_ms: to + 8 * HOUR, at_ms: to + 8 * HOUR + 10 * MIN }, error: null },
      { name: 'nord-day', kind: 'day', path: 'works/nord', after_ms: 30 * MIN, folder: 'nord', keep_days: null, last: null, next: null, error: { text: 'the folder nord cannot be written: permission denied', at_ms: this.start - 5 * HOUR } },
    ].filter((one) => this.may('view', one.path));
  }

  #append(kind: string, path: string, order: string | null, shift: string | null, from: number, to: number, made: number, by: string | null, schedule: string | null): MockReport {
    const id = `0192f0c0-9000-7000-8000-${String(this.reports.length + 1).padStart(12, '0')}`;
    const before = this.reports.findLast(({ row }) => row['kind'] === kind && row['path'] === path && row['order'] === order && (kind === 'order' || (row['from_ms'] === from && row['to_ms'] === to)));
    if (before) before.row['replaced_by'] = id;
    const row: Json = { id, kind, path, order, shift, from_ms: from, to_ms: to, made_ms: made, by, by_name: by === null ? null : by === 'p9' ? 'Jonas Weber' : this.who().name, schedule, replaces: before?.row['id'] ?? null, replaced_by: null, bytes: 18_211 };
    const document = { format: 'andon-report', version: 1, id, kind, path, title: `${kind} report`, order, shift, from_ms: from, to_ms: to, goes_on: to > made, time_zone: 'Europe/Berlin', made_ms: made, by, schedule, replaces: row['replaces'], node: { id: 'n1', key_id: KEY_ID, program: 'andon 0.1.0' }, editions: { kpis: 'ISO 22400-2:2014' }, sections: kind === 'order' ? this.#order(order ?? '') : this.#window(path, from, Math.min(to, made)) };
    const one = { row, document };
    this.reports.push(one);
    return one;
  }

  #window(path: string, from: number, to: number): Json {
    const window = { path, from_ms: String(from), to_ms: String(to) };
    const level = this.asks('/api/mes/kpis/children', window) as { children?: Json[] } | undefined;
    const orders = (this.asks('/api/mes/orders', { limit: '20' }) as { orders?: Json[] } | undefined)?.orders ?? [];
    return broken({
      kpis: this.asks('/api/mes/kpis', window),
      children: { rows: (level?.children ?? []).map(({ loss: _loss, orders: _orders, ...rest }) => rest), truncated: false },
      orders: { rows: orders.slice(0, 4).map(({ number, material, revision, title, unit, state, quantity, good, scrap, rework, due_ms }) => ({ number, material, revision, title, unit, state, quantity, good, scrap, rework, due_ms })), truncated: false },
      alarms: { raised: 7, by_priority: [{ priority: 2, raised: 3 }, { priority: 4, raised: 4 }], rows: [{ priority: 2, alarm: 'labeller aborted', message: 'Labeller aborted', tag: `${LINE1}/labeller/state`, raised: 3, longest_ms: 14 * MIN, total_ms: 31 * MIN, stands: false }], truncated: false },
      logbook: { rows: [{ number: 41, path: LINE1, kind: 'quality', text: 'Caps of lot C-77 sit loose.\nSorted out by hand.', at_ms: from + HOUR, by: 'p9', pinned: true, corrects: null, corrected_by: null }], truncated: false },
      handovers: { rows: [], truncated: false },
      labour: { people: 3, attendance_ms: 21 * HOUR, working_ms: 17 * HOUR, worker_efficiency: 0.8095, rows: [{ path: `${LINE1}/filler`, people: 2, attendance_ms: 14 * HOUR, working_ms: 12 * HOUR, worker_efficiency: 0.857 }], truncated: false },
      maintenance: { missing: 'the records of maintenance could not be read at that time' },
    });
  }

  #order(number: string): Json {
    const order = this.asks(`/api/mes/orders/${number}`, {}) as Json | undefined;
    const jobs = ((order?.['jobs'] as Json[] | undefined) ?? []).map((job) => ({ ...job, job: job['id'], order: number }));
    const { jobs: _jobs, ...head } = order ?? {};
    return broken({
      order: order ? head : { missing: 'there is no such order' },
      jobs: { rows: jobs, truncated: false },
      counts: { rows: [{ job: jobs[0]?.job ?? null, at_ms: this.start - 3 * HOUR, scrap: 12, rework: 0, reason: '12', by: 'p9' }], truncated: false },
      consumption: { rows: [{ job: jobs[0]?.job ?? null, material: 'CAP-28', number: 'C-77', quantity: 4200 }], truncated: false },
      units: { rows: [{ number: '0004711', material: 'HP-16', state: 'Released', made_ms: this.start - 4 * HOUR, certificate: 'HP16-2026-004711', sha256: '5eed0f91'.repeat(8) }], truncated: false },
    });
  }

  #make(body: Json): Reply {
    if (!UUID.test(String(body['key'] ?? ''))) return noKey;
    const kind = String(body['kind']);
    if (!['shift', 'day', 'order'].includes(kind)) return badRequest(`"${kind}" is not known as "kind"`);
    const path = kind === 'order' ? 'works/nord/bottling' : String(body['path'] ?? '');
    if (!this.may('operate', path)) return problem(403, 'not-allowed', 'not allowed', `not allowed: Operate on "${path}" needs the role Operator there`, 'ask an administrator for this role');
    if (kind === 'order' && !this.asks(`/api/mes/orders/${encodeURIComponent(String(body['order']))}`, {})) return notThere(`the order ${String(body['order'])}`);
    const content = JSON.stringify(body);
    const before = this.#keys.get(String(body['key']));
    if (before && before.content !== content) return problem(409, 'conflict', 'not possible now', 'something else was asked with this key', 'send it with a new key');
    const known = before && this.reports.find(({ row }) => row['id'] === before.id);
    if (known) return ok(known.row);
    const now = this.now();
    const day = new Date(now);
    const six = new Date(day.getFullYear(), day.getMonth(), day.getDate(), 6).getTime();
    const shift = six + Math.floor((now - six) / (8 * HOUR)) * 8 * HOUR;
    const midnight = new Date(day.getFullYear(), day.getMonth(), day.getDate()).getTime();
    const [from, to] = kind === 'order' ? [this.start - 30 * HOUR, now] : typeof body['from_ms'] === 'number' ? [body['from_ms'], Number(body['to_ms'])] : kind === 'day' ? [midnight, midnight + DAY] : [shift, shift + 8 * HOUR];
    const made = this.#append(kind, path, kind === 'order' ? String(body['order']) : null, kind === 'shift' ? 'Early' : null, from, to, now, this.who().id, null);
    this.#keys.set(String(body['key']), { content, id: String(made.row['id']) });
    return { status: 201, body: made.row };
  }

  /** The mock's units are of no order of the line: those of one order stand for them. */
  #units(number: string): Reply {
    if (!this.asks(`/api/mes/orders/${encodeURIComponent(number)}`, {})) return notThere(`the order ${number}`);
    const units = number === '4709' ? ((this.asks('/api/mes/units', { limit: '4' }) as { items?: Json[] } | undefined)?.items ?? []) : [];
    return ok({
      units: units.map((unit, i) => ({ id: unit['id'], material: unit['material'], revision: unit['revision'], number: unit['number'], state: unit['state'], made_ms: unit['made_ms'], job: 'o4709-10', finished_ms: i === 0 ? null : Number(unit['made_ms']) + 12 * MIN, certificate: i > 1 ? { number: `HP16-2026-00470${i}`, sha256: '5eed0f91'.repeat(8), issued_ms: Number(unit['made_ms']) + 13 * MIN } : null, certificate_state: i === 0 ? null : i === 1 ? 'not_possible' : 'issued' })),
      next: null,
    });
  }
}

/** Members that are broken numbers, or may be: texts in a report. */
const BROKEN = new Set(['value', 'numerator', 'denominator', 'quantity', 'good', 'scrap', 'rework', 'produced', 'oee', 'availability', 'effectiveness', 'quality_ratio', 'target', 'worker_efficiency']);
function broken(raw: Json): Json {
  const walk = (value: unknown, key: string): unknown => {
    if (typeof value === 'number' && BROKEN.has(key)) return String(Math.round(value * 1e6) / 1e6);
    if (Array.isArray(value)) return value.map((one) => walk(one, key));
    if (value !== null && typeof value === 'object') return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, walk(one, name)]));
    return value;
  };
  return walk(raw, '') as Json;
}
