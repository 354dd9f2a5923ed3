// Tools and moulds in the mock, with rights, keys and refusals as the server has them.

import { notThere, ok, problem, UUID, noKey, type Reply } from './trace';

type Json = Record<string, unknown>;
interface MockSpan {
  number: number;
  machine: string;
  from_ms: number;
  to_ms: number | null;
  by: string;
  by_name: string;
  reason: string;
  corrections: Json[];
}
interface MockTool {
  name: string;
  title: string;
  kind: string;
  in_documents: boolean;
  machines: string[];
  cavities: number;
  life: { cycles: number | null; run_time_ms: number | null };
  warn: number;
  /** What it had used when it was renewed last, or came. */
  base: { cycles: number; run_time_ms: number };
  /** Cycles in a minute while it is mounted. */
  pace: number;
  renewed_ms: number | null;
  spans: MockSpan[];
  renewals: Json[];
  changes: Json[];
  warning: string | null;
}

const MIN = 60_000;
const HOUR = 60 * MIN;
const DAY = 24 * HOUR;
const LINE1 = 'works/nord/bottling/line1';

export class MockTools {
  readonly tools: MockTool[] = [];
  /** None is declared. */
  empty = false;
  #keys = new Map<string, string>();
  #numbers = 0;

  constructor(
    readonly start: number,
    readonly now: () => number,
    readonly who: () => { id: string; name: string },
    readonly may: (action: string, path: string) => boolean,
  ) {
    const tool = (name: string, title: string, kind: string, machines: string[], life: MockTool['life'], used: Partial<MockTool['base']>, at: string | null, more: Partial<MockTool> = {}): MockTool => {
      const made: MockTool = { name, title, kind, in_documents: true, machines, cavities: 1, life, warn: 0.9, base: { cycles: 0, run_time_ms: 0, ...used }, pace: 0, renewed_ms: null, spans: [], renewals: [], changes: [], warning: null, ...more };
      if (at !== null) this.#span(made, at, start - 9 * DAY, null);
      this.tools.push(made);
      return made;
    };
    const heads = tool('CH-04', 'Capping heads, set 4', 'tool', [`${LINE1}/capper`], { cycles: 4_000_000, run_time_ms: null }, { cycles: 4_021_300, run_time_ms: 310 * HOUR }, `${LINE1}/capper`);
    heads.changes.push({ number: 1, kind: 'mount', at_ms: start - 9 * DAY, by: 'p9', by_name: 'Jonas Weber', reason: '', machine: `${LINE1}/capper`, cycles: null, run_time_ms: null });
    tool('M-17', 'Label drum mould', 'mould', [`${LINE1}/labeller`, 'works/nord/bottling/line2/labeller'], { cycles: 500_000, run_time_ms: null }, { cycles: 451_200.25, run_time_ms: 7 * HOUR }, `${LINE1}/labeller`, { cavities: 4, renewed_ms: start - 60 * DAY, renewals: [{ number: 1, at_ms: start - 60 * DAY, by: 'p9', by_name: 'Jonas Weber', reason: 'Overhauled by the tool shop' }] });
    tool('N-2', 'Filling nozzles', 'tool', [], { cycles: null, run_time_ms: 2_000 * HOUR }, { cycles: 90_000, run_time_ms: 412 * HOUR }, `${LINE1}/filler`, { pace: 0 });
    tool('M-18', 'Label drum mould, spare', 'mould', [`${LINE1}/labeller`, 'works/nord/bottling/line2/labeller'], { cycles: 500_000, run_time_ms: null }, { cycles: 12_000 }, null, { cavities: 4 });
    tool('G-1', 'Setting gauge', 'gauge', [], { cycles: null, run_time_ms: null }, {}, null, { warning: 'what it did at line 2 before 3 March is not known: the counts of that time are not kept' });
  }

  #span(tool: MockTool, machine: string, from: number, to: number | null, reason = ''): void {
    this.#numbers += 1;
    const { id, name } = this.who();
    tool.spans.unshift({ number: this.#numbers, machine, from_ms: from, to_ms: to, by: id || 'p9', by_name: name || 'Jonas Weber', reason, corrections: [] });
  }

  handle(method: string, path: string, query: URLSearchParams, body: Json): Reply | null {
    const [, , , area = '', name = '', deed = ''] = path.split('/').map(decodeURIComponent);
    if (area !== 'tools') return null;
    const branch = query.get('machine') ?? '';
    const seen = this.empty ? [] : this.tools.filter((tool) => this.#sees(tool));
    if (name === '') {
      const at = (tool: MockTool): string | null => this.#open(tool)?.machine ?? null;
      const under = (tool: MockTool): boolean => branch === '' || at(tool) === branch || (at(tool)?.startsWith(`${branch}/`) ?? false);
      return ok({ now_ms: this.now(), tools: seen.filter(under).toSorted((a, b) => a.name.localeCompare(b.name)).map((tool) => this.#view(tool)), next: null });
    }
    const tool = seen.find((one) => one.name === name);
    if (!tool) return notThere('this tool');
    if (method === 'GET') return ok(this.#detail(tool));
    return this.#deed(tool, deed, body);
  }

  #open(tool: MockTool): MockSpan | undefined {
    return tool.spans.find((span) => span.to_ms === null);
  }
  #sees(tool: MockTool): boolean {
    const at = this.#open(tool)?.machine;
    if (at) return this.may('view', at);
    return tool.machines.length ? tool.machines.some((machine) => this.may('view', machine)) : this.may('view', 'works') || this.may('view', LINE1);
  }

  #view(tool: MockTool): Json {
    const open = this.#open(tool);
    const { base, life } = tool;
    const share = life.cycles !== null ? base.cycles / life.cycles : life.run_time_ms !== null ? base.run_time_ms / life.run_time_ms : null;
    const state = share === null ? 'no_life' : share >= 1 ? 'end' : share >= tool.warn ? 'warn' : 'ok';
    const told = [...(share !== null && share >= tool.warn ? [{ level: 'warn', at_ms: this.start - 30 * HOUR }] : []), ...(state === 'end' ? [{ level: 'end', at_ms: this.start - 2 * HOUR }] : [])];
    const { name, title, kind, in_documents, machines, cavities, warn, warning, renewed_ms } = tool;
    return { name, title, kind, in_documents, machines, cavities, machine: open?.machine ?? null, mounted_ms: open?.from_ms ?? null, life, warn, used: { ...base }, share, state, renewals: tool.renewals.length, renewed_ms, told, warning };
  }
  #detail(tool: MockTool): Json {
    return { ...this.#view(tool), spans: tool.spans, renewals_done: tool.renewals, changes: tool.changes };
  }

  #deed(tool: MockTool, deed: string, body: Json): Reply {
    if (!UUID.test(String(body['key'] ?? ''))) return noKey;
    if (deed === 'unmount' && typeof body['machine'] !== 'string') return problem(422, 'refused', 'this cannot be', 'missing field `machine`');
    const open = this.#open(tool);
    const where = deed === 'mount' || deed === 'unmount' ? String(body['machine'] ?? '') : (open?.machine ?? tool.machines[0] ?? LINE1);
    const needs = deed === 'renew' || deed === 'used' ? 'configure' : 'operate';
    if (!this.may(needs, where)) return problem(403, 'not-allowed', 'not allowed', `not allowed: ${needs === 'operate' ? 'Operate' : 'Configure'} on "${where}" needs the role ${needs === 'operate' ? 'Operator' : 'Engineer'} there`, 'ask an administrator for this role');
    const content = JSON.stringify([tool.name, deed, body]);
    const before = this.#keys.get(String(body['key']));
    if (before !== undefined) return before === content ? ok(this.#detail(tool)) : problem(409, 'conflict', 'not possible now', 'something else was asked with this key', 'send it with a new key');
    const refused = this.#do(tool, deed, body, open);
    if (refused) return refused;
    this.#keys.set(String(body['key']), content);
    const { id, name } = this.who();
    tool.changes.unshift({ number: tool.changes.length + 1, kind: deed, at_ms: this.now(), by: id, by_name: name, reason: String(body['reason'] ?? ''), machine: deed === 'mount' || deed === 'unmount' ? where : null, cycles: body['cycles'] ?? null, run_time_ms: body['run_time_ms'] ?? null });
    return { status: deed === 'mount' ? 201 : 200, body: this.#detail(tool) };
  }

  #do(tool: MockTool, deed: string, body: Json, open: MockSpan | undefined): Reply | null {
    const now = this.now();
    const reason = String(body['reason'] ?? '');
    const { id, name } = this.who();
    if (deed === 'mount') {
      const machine = String(body['machine'] ?? '');
      if (open?.machine === machine) return ok(this.#detail(tool));
      if (open) return problem(409, 'conflict', 'not possible now', `${tool.name} is mounted at ${open.machine}`, 'unmount it there first');
      if (tool.machines.length && !tool.machines.includes(machine)) return problem(422, 'refused', 'this cannot be', `${tool.name} is not for ${machine}`, `it may be mounted at ${tool.machines.join(', ')}`);
      this.#span(tool, machine, now, null, reason);
    } else if (deed === 'unmount') {
      if (!open) return problem(409, 'conflict', 'not possible now', `${tool.name} is not mounted`, 'look where it is');
      if (open.machine !== body['machine']) return problem(409, 'conflict', 'not possible now', `${tool.name} is mounted at ${open.machine}`, 'unmount it there');
      open.to_ms = now;
    } else if (deed === 'renew') {
      if (reason.trim() === '') return problem(400, 'bad-request', 'the request cannot be understood', '"reason" must be 1 to 200 characters');
      Object.assign(tool, { base: { cycles: 0, run_time_ms: 0 }, renewed_ms: now });
      tool.renewals.unshift({ number: tool.renewals.length + 1, at_ms: now, by: id, by_name: name, reason });
    } else if (deed === 'used') {
      if (typeof body['cycles'] === 'number') tool.base.cycles = body['cycles'];
      if (typeof body['run_time_ms'] === 'number') tool.base.run_time_ms = body['run_time_ms'];
    } else return notThere('this address');
    return null;
  }
}
