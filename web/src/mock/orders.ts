// Orders, jobs and their plan in the mock: the state table of `crates/mes/src/job.rs`, rights, versions, keys and words as the server has
// them (`crates/api/src/routes/orders.rs`, `crates/server/src/mes/orders`).

import { madeOrders, madePlant, orderOf, INSTRUCTIONS, MATERIALS, SKILLS, type MockInstruction } from './ordersPlant';

type Json = Record<string, unknown>;
interface Reply {
  status: number;
  body?: unknown;
  /** What is refused before it is looked at is told as a text. */
  text?: { type: string; content: string };
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
  /** A person has put it there: planning leaves it. */
  pinned: boolean;
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
  source: 'person';
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
      return state === 'Running' && why ? ['Interrupted', why] : null;
    }
    case 'attribute':
      return state === 'Interrupted' && (to === 'Held' || to === 'Suspended') && to !== sub ? ['Interrupted', to] : null;
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

/** What can happen to a job, as people call it, and the word of a request for it; null: it is asked of its order. */
const TRIGGERS: readonly { trigger: string; to: string | null; says: string; word: string | null }[] = [
  { trigger: 'start', to: null, says: 'allow to start', word: null },
  { trigger: 'revoke', to: null, says: 'revoke the release', word: null },
  { trigger: 'update', to: null, says: 'change', word: null },
  { trigger: 'begin', to: null, says: 'begin', word: 'begin' },
  { trigger: 'resume', to: null, says: 'resume', word: 'resume' },
  { trigger: 'stop', to: null, says: 'stop', word: 'stop' },
  { trigger: 'abort', to: null, says: 'abort', word: 'abort' },
  { trigger: 'close', to: null, says: 'close', word: 'close' },
  { trigger: 'prepare', to: 'Waiting', says: 'set to waiting', word: 'prepare' },
  { trigger: 'prepare', to: 'Ready', says: 'set to ready', word: 'prepare' },
  { trigger: 'prepare', to: 'Loaded', says: 'load', word: 'prepare' },
  { trigger: 'pause', to: 'Held', says: 'hold', word: 'pause' },
  { trigger: 'attribute', to: 'Held', says: 'attribute to the machine', word: 'pause' },
  { trigger: 'pause', to: 'Suspended', says: 'suspend', word: 'pause' },
  { trigger: 'attribute', to: 'Suspended', says: 'attribute to its neighbours', word: 'pause' },
];
const WORDS = new Set(TRIGGERS.map((one) => one.word));
const isUnderWay = (job: MockJob): boolean => job.state === 'Running' || job.state === 'Interrupted';
const isOver = (job: MockJob): boolean => job.state === 'Ended' || job.state === 'Aborted';
const known = (job: MockJob): typeof TRIGGERS => TRIGGERS.filter(({ trigger, to }) => (trigger === 'update' ? !isUnderWay(job) && !isOver(job) : after(job.state, job.substate, trigger, to) !== null));
const mayNow = (job: MockJob): string[] => [...new Set(known(job).flatMap(({ word }) => word ?? []))].sort();
/** Why a state does not know what was asked. */
function notNow(job: MockJob, trigger: string, to: string | null): string {
  const says = TRIGGERS.find((one) => one.trigger === trigger && (one.to === null || one.to === to))?.says ?? trigger;
  const rest = known(job).map((one) => one.says).join(', ');
  return `a job order that is ${stateWords(job)} has no "${says}"; ${rest ? `it has ${rest}` : 'nothing leads out of that state'}`;
}
const stateWords = (job: { state: State; substate: Sub }): string => `${job.state}${job.substate ? ` (${job.substate})` : ''}`;
const places = (job: MockJob): string[] => [...job.alternatives, ...(job.equipment === null ? [] : [job.equipment])];

/** What an order is in, by its jobs. */
function stateOf(jobs: readonly MockJob[]): MockOrder['state'] {
  const count = (is: (job: MockJob) => boolean): number => jobs.filter(is).length;
  const open = count((job) => job.state === 'NotAllowedToStart' || job.state === 'AllowedToStart');
  const [begun, completed, closed] = [count(isUnderWay), count((job) => job.substate === 'Completed'), count((job) => job.substate === 'Closed')];
  if (open + begun + completed + closed === 0) return jobs.length ? 'Cancelled' : 'Forecast';
  if (open + begun === 0) return completed === 0 ? 'Closed' : 'Completed';
  if (begun + completed + closed > 0) return 'Running';
  return jobs.some((job) => job.state === 'AllowedToStart') ? 'Released' : 'Forecast';
}

export class MockOrders {
  readonly orders: MockOrder[];
  readonly lanes: MockLane[];
  /** No orders at all, as on the first day. */
  empty = false;
  /** Every revision, the newest last. */
  readonly instructions: MockInstruction[] = INSTRUCTIONS.map((one) => ({ ...one }));
  #keys = new Map<string, string>();
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
  /** How many orders have a job under way at or below a path, and how many with a job placed there are late. */
  counts(path: string): { running: number; late: number } {
    const there = (job: MockJob): boolean => job.equipment === path || (job.equipment?.startsWith(`${path}/`) ?? false);
    const orders = this.empty ? [] : this.orders;
    const late = (order: MockOrder): boolean => (order.state === 'Released' || order.state === 'Running') && order.due_ms !== null && order.due_ms < this.now();
    return { running: orders.filter((order) => order.jobs.some((job) => there(job) && isUnderWay(job))).length, late: orders.filter((order) => late(order) && order.jobs.some(there)).length };
  }
  /** The answer; null for what is none of its addresses. */
  handle(method: string, path: string, query: URLSearchParams, body: Json): Reply | null {
    const [, , , what = '', id = '', deed = ''] = path.split('/').map(decodeURIComponent);
    const unread = method === 'GET' ? misreadQuery(deed === 'ledger' ? deed : what, deed === 'ledger' ? '' : id, query) : misread(what, id, deed, body);
    if (unread) return unread;
    if (what === 'orders') return this.#orders(method, id, deed, query, body);
    if (what === 'jobs') return this.#jobs(method, id, deed, query, body);
    if (what === 'materials') return ok({ materials: MATERIALS.map((m) => ({ name: m.name, revision: m.revision || null, title: m.title, unit: m.unit, operations: m.operations.length })) });
    if (what === 'instructions') return this.#instruction(id, query.get('revision'));
    if (what === 'schedule') return id === 'plan' ? this.#plan(body) : this.#schedule(Number(query.get('from_ms')), Number(query.get('to_ms')));
    return null;
  }

  /** Somebody else does something, at another screen. */
  other(by: string, number: string, trigger: string, to: string | null = null): void {
    const job = this.jobs.find((one) => one.number === number);
    if (job) this.#step(job, trigger, to, by, {});
  }
  /** An instruction gets another revision, with another content. */
  revise(name: string): void {
    const now = this.#inForce(name);
    if (!now) return;
    const revision = String(Number(now.revision) + 1);
    this.instructions.push({ ...now, revision, sha256: revision.padStart(8, '0').repeat(8), steps: [{ title: 'What is new', text: `Revision ${revision}.` }] });
  }
  #inForce(name: string): MockInstruction | undefined {
    return this.instructions.findLast((one) => one.name === name);
  }
  #of(job: MockJob): MockInstruction[] {
    return job.instructions.flatMap((name) => this.#inForce(name) ?? []);
  }

  // What is shown

  #view(job: MockJob, warnings: readonly string[] = []): Json {
    const { ledger: _ledger, pinned: _pinned, ...rest } = job;
    return { ...rest, instructions: this.#of(job).map((one) => ({ name: one.name, revision: one.revision, sha256: one.sha256, seen: this.#seen.has(this.#proof(job, one)) })), may: mayNow(job), warnings };
  }

  /** Who has confirmed what content, and for which job. */
  #proof(job: MockJob, one: MockInstruction): string {
    return `${job.id}|${this.who()}|${one.name}|${one.sha256}`;
  }
  /** The newest `limit`, the oldest of them first; `after`: of those before it. */
  #ledger(job: MockJob, query: URLSearchParams): Reply {
    const limit = Number(query.get('limit') ?? 1000);
    if (!(limit >= 1 && limit <= 10_000)) return badRequest(`"limit" is ${limit}, and must be from 1 to 10000`);
    const bare = { state: null, substate: null, reason: null, good: 0, scrap: 0, rework: 0, instruction: null, equipment: job.equipment, planned_start_ms: null, by: '0192f0c0-0000-7000-8000-000000000002' };
    const until = Math.min(job.ledger.length, Number(query.get('after') ?? Infinity) - 1);
    const from = Math.max(0, until - limit);
    return ok({ entries: job.ledger.slice(from, until).map((entry) => ({ ...bare, ...entry })), next: from > 0 ? from + 1 : null });
  }

  #sees(job: MockJob): boolean {
    return places(job).some((path) => this.may('view', path));
  }

  /** As whoever asks sees it; null: not at all. */
  #orderView(order: MockOrder): Json | null {
    const seen = order.jobs.filter((job) => this.#sees(job));
    if (seen.length === 0) return null;
    const last = order.jobs.at(-1);
    const sum = (of: (job: MockJob) => number): number => order.jobs.reduce((all, job) => all + of(job), 0);
    return { ...order, revision: order.revision || null, good: last?.good ?? 0, scrap: sum((job) => job.scrap), rework: sum((job) => job.rework), jobs: seen.map((job) => this.#view(job)) };
  }

  /** `revision` null: the newest; '': the one that has none. */
  #instruction(name: string, revision: string | null): Reply {
    const found = revision === null ? this.#inForce(name) : this.instructions.find((one) => one.name === name && one.revision === revision);
    return found ? ok({ ...found, text: null }) : notThere('this instruction');
  }

  /** The first place where somebody lacks a right; null: it is there at all of them. */
  #denied(action: 'operate' | 'configure', paths: readonly string[]): Reply | null {
    const path = paths.find((one) => !this.may(action, one));
    if (path === undefined) return null;
    const [deed, role] = action === 'operate' ? ['Operate', 'Operator'] : ['Configure', 'Engineer'];
    return problem(403, 'not-allowed', 'not allowed', `not allowed: ${deed} on "${path}" needs the role ${role} there`, 'ask an administrator for this role');
  }

  // Orders

  #orders(method: string, number: string, deed: string, query: URLSearchParams, body: Json): Reply {
    if (number === '' && method === 'GET') return this.#list(query);
    if (number === '') return this.#newOrder(body);
    const order = (this.empty ? [] : this.orders).find((one) => one.number === number);
    const view = order && this.#orderView(order);
    if (!order || !view) return notThere(`work order ${number}`);
    if (method === 'GET') return ok(view);
    const denied = this.#denied('configure', order.jobs.flatMap(places)) ?? badReason(body);
    if (denied) return denied;
    if (body['version'] !== order.version) return conflict(`the work order ${number} was changed meanwhile: it is ${order.state}`, 'look at it as it is now, then decide again', { current: view });
    return this.#moveOrder(order, deed, body);
  }

  /** The newest first. */
  #list(query: URLSearchParams): Reply {
    const states = (query.get('state') ?? '').split(',').filter(Boolean);
    const unknown = states.find((state) => !ORDER_STATES.includes(state));
    if (unknown !== undefined) return badRequest(`"${unknown}" is not known as "state"`, `known are: ${ORDER_STATES.join(', ')}`);
    const limit = Number(query.get('limit') ?? 100);
    if (!(limit >= 1 && limit <= 500)) return badRequest(`"limit" is ${limit}, and must be from 1 to 500`);
    const [branch, text] = [query.get('branch') ?? '', (query.get('text') ?? '').toLowerCase()];
    const below = (order: MockOrder): boolean => branch === '' || order.jobs.flatMap(places).some((path) => path === branch || path.startsWith(`${branch}/`));
    const says = (order: MockOrder): boolean => [order.number, order.material, order.title].some((one) => one.toLowerCase().includes(text));
    const all = (this.empty ? [] : this.orders).filter((order) => (states.length === 0 || states.includes(order.state)) && below(order) && says(order) && order.jobs.some((job) => this.#sees(job))).toReversed();
    const from = query.get('after') === null ? 0 : all.findIndex((order) => order.id === query.get('after')) + 1;
    const page = all.slice(from, from + limit);
    return ok({ orders: page.flatMap((order) => this.#orderView(order) ?? []), next: from + limit < all.length ? page.at(-1)?.id : null });
  }

  #newOrder(body: Json): Reply {
    const number = String(body['number'] ?? '');
    const material = MATERIALS.find((m) => m.name === body['material']);
    const quantity = Number(body['quantity']);
    if (!/^[a-z0-9][\w.~-]{0,63}$/i.test(number)) return badRequest(`"${number}" is no number of an order`, 'write 1 to 64 letters (a-z, A-Z), digits, "-", ".", "_" and "~", the first a letter or a digit');
    if ([...String(body['note'] ?? '')].length > 1000) return badRequest('"note" is longer than 1000 bytes');
    const rank = Number(body['priority'] ?? 5);
    if (!(rank >= 1 && rank <= 9)) return badRequest(`"priority" is ${rank}, and must be from 1 to 9`);
    if (!material || (body['revision'] && body['revision'] !== material.revision)) return refused(`there is no material "${String(body['material'])}"`, 'choose one of /api/mes/materials, or add a [[material]] to the plant model');
    if (material.operations.length === 0) return refused(`${material.name} has no operations: it is bought, not made`, 'order a material that is made here, or give this one its `operation`s in the plant model');
    const denied = this.#denied('configure', material.operations.flatMap((op) => op.equipment));
    if (denied) return denied;
    if (!(quantity > 0 && quantity <= 1e9)) return refused(`${String(body['quantity'])} is no quantity of an order`, 'write more than 0 and at most 1,000,000,000, in millionths at the finest');
    const known = this.orders.find((one) => one.number === number);
    const [due, priority, note] = [(body['due_ms'] as number | undefined) ?? null, rank, String(body['note'] ?? '')];
    const same = known && known.material === material.name && known.quantity === quantity && known.due_ms === due && known.priority === priority && known.note === note;
    if (known && same && body['release'] === true && known.state === 'Forecast') return conflict(`the order ${number} is there, and is not released`, `release it with POST /api/mes/orders/${number}/release`, { current: this.#orderView(known) });
    if (known && same) return ok(this.#orderView(known));
    if (known) return conflict(`the number ${number} is taken`, 'choose another number', { current: this.#orderView(known) });
    const order = orderOf(this.#id(), number, material.name, quantity, due, { priority, note, created: this.now() });
    this.orders.push(order);
    // As made: what is released at once has nothing in its ledger.
    if (body['release'] === true) for (const job of order.jobs) job.state = 'AllowedToStart';
    order.state = stateOf(order.jobs);
    return { status: 201, body: this.#orderView(order), delay: 150 };
  }

  #moveOrder(order: MockOrder, deed: string, body: Json): Reply {
    const triggers: Record<string, { trigger: string; of: (job: MockJob) => boolean; none: string; kind: string } | undefined> = {
      release: { trigger: 'start', of: (job) => job.state === 'NotAllowedToStart', none: 'no job of it waits for its release', kind: 'release' },
      revoke: { trigger: 'revoke', of: (job) => job.state === 'AllowedToStart', none: 'no job of it is released and has not begun', kind: 'revoke' },
      cancel: { trigger: 'abort', of: (job) => job.state === 'NotAllowedToStart' || job.state === 'AllowedToStart', none: 'no job of it has yet to begin', kind: 'abort' },
      close: { trigger: 'close', of: (job) => job.substate === 'Completed', none: 'no job of it is Completed', kind: 'close' },
    };
    const wish = triggers[deed];
    if (!wish) return notThere('this address');
    const current = { current: this.#orderView(order) };
    const look = 'look at the order as it is now';
    const inTheWay = order.jobs.find((job) => (deed === 'cancel' ? isUnderWay(job) : deed === 'close' && !isOver(job)));
    if (inTheWay) return conflict(`job ${inTheWay.number} is ${stateWords(inTheWay)}: ${deed === 'cancel' ? 'stop it or abort it at its equipment first, then cancel the order' : 'an order is closed when all its jobs have ended'}`, look, current);
    const jobs = order.jobs.filter(wish.of);
    if (jobs.length === 0) return conflict(`order ${order.number} is ${order.state}: ${wish.none}`, look, current);
    for (const job of jobs) this.#step(job, wish.trigger, null, this.who(), { reason: body['reason'] ?? null }, wish.kind);
    return { ...ok(this.#orderView(order)), delay: 150 };
  }

  // Jobs

  #jobs(method: string, id: string, deed: string, query: URLSearchParams, body: Json): Reply {
    if (id === '') {
      const all = this.#dispatch(query.get('equipment') ?? '');
      return ok({ jobs: all.slice(0, 1000).map((job) => this.#view(job)), truncated: all.length > 1000 });
    }
    const job = (this.empty ? [] : this.jobs).find((one) => one.id === id);
    if (!job || !this.#sees(job)) return notThere('this job order');
    if (deed === 'ledger') return this.#ledger(job, query);
    if (method !== 'POST') return notThere('this address');
    if (deed === 'plan') return { ...this.#place(job, body), delay: 120 };
    if (deed !== 'counts' && deed !== 'seen' && !WORDS.has(deed)) return notThere('this address');
    // Where it stands, and where it is to begin; while that is not decided, or of what only somebody has read, at one of its places.
    const where = [...new Set([...(job.equipment === null ? [] : [job.equipment]), ...(deed === 'begin' && typeof body['equipment'] === 'string' ? [body['equipment']] : [])])];
    const anywhere = places(job).some((path) => this.may('operate', path)) ? null : this.#denied('operate', places(job).slice(0, 1));
    const denied = deed === 'seen' || where.length === 0 ? anywhere : this.#denied('operate', where);
    if (denied) return denied;
    const wordy = badReason(body);
    if (wordy) return wordy;
    const key = typeof body['key'] === 'string' ? body['key'] : '';
    const { version: _version, key: _key, ...wish } = body;
    const same = JSON.stringify([id, deed, wish]);
    const before = this.#keys.get(key);
    if (before !== undefined) return before === same ? ok(this.#view(job)) : conflict(`something else was asked with the key ${key}`, 'make a new key for each request, and send it again only with the same request');
    const reply = deed === 'counts' ? this.#count(job, body) : deed === 'seen' ? this.#confirm(job, body) : this.#trigger(job, deed, body);
    if (key && reply.status < 300) this.#keys.set(key, same);
    return { ...reply, delay: 120 };
  }

  /** What has not ended, on a work unit or yet without one: in the order of making. */
  #dispatch(path: string): MockJob[] {
    const open = (this.empty ? [] : this.orders).flatMap((order) => order.jobs.map((job) => ({ job, order }))).filter(({ job }) => !isOver(job) && this.#sees(job) && (path === '' || (job.equipment === null ? job.alternatives.includes(path) : job.equipment === path)));
    return open.sort((a, b) => (a.job.planned_start_ms ?? Infinity) - (b.job.planned_start_ms ?? Infinity) || b.order.priority - a.order.priority || (a.order.due_ms ?? Infinity) - (b.order.due_ms ?? Infinity) || 0).map(({ job }) => job);
  }

  #trigger(job: MockJob, deed: string, body: Json): Reply {
    const current = (): Json => ({ current: this.#view(job) });
    const trigger = deed === 'pause' && job.state === 'Interrupted' ? 'attribute' : deed;
    if ((trigger === 'pause' || trigger === 'attribute') && body['why'] !== 'Held' && body['why'] !== 'Suspended') return refused('nobody has said where the cause is', 'send "why": "Held" if it is inside the machine, or "Suspended"');
    if (trigger === 'prepare' && !['Waiting', 'Ready', 'Loaded'].includes(String(body['prepared']))) return refused('nobody has said how far it is prepared', 'send "prepared": "Waiting", "Ready" or "Loaded"');
    if (body['version'] !== job.version) return conflict(`the job ${job.number} was changed meanwhile: it is ${stateWords(job)}${this.#stands(job)}`, 'look at it as it is now, then decide again', current());
    const to = ((trigger === 'prepare' ? body['prepared'] : body['why']) ?? null) as string | null;
    let place = job.equipment;
    if (deed === 'begin') {
      const asked = typeof body['equipment'] === 'string' ? body['equipment'] : place;
      const not = this.#cannotBe(job, asked) ?? this.#gate(job, asked as string);
      if (not) return not;
      place = asked;
    }
    if (!after(job.state, job.substate, trigger, to)) return conflict(notNow(job, trigger, to), 'look at the job as it is now', current());
    job.equipment = place;
    // Another cause of an interruption is told as a pause.
    this.#step(job, trigger, to, this.who(), { reason: body['reason'] ?? null }, trigger === 'attribute' ? 'pause' : trigger);
    const before = this.jobs.filter((one) => job.after.includes(one.id) && one.state !== 'Aborted' && one.good === 0);
    return ok(this.#view(job, deed === 'begin' ? before.map((one) => `job ${one.number}, which comes before, is ${stateWords(one)} and has made nothing yet`) : []));
  }

  /** Nobody has said where, or it cannot be done there. */
  #cannotBe(job: MockJob, path: string | null): Reply | null {
    const remedy = 'send one of its `alternatives` as "equipment"';
    if (path === null) return refused(`job ${job.number} can be done on ${job.alternatives.join(', ')}: say on which`, remedy);
    return job.alternatives.includes(path) ? null : refused(`job ${job.number} cannot be done on ${path}, but on ${job.alternatives.join(', ')}`, remedy);
  }

  #stands(job: MockJob): string {
    const begun = job.ledger.findLast((entry) => entry['kind'] === 'begin');
    return isUnderWay(job) && job.started_ms !== null ? `; ${job.number} stands on ${job.equipment} since ${utc(job.started_ms)}, put there by ${String(begun?.['by_name'] ?? 'somebody who is not known here any more')}` : '';
  }

  /** What has to be true before a job begins, as `crates/mes/src/order/begin.rs` looks at it: its state, the place, the person. */
  #gate(job: MockJob, path: string): Reply | null {
    const current = { current: this.#view(job) };
    if (job.state !== 'AllowedToStart') return null;
    const other = this.jobs.find((one) => one !== job && one.equipment === path && isUnderWay(one));
    if (other) return conflict(`job ${other.number} stands on ${path} since ${utc(other.started_ms ?? 0)}; stop it there first${this.#stands(other)}`, 'stop the other job there first', current);
    const skills = SKILLS.filter((one) => job.skills.includes(one.name) && !one.who.includes(this.who()));
    if (skills.length) return problem(403, 'not-qualified', 'a skill is missing', `the operator is not qualified: ${skills.map((one) => one.name).join(', ')}`, 'let somebody begin it who is qualified, or let an administrator enter the skill with the person');
    const missing = this.#of(job).filter((one) => !this.#seen.has(this.#proof(job, one)));
    if (missing.length) return conflict(`not yet confirmed as seen: ${missing.map((one) => `${one.name} ${one.revision}`).join(', ')}; open and confirm, then begin`, 'open the instructions and confirm each with POST /api/mes/jobs/{id}/seen, then begin', current);
    return null;
  }

  #count(job: MockJob, body: Json): Reply {
    if (!isUnderWay(job) && job.substate !== 'Completed') return conflict(`the job is ${stateWords(job)}: it is counted from its begin until it is closed`, 'look at the job as it is now', { current: this.#view(job) });
    const amounts = { good: Number(body['good'] ?? 0), scrap: Number(body['scrap'] ?? 0), rework: Number(body['rework'] ?? 0) };
    const remedy = 'put right what people counted; what a counter counted is put right at the counter';
    const many = (['good', 'scrap', 'rework'] as const).find((kind) => Math.abs(amounts[kind]) > 1e9);
    if (many) return refused(`${amounts[many]} ${many} is more than can be counted: 1000000000 at once, 1000000000000 in all`, remedy);
    if (Object.values(amounts).every((n) => n === 0)) return refused('nothing was counted: give good, scrap or rework', remedy);
    const unsaid = (['scrap', 'rework'] as const).find((kind) => amounts[kind] !== 0 && !body['reason']);
    if (unsaid) return refused(`${unsaid} without a reason: say why`, remedy);
    const sofar = (kind: keyof typeof amounts): number => job.ledger.reduce((sum, entry) => sum + Number(entry['kind'] === 'count' ? (entry[kind] ?? 0) : 0), 0);
    const below = (['good', 'scrap', 'rework'] as const).find((kind) => sofar(kind) + amounts[kind] < 0);
    if (below) return refused(`${amounts[below]} ${below} would leave less than none: ${sofar(below)} were counted so far`, remedy);
    job.good += amounts.good;
    job.scrap += amounts.scrap;
    job.rework += amounts.rework;
    // As on a node: counting changes no version, for two may count at once.
    this.#enter(job, 'count', this.who(), { ...amounts, reason: body['reason'] ?? null });
    return ok(this.#view(job));
  }

  #confirm(job: MockJob, body: Json): Reply {
    const found = this.#of(job).find((one) => one.name === body['instruction']);
    if (!found) return notThere(`the instruction "${String(body['instruction'])}" of the job ${job.number}`);
    if (found.sha256 !== body['sha256'] || found.revision !== (body['revision'] ?? '')) return conflict(`another content of ${found.name} ${found.revision} is in force now`, 'read it again and confirm that', { current: this.#view(job) });
    this.#seen.add(this.#proof(job, found));
    this.#enter(job, 'seen', this.who(), { instruction: `${found.name}, ${found.revision}` });
    return { status: 204 };
  }

  #step(job: MockJob, trigger: string, to: string | null, by: string, more: Json, kind = trigger): void {
    const next = after(job.state, job.substate, trigger, to);
    if (!next) return;
    [job.state, job.substate] = next;
    job.version += 1;
    if (isUnderWay(job)) job.started_ms ??= this.now();
    if (isOver(job)) job.ended_ms ??= this.now();
    this.#enter(job, kind, by, { state: job.state, substate: job.substate, ...more });
    const order = this.orders.find((one) => one.number === job.order);
    if (!order) return;
    order.state = stateOf(order.jobs);
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
      if (begin + 8 * HOUR > from && begin < to) spans.push({ from_ms: begin, to_ms: begin + 8 * HOUR, name: 'off' });
    }
    return spans;
  }

  #schedule(from: number, to: number): Reply {
    if (!(from < to)) return badRequest(`"from_ms" (${from}) must be before "to_ms" (${to})`);
    if (to - from > 92 * DAY) return badRequest('the window is longer than 92 days');
    const within = (begin: number | null, end: number | null): boolean => begin !== null && end !== null && begin < to && from < end;
    const jobs = (this.empty ? [] : this.jobs).filter((job) => this.#sees(job) && ((!isOver(job) && within(job.planned_start_ms, job.planned_end_ms)) || within(job.started_ms, job.ended_ms ?? this.now())));
    const closed = this.#closed(from, to);
    return ok({
      truncated: jobs.length > 5000,
      jobs: jobs.slice(0, 5000).map((job) => this.#view(job)),
      equipment: (this.empty ? [] : this.lanes.filter((lane) => this.may('view', lane.path))).map((lane) => ({
        ...lane,
        closed: this.#isNeverClosed(lane.path) ? [] : closed,
        setups: jobs.filter((job) => job.equipment === lane.path && job.setup_ms > 0).flatMap((job) => {
          const at = job.started_ms ?? job.planned_start_ms;
          return at === null ? [] : [{ from_ms: at, to_ms: at + job.setup_ms, job: job.id }];
        }),
      })),
    });
  }
  #isNeverClosed(path: string): boolean {
    return /m\d\d$/.test(path);
  }

  /** When work ends that begins then, with pauses where the equipment is closed. */
  #endOf(path: string, start: number, work: number): number {
    let [at, left] = [start, work];
    for (const span of this.#isNeverClosed(path) ? [] : this.#closed(start, start + work + 7 * DAY)) {
      const open = Math.max(0, Number(span['from_ms']) - at);
      if (left <= open) break;
      left -= open;
      at = Math.max(at, Number(span['to_ms']));
    }
    return at + left;
  }

  #place(job: MockJob, body: Json): Reply {
    const [equipment, start] = [String(body['equipment']), Number(body['planned_start_ms'])];
    const denied = this.#denied('configure', [...(job.equipment === null ? [] : [job.equipment]), equipment]);
    if (denied) return denied;
    const current = { current: this.#view(job) };
    if (body['version'] !== job.version) return conflict(`the job ${job.number} was changed meanwhile: it is ${stateWords(job)}${this.#stands(job)}`, 'look at it as it is now, then decide again', current);
    if (job.state !== 'NotAllowedToStart' && job.state !== 'AllowedToStart') return conflict(`the job ${job.number} is ${stateWords(job)}: only one that has not begun is put elsewhere`, 'move another one', current);
    const not = this.#cannotBe(job, equipment);
    if (not) return not;
    Object.assign(job, { equipment, planned_start_ms: start, planned_end_ms: this.#endOf(equipment, start, job.setup_ms + job.run_time_ms), pinned: true, version: job.version + 1 });
    this.#enter(job, 'plan', this.who(), { equipment, planned_start_ms: start });
    return ok(this.#view(job));
  }

  /** By due date, each job as early as its machine and the jobs before it allow; what a person has put somewhere stays. */
  #plan(body: Json): Reply {
    const lanes = this.lanes.map((lane) => lane.path);
    if (!lanes.some((path) => this.may('configure', path))) return this.#denied('configure', ['']) as Reply;
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
    const unmet: string[] = [];
    const pinned = this.jobs.filter((job) => job.pinned && !isOver(job) && !isUnderWay(job));
    let [lateness, bound] = [0, 0];
    const open = this.orders.filter((order) => order.jobs.some((job) => !isOver(job)) && order.jobs.flatMap(places).every((path) => this.may('configure', path))).sort((a, b) => (a.due_ms ?? Infinity) - (b.due_ms ?? Infinity));
    for (const order of open) {
      let [end, least] = [now, now];
      for (const job of order.jobs) {
        if (job.state === 'NotAllowedToStart' || job.state === 'AllowedToStart') {
          const ready = Math.max(now, ...job.after.map((id) => ends.get(id) ?? now));
          const passed = job.pinned && (job.planned_start_ms ?? 0) < now;
          if (passed) unmet.push(`job ${job.number} was to begin at ${utc(job.planned_start_ms ?? 0)}, which has passed; it is planned from now on`);
          else if (job.pinned && (job.planned_start_ms ?? 0) < ready) unmet.push(`job ${job.number} lies before what comes before it; it could begin at ${utc(ready)}`);
          const equipment = job.pinned ? (job.equipment ?? '') : (job.alternatives.toSorted((a, b) => Math.max(free.get(a) ?? 0, ready) - Math.max(free.get(b) ?? 0, ready))[0] ?? '');
          const work = job.setup_ms + job.run_time_ms;
          const stays = job.pinned && !passed;
          let start = stays ? (job.planned_start_ms ?? now) : Math.ceil(Math.max(ready, free.get(equipment) ?? 0) / MIN) * MIN;
          // Around what is pinned there.
          for (const other of stays ? [] : pinned.filter((one) => one !== job && one.equipment === equipment)) if (start < (other.planned_end_ms ?? 0) && start + work > (other.planned_start_ms ?? 0)) start = other.planned_end_ms ?? start;
          const stop = this.#endOf(equipment, start, work);
          if (!stays) free.set(equipment, stop);
          ends.set(job.id, stop);
          if (!stays && (job.equipment !== equipment || Math.abs((job.planned_start_ms ?? 0) - start) > MIN)) changes.push({ job: job.id, equipment, planned_start_ms: start, planned_end_ms: stop });
          least += job.run_time_ms;
        }
        end = Math.max(end, ends.get(job.id) ?? now);
      }
      if (order.due_ms === null) continue;
      if (end > order.due_ms) late.push({ order: order.number, by_ms: end - order.due_ms, cause: least > order.due_ms ? 'work' : 'capacity' });
      lateness += (Math.max(0, end - order.due_ms) / HOUR) * order.priority;
      bound += (Math.max(0, least - order.due_ms) / HOUR) * order.priority;
    }
    if (body['dry_run'] !== true)
      for (const change of changes) {
        const job = this.jobs.find((one) => one.id === change['job']);
        if (job) {
          Object.assign(job, { equipment: change['equipment'], planned_start_ms: change['planned_start_ms'], planned_end_ms: change['planned_end_ms'], version: job.version + 1 });
          this.#enter(job, 'plan', this.who(), { equipment: change['equipment'], planned_start_ms: change['planned_start_ms'] });
        }
      }
    const rule = 'least lateness × priority; then least changeover time; then the earliest end';
    return { ...ok({ rule, lateness_weighted_h: lateness, bound_weighted_h: bound, gap: bound > 0 ? (lateness - bound) / bound : lateness > 0 ? null : 0, changes, late, unmet }), delay: 400 };
  }
}

const ok = (body: unknown): Reply => ({ status: 200, body });

const ORDER_STATES = ['Forecast', 'Released', 'Running', 'Completed', 'Closed', 'Cancelled'];
const utc = (ms: number): string => new Date(ms).toISOString().replace('.000Z', 'Z');
const badRequest = (detail: string, remedy?: string): Reply => problem(400, 'bad-request', 'the request cannot be understood', detail, remedy);
const notThere = (what: string): Reply => problem(404, 'not-found', 'there is no such thing', `${what} is not known here`);
const refused = (detail: string, remedy: string): Reply => problem(422, 'refused', 'not accepted', detail, remedy);
const conflict = (detail: string, remedy: string, more: Json = {}): Reply => problem(409, 'conflict', 'not possible now', detail, remedy, more);

function problem(status: number, kind: string, title: string, detail: string, remedy?: string, more: Json = {}): Reply {
  return { status, body: { type: `andon:${kind}`, title, status, detail, ...(remedy ? { remedy } : {}), ...more } };
}

// What a node does not read at all: a field that it does not know, one that is missing, a number where a text stands.

type Kind = 'text' | 'number' | 'whole' | 'flag' | 'key';
/** `!`: it has to be there. */
type Fields = Record<string, Kind | `${Kind}!`>;
const TRIGGER: Fields = { version: 'whole!', key: 'key!', reason: 'text', why: 'text', prepared: 'text', equipment: 'text' };
const DEEDS: Record<string, Fields | undefined> = {
  counts: { key: 'key!', good: 'number', scrap: 'number', rework: 'number', reason: 'text' },
  seen: { instruction: 'text!', revision: 'text', sha256: 'text!' },
  plan: { version: 'whole!', equipment: 'text!', planned_start_ms: 'whole!' },
};
const NEW_ORDER: Fields = { number: 'text!', material: 'text!', revision: 'text', quantity: 'number!', due_ms: 'whole', priority: 'whole', note: 'text', release: 'flag' };
const QUERIES: Record<string, Fields | undefined> = {
  ledger: { limit: 'whole', after: 'whole' },
  orders: { state: 'text', branch: 'text', text: 'text', limit: 'whole', after: 'text' },
  jobs: { equipment: 'text', state: 'text' },
  instructions: { revision: 'text' },
  schedule: { from_ms: 'whole!', to_ms: 'whole!' },
};
const IS: Record<Kind, (value: unknown) => boolean> = {
  text: (value) => typeof value === 'string',
  number: (value) => typeof value === 'number' && Number.isFinite(value),
  whole: (value) => Number.isSafeInteger(value),
  flag: (value) => typeof value === 'boolean',
  key: (value) => typeof value === 'string' && /^[\da-f]{8}-([\da-f]{4}-){3}[\da-f]{12}$/i.test(value),
};

function complaint(fields: Fields, told: Json): string | null {
  const unknown = Object.keys(told).find((name) => !(name in fields));
  if (unknown !== undefined) return `unknown field \`${unknown}\`, expected one of ${Object.keys(fields).map((name) => `\`${name}\``).join(', ')}`;
  for (const [name, kind] of Object.entries(fields)) {
    const value = told[name];
    if (value === undefined && kind.endsWith('!')) return `missing field \`${name}\``;
    if (value !== undefined && value !== null && !IS[kind.replace('!', '') as Kind](value)) return `${name}: invalid value: ${JSON.stringify(value)}`;
  }
  return null;
}
const unreadable = (status: number, words: string): Reply => ({ status, text: { type: 'text/plain; charset=utf-8', content: words } });

function misread(what: string, id: string, deed: string, body: Json): Reply | null {
  const fields = what === 'schedule' ? ({ seed: 'whole', dry_run: 'flag' } satisfies Fields) : what === 'jobs' ? (DEEDS[deed] ?? TRIGGER) : id === '' ? NEW_ORDER : ({ version: 'whole!', reason: 'text' } satisfies Fields);
  const words = complaint(fields, body);
  return words === null ? null : unreadable(422, `Failed to deserialize the JSON body into the target type: ${words}`);
}
function misreadQuery(what: string, id: string, query: URLSearchParams): Reply | null {
  const fields = (id === '' || what === 'instructions' ? QUERIES[what] : undefined) ?? {};
  const told = Object.fromEntries([...query].map(([name, value]) => [name, fields[name]?.startsWith('whole') ? Number(value) : value]));
  const words = Object.keys(fields).length ? complaint(fields, told) : null;
  return words === null ? null : unreadable(400, `Failed to deserialize query string: ${words}`);
}
/** A reason is one line of 200 characters. */
function badReason(body: Json): Reply | null {
  return typeof body['reason'] === 'string' && [...body['reason'].trim()].length > 200 ? badRequest('"reason" is longer than 200 characters') : null;
}
