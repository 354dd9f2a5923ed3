// Orders, jobs and their plan in the mock: the state table of `crates/mes/src/job.rs`, versions and keys as the server keeps them.

import { madeOrders, madePlant, orderOf, INSTRUCTIONS, MATERIALS, SKILLS, type MockInstruction } from './ordersPlant';

type Json = Record<string, unknown>;
interface Reply {
  status: number;
  body?: unknown;
  delay?: number;
}

export type State = 'NotAllowedToStart' | 'AllowedToStart' | 'Running' | 'Interrupted' | 'Ended' | 'Aborted';
export type Sub = 'Waiting' | 'Ready' | 'Loaded' | 'Held' | 'Suspended' | 'Completed' | 'Closed' | null;
export interface MockJob {
  id: string;
  number: string;
  order: string;
  operation: string;
  title: string;
  equipment: string | null;
  alternatives: string[];
  quantity: number;
  good: number;
  scrap: number;
  rework: number;
  state: State;
  substate: Sub;
  planned_start_ms: number | null;
  planned_end_ms: number | null;
  started_ms: number | null;
  ended_ms: number | null;
  run_time_ms: number;
  setup_ms: number;
  after: string[];
  skills: string[];
  instructions: string[];
  version: number;
  ledger: Json[];
}
export interface MockOrder {
  id: string;
  number: string;
  material: string;
  revision: string;
  title: string;
  unit: string;
  quantity: number;
  due_ms: number | null;
  priority: number;
  state: 'Forecast' | 'Released' | 'Running' | 'Completed' | 'Closed' | 'Cancelled';
  created_ms: number;
  source: 'person' | 'erp';
  note: string;
  version: number;
  jobs: MockJob[];
}
export interface MockLane {
  path: string;
  title: string;
}

const MIN = 60_000;
const HOUR = 60 * MIN;
const DAY = 24 * HOUR;
const PREPARED: Record<string, string[]> = { Waiting: ['Ready'], Ready: ['Waiting', 'Loaded'], Loaded: ['Ready', 'Waiting'] };

/** The state after a trigger; null where the table has no such transition. */
export function after(state: State, sub: Sub, trigger: string, to: string | null = null): [State, Sub] | null {
  const before = state === 'NotAllowedToStart' || state === 'AllowedToStart';
  switch (trigger) {
    case 'start':
      return state === 'NotAllowedToStart' ? ['AllowedToStart', sub] : null;
    case 'revoke':
      return state === 'AllowedToStart' ? ['NotAllowedToStart', sub] : null;
    case 'prepare':
      return before && sub !== null && to !== null && (PREPARED[sub] ?? []).includes(to) ? [state, to as Sub] : null;
    case 'begin':
      return state === 'AllowedToStart' ? ['Running', null] : null;
    case 'pause': {
      const why = to === 'Held' || to === 'Suspended' ? to : null;
      if (state === 'Running' && why) return ['Interrupted', why];
      return state === 'Interrupted' && why && why !== sub ? ['Interrupted', why] : null;
    }
    case 'resume':
      return state === 'Interrupted' ? ['Running', null] : null;
    case 'stop':
      return state === 'Running' || state === 'Interrupted' ? ['Ended', 'Completed'] : null;
    case 'abort':
      return before || state === 'Running' || state === 'Interrupted' ? ['Aborted', null] : null;
    case 'close':
      return state === 'Ended' && sub === 'Completed' ? ['Ended', 'Closed'] : null;
    default:
      return null;
  }
}

const TRIGGERS: readonly (readonly [string, string | null])[] = [['begin', null], ['pause', 'Held'], ['resume', null], ['stop', null], ['abort', null], ['close', null], ['prepare', 'Waiting'], ['prepare', 'Ready'], ['prepare', 'Loaded']];
const mayNow = (job: MockJob): string[] => [...new Set(TRIGGERS.filter(([trigger, to]) => after(job.state, job.substate, trigger, to)).map(([trigger]) => trigger))];

export class MockOrders {
  readonly orders: MockOrder[];
  readonly lanes: MockLane[];
  /** No orders at all, as on the first day. */
  empty = false;
  #keys = new Map<string, Json>();
  #seen = new Set<string>();
  #ids = 0;

  constructor(
    readonly start: number,
    readonly now: () => number,
    readonly who: () => string,
    readonly may: (action: string, path: string) => boolean,
    many = 0,
  ) {
    this.lanes = madePlant(many);
    this.orders = madeOrders(start, this.lanes, many);
  }

  get jobs(): MockJob[] {
    return this.orders.flatMap((order) => order.jobs);
  }

  /** The job on a machine; null: none. */
  on(path: string): MockJob | null {
    return (this.empty ? [] : this.jobs).find((job) => job.equipment === path && (job.state === 'Running' || job.state === 'Interrupted')) ?? null;
  }
  /** The same in short, as a machine shows it. */
  brief(path: string): Json | null {
    const job = this.on(path);
    if (!job) return null;
    const material = this.orders.find((order) => order.number === job.order)?.material ?? '';
    return { id: job.id, number: job.number, order: job.order, material, quantity: job.quantity, good: job.good, scrap: job.scrap, state: job.state };
  }

  /** The answer; null for what is none of its addresses. */
  handle(method: string, path: string, query: URLSearchParams, body: Json): Reply | null {
    const [, , , what = '', id = '', deed = ''] = path.split('/').map(decodeURIComponent);
    if (what === 'orders') return this.#orders(method, id, deed, query, body);
    if (what === 'jobs') return this.#jobs(method, id, deed, query, body);
    if (what === 'materials') return ok({ materials: MATERIALS.map((m) => ({ name: m.name, revision: m.revision, title: m.title, unit: m.unit, operations: m.operations.length })) });
    if (what === 'instructions') return this.#instruction(id);
    if (what === 'schedule') return id === 'plan' ? this.#plan(body) : ok(this.#schedule(Number(query.get('from_ms')), Number(query.get('to_ms'))));
    return null;
  }

  /** Somebody else does something, at another screen. */
  other(by: string, number: string, trigger: string, to: string | null = null): void {
    const job = this.jobs.find((one) => one.number === number);
    if (job) this.#step(job, trigger, to, by, {});
  }

  // What is shown

  #view(job: MockJob): Json {
    const { ledger: _ledger, instructions, ...rest } = job;
    const shown = instructions.flatMap((name) => INSTRUCTIONS.filter((one) => one.name === name));
    return { ...rest, instructions: shown.map((one) => ({ name: one.name, revision: one.revision, sha256: one.sha256, seen: this.#seen.has(this.#proof(one)) })), may: mayNow(job) };
  }

  #proof(one: MockInstruction): string {
    return `${this.who()}|${one.sha256}`;
  }

  #orderView(order: MockOrder): Json {
    const last = order.jobs.at(-1);
    const sum = (of: (job: MockJob) => number): number => order.jobs.reduce((all, job) => all + of(job), 0);
    return { ...order, good: last?.good ?? 0, scrap: sum((job) => job.scrap), rework: sum((job) => job.rework), jobs: order.jobs.map((job) => this.#view(job)) };
  }

  #instruction(name: string): Reply {
    const found = INSTRUCTIONS.find((one) => one.name === name);
    return found ? ok({ ...found, text: null }) : problem(404, 'There is no such thing', `There is no instruction “${name}”.`);
  }

  // Orders

  #orders(method: string, number: string, deed: string, query: URLSearchParams, body: Json): Reply {
    if (number === '' && method === 'GET') {
      const limit = Number(query.get('limit') ?? 200);
      const from = Number(query.get('after') ?? 0);
      const all = this.empty ? [] : this.orders;
      return ok({ orders: all.slice(from, from + limit).map((order) => this.#orderView(order)), next: from + limit < all.length ? String(from + limit) : null });
    }
    if (number === '') return this.#newOrder(body);
    const order = this.orders.find((one) => one.number === number);
    if (!order) return problem(404, 'There is no such thing', `There is no work order ${number}.`);
    if (method === 'GET') return ok(this.#orderView(order));
    if (!this.may('operate', order.jobs[0]?.equipment ?? '')) return problem(403, 'Not allowed', 'This needs the role operator there.');
    if (body['version'] !== order.version) return problem(409, 'Changed in the meantime', `work order ${number} was changed by somebody else`, undefined, { current: this.#orderView(order) });
    return this.#moveOrder(order, deed, body);
  }

  #newOrder(body: Json): Reply {
    if (!this.may('operate', '')) return problem(403, 'Not allowed', 'This needs the role operator.');
    const number = String(body['number'] ?? '').trim();
    const material = MATERIALS.find((m) => m.name === body['material']);
    const quantity = Number(body['quantity']);
    if (!number) return problem(400, 'Not understood', '"number" is empty: give the work order a number');
    if (!material) return problem(400, 'Not understood', `there is no material ${String(body['material'])}`);
    if (!(quantity > 0)) return problem(400, 'Not understood', 'the quantity has to be more than nothing');
    const known = this.orders.find((one) => one.number === number);
    if (known && known.material === material.name && known.quantity === quantity) return ok(this.#orderView(known));
    if (known) return problem(409, 'This number is taken', `work order ${number} is ${known.quantity} ${known.unit} of ${known.title}`, 'choose another number');
    const order = orderOf(this.#id(), number, material.name, quantity, (body['due_ms'] as number | undefined) ?? null, { priority: Number(body['priority'] ?? 5), note: String(body['note'] ?? ''), created: this.now() });
    this.orders.push(order);
    for (const job of order.jobs) this.#enter(job, 'create', this.who(), {});
    if (body['release'] === true) this.#release(order);
    return { status: 201, body: this.#orderView(order), delay: 150 };
  }

  #moveOrder(order: MockOrder, deed: string, body: Json): Reply {
    const from: Record<string, string[]> = { release: ['Forecast'], revoke: ['Released'], cancel: ['Forecast', 'Released'], close: ['Completed'] };
    if (!(from[deed] ?? []).includes(order.state)) return problem(409, 'Not now', `a work order that is ${order.state} has no “${deed}”`, undefined, { current: this.#orderView(order) });
    const extra = { reason: body['reason'] ?? null };
    if (deed === 'release') this.#release(order);
    if (deed === 'revoke') for (const job of order.jobs) this.#step(job, 'revoke', null, this.who(), extra);
    if (deed === 'cancel') for (const job of order.jobs) this.#step(job, 'abort', null, this.who(), extra);
    if (deed === 'close') for (const job of order.jobs) this.#step(job, 'close', null, this.who(), extra);
    const to: Record<string, MockOrder['state']> = { release: 'Released', revoke: 'Forecast', cancel: 'Cancelled', close: 'Closed' };
    order.state = to[deed] ?? order.state;
    order.version += 1;
    return { ...ok(this.#orderView(order)), delay: 150 };
  }

  #release(order: MockOrder): void {
    order.state = 'Released';
    for (const job of order.jobs) if (this.#isFree(job)) this.#step(job, 'start', null, this.who(), {}, 'release');
  }

  #isFree(job: MockJob): boolean {
    return job.after.every((id) => this.jobs.some((one) => one.id === id && one.state === 'Ended'));
  }

  // Jobs

  #jobs(method: string, id: string, deed: string, query: URLSearchParams, body: Json): Reply {
    if (id === '') {
      const path = query.get('equipment') ?? '';
      const found = (this.empty ? [] : this.orders).filter((order) => !['Cancelled', 'Closed', 'Forecast'].includes(order.state)).flatMap((order) => order.jobs).filter((job) => job.equipment === path);
      return ok({ jobs: found.sort((a, b) => (a.planned_start_ms ?? Infinity) - (b.planned_start_ms ?? Infinity)).map((job) => this.#view(job)) });
    }
    const job = this.jobs.find((one) => one.id === id);
    if (!job) return problem(404, 'There is no such thing', 'this job order is not known here');
    if (deed === 'ledger') return ok({ entries: job.ledger });
    if (method !== 'POST') return problem(404, 'Not found', 'There is no such address.');
    if (!this.may('operate', job.equipment ?? '')) return problem(403, 'Not allowed', 'This needs the role operator there.');
    const key = typeof body['key'] === 'string' ? body['key'] : '';
    if (key && this.#keys.has(key)) return ok(this.#view(job));
    const reply = deed === 'counts' ? this.#count(job, body) : deed === 'seen' ? this.#confirm(job, body) : this.#trigger(job, deed, body);
    if (key && reply.status < 300) this.#keys.set(key, body);
    return { ...reply, delay: 120 };
  }

  #trigger(job: MockJob, deed: string, body: Json): Reply {
    const current = (): Json => ({ current: this.#view(job) });
    if (body['version'] !== job.version) return problem(409, 'Changed in the meantime', `job ${job.number} was changed by somebody else`, undefined, current());
    if (deed === 'plan') return this.#place(job, String(body['equipment']), Number(body['planned_start_ms']));
    const to = (body['why'] ?? body['prepared'] ?? null) as string | null;
    if (!after(job.state, job.substate, deed, to)) return problem(409, 'Not now', `a job order that is ${job.state}${job.substate ? ` (${job.substate})` : ''} has no “${deed}”; it has ${mayNow(job).join(', ') || 'nothing'}`, undefined, current());
    if (deed === 'begin') {
      const gate = this.#gate(job);
      if (gate) return gate;
      const other = this.jobs.find((one) => one !== job && one.equipment === job.equipment && (one.state === 'Running' || one.state === 'Interrupted'));
      if (other) return problem(409, 'The work unit is taken', `${other.number} is on it`, 'end it first', current());
    }
    this.#step(job, deed, to, this.who(), { reason: body['reason'] ?? null });
    return ok(this.#view(job));
  }

  /** What has to be true of the person before a job begins: a skill, and every instruction read. */
  #gate(job: MockJob): Reply | null {
    const skill = SKILLS.find((one) => job.skills.includes(one.name) && !one.who.includes(this.who()));
    if (skill) return problem(403, 'A skill is missing', `${job.number} needs the skill “${skill.title}”; you do not have it`, 'one who has it begins the job', { skill: skill.title, who: skill.people });
    const missing = INSTRUCTIONS.filter((one) => job.instructions.includes(one.name) && !this.#seen.has(this.#proof(one)));
    if (missing.length) return problem(409, 'Not read yet', `${missing.map((one) => one.title).join(', ')} has to be read first`, undefined, { current: this.#view(job) });
    return null;
  }

  #count(job: MockJob, body: Json): Reply {
    if (job.state !== 'Running' && job.state !== 'Interrupted' && job.substate !== 'Completed') return problem(409, 'Not now', `nothing is counted on a job order that is ${job.state}`, undefined, { current: this.#view(job) });
    const amounts = { good: Number(body['good'] ?? 0), scrap: Number(body['scrap'] ?? 0), rework: Number(body['rework'] ?? 0) };
    job.good += amounts.good;
    job.scrap += amounts.scrap;
    job.rework += amounts.rework;
    // As on a node: counting changes no version, for two may count at once.
    this.#enter(job, 'count', this.who(), { ...amounts, reason: body['reason'] ?? null });
    return ok(this.#view(job));
  }

  #confirm(job: MockJob, body: Json): Reply {
    const found = INSTRUCTIONS.find((one) => one.name === body['instruction'] && job.instructions.includes(one.name));
    if (!found) return problem(404, 'There is no such thing', 'this job has no such instruction');
    if (found.sha256 !== body['sha256']) return problem(409, 'Another revision holds now', `${found.title} was changed; its revision is ${found.revision}`, 'read it again', { current: this.#view(job) });
    this.#seen.add(this.#proof(found));
    this.#enter(job, 'seen', this.who(), { instruction: `${found.title}, ${found.revision}` });
    return { status: 204 };
  }

  #step(job: MockJob, trigger: string, to: string | null, by: string, more: Json, kind = trigger): void {
    const next = after(job.state, job.substate, trigger, to);
    if (!next) return;
    [job.state, job.substate] = next;
    job.version += 1;
    if (trigger === 'begin') job.started_ms = this.now();
    if (trigger === 'stop' || (trigger === 'abort' && job.started_ms !== null)) job.ended_ms = this.now();
    this.#enter(job, kind, by, { state: job.state, substate: job.substate, ...more });
    const order = this.orders.find((one) => one.number === job.order);
    if (!order) return;
    if (trigger === 'begin' && order.state === 'Released') order.state = 'Running';
    if (trigger === 'stop') {
      for (const one of order.jobs) if (one.state === 'NotAllowedToStart' && one.after.includes(job.id) && this.#isFree(one)) this.#step(one, 'start', null, '', {}, 'release');
      if (order.jobs.every((one) => one.state === 'Ended' || one.state === 'Aborted')) order.state = 'Completed';
    }
    order.version += 1;
  }

  #enter(job: MockJob, kind: string, by: string, more: Json): void {
    job.ledger.push({ at_ms: this.now(), kind, by_name: by || null, ...more });
  }

  #id(): string {
    this.#ids += 1;
    return `0192f0c0-1000-7000-8000-${String(this.#ids).padStart(12, '0')}`;
  }

  // The plan

  #closed(from: number, to: number): Json[] {
    const spans: Json[] = [];
    for (let at = from - DAY; at < to; at += DAY) {
      const begin = new Date(at).setHours(22, 0, 0, 0);
      if (begin + 8 * HOUR > from && begin < to) spans.push({ from_ms: begin, to_ms: begin + 8 * HOUR, name: 'Night' });
    }
    return spans;
  }

  #schedule(from: number, to: number): Json {
    const jobs = (this.empty ? [] : this.orders).filter((order) => order.state !== 'Cancelled').flatMap((order) => order.jobs).filter((job) => job.planned_start_ms !== null && (job.planned_end_ms ?? 0) >= from && job.planned_start_ms <= to);
    const closed = this.#closed(from, to);
    return {
      jobs: jobs.map((job) => this.#view(job)),
      equipment: (this.empty ? [] : this.lanes).map((lane) => ({
        ...lane,
        closed: /oven|m\d\d$/.test(lane.path) ? [] : closed,
        setups: jobs.filter((job) => job.equipment === lane.path && job.setup_ms > 0).map((job) => ({ from_ms: job.planned_start_ms, to_ms: (job.planned_start_ms ?? 0) + job.setup_ms, job: job.id })),
      })),
    };
  }

  #place(job: MockJob, equipment: string, start: number): Reply {
    if (job.state !== 'NotAllowedToStart' && job.state !== 'AllowedToStart') return problem(409, 'Not now', `${job.number} has begun`, undefined, { current: this.#view(job) });
    if (!job.alternatives.includes(equipment)) return problem(400, 'Not understood', `${job.number} cannot be made on ${equipment}`);
    job.equipment = equipment;
    job.planned_start_ms = start;
    job.planned_end_ms = start + job.setup_ms + job.run_time_ms;
    job.version += 1;
    this.#enter(job, 'plan', this.who(), { equipment, planned_start_ms: start });
    return ok(this.#view(job));
  }

  /** By due date, each job as early as its machine and the jobs before it allow. */
  #plan(body: Json): Reply {
    if (!this.may('operate', '')) return problem(403, 'Not allowed', 'This needs the role operator.');
    const now = Math.ceil(this.now() / MIN) * MIN;
    const free = new Map<string, number>();
    const ends = new Map<string, number>();
    for (const job of this.jobs) {
      if (job.state === 'Ended') ends.set(job.id, job.ended_ms ?? now);
      if (job.state !== 'Running' && job.state !== 'Interrupted') continue;
      const end = Math.max(now + 10 * MIN, now + job.run_time_ms * (1 - job.good / job.quantity));
      ends.set(job.id, end);
      free.set(job.equipment ?? '', end);
    }
    const changes: Json[] = [];
    const late: Json[] = [];
    let [lateness, bound] = [0, 0];
    const open = this.orders.filter((order) => !['Cancelled', 'Closed', 'Completed', 'Forecast'].includes(order.state)).sort((a, b) => (a.due_ms ?? Infinity) - (b.due_ms ?? Infinity));
    for (const order of open) {
      let [end, least] = [now, now];
      for (const job of order.jobs) {
        if (job.state === 'NotAllowedToStart' || job.state === 'AllowedToStart') {
          const ready = Math.max(now, ...job.after.map((id) => ends.get(id) ?? now));
          const equipment = job.alternatives.toSorted((a, b) => Math.max(free.get(a) ?? 0, ready) - Math.max(free.get(b) ?? 0, ready))[0] ?? job.equipment ?? '';
          const start = Math.ceil(Math.max(ready, free.get(equipment) ?? 0) / MIN) * MIN;
          const stop = start + job.setup_ms + job.run_time_ms;
          free.set(equipment, stop);
          ends.set(job.id, stop);
          if (job.equipment !== equipment || Math.abs((job.planned_start_ms ?? 0) - start) > MIN) changes.push({ job: job.id, equipment, planned_start_ms: start, planned_end_ms: stop });
          least += job.run_time_ms;
        }
        end = Math.max(end, ends.get(job.id) ?? now);
      }
      if (order.due_ms === null) continue;
      if (end > order.due_ms) late.push({ order: order.number, by_ms: end - order.due_ms });
      lateness += (Math.max(0, end - order.due_ms) / HOUR) * order.priority;
      bound += (Math.max(0, least - order.due_ms) / HOUR) * order.priority;
    }
    if (body['dry_run'] === false)
      for (const change of changes) {
        const job = this.jobs.find((one) => one.id === change['job']);
        if (job) {
          Object.assign(job, { equipment: change['equipment'], planned_start_ms: change['planned_start_ms'], planned_end_ms: change['planned_end_ms'], version: job.version + 1 });
          this.#enter(job, 'plan', this.who(), { equipment: change['equipment'], planned_start_ms: change['planned_start_ms'] });
        }
      }
    const rule = 'least weighted lateness, then least changeover time, then the earliest end';
    return { ...ok({ rule, lateness_weighted_h: lateness, bound_weighted_h: bound, gap: bound > 0 ? (lateness - bound) / bound : lateness > 0 ? null : 0, changes, late }), delay: 400 };
  }
}

const ok = (body: unknown): Reply => ({ status: 200, body });

function problem(status: number, title: string, detail: string, remedy?: string, more: Json = {}): Reply {
  return { status, body: { type: 'about:blank', title, status, detail, remedy, ...more } };
}
