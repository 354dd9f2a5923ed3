// Maintenance in the mock (`/api/mes/maintenance`): orders with their states, versions, keys and rights, plans, and figures.

import { noise } from './plant';
import { after, type State, type Sub } from './orders';
import { MATERIALS, REASONS } from './ordersPlant';

type Json = Record<string, unknown>;
interface Reply {
  status: number;
  body?: unknown;
  delay?: number;
}
interface Part {
  material: string;
  title: string;
  unit: string;
  lot: string | null;
  serial: string | null;
  quantity: number;
}
interface MockWork {
  id: string;
  number: string;
  kind: string;
  equipment: string;
  title: string;
  note: string;
  priority: number;
  due_ms: number | null;
  plan: string | null;
  turn: number | null;
  alarm: { name: string; occurrence: string } | null;
  source: string;
  state: State;
  substate: Sub;
  failed_ms: number | null;
  restored_ms: number | null;
  code: string | null;
  cause: string;
  remedy: string;
  instructions: { name: string; revision: string; sha256: string; seen: boolean }[];
  planned_parts: Part[];
  parts: Part[];
  people: { person: string; name: string; since_ms: number | null; work_ms: number }[];
  created_ms: number;
  created_by_name: string;
  started_ms: number | null;
  ended_ms: number | null;
  version: number;
  ledger: Json[];
}

const MIN = 60_000;
const HOUR = 60 * MIN;
const DAY = 24 * HOUR;
const LINE1 = 'works/nord/bottling/line1';
const OPERATOR = ['prepare', 'begin', 'join', 'leave', 'pause', 'resume', 'finish'];

export class MockMaintenance {
  readonly orders: MockWork[] = [];
  /** Nothing planned, nothing open. */
  empty = false;
  #keys = new Map<string, { same: string; number: string }>();

  constructor(
    readonly start: number,
    readonly now: () => number,
    readonly who: () => { id: string; name: string },
    readonly may: (action: string, path: string) => boolean,
    /** An alarm that stands, by its name and occurrence. */
    readonly alarm: (name: string, occurrence: string) => { equipment: string; message: string; raised: number } | null,
  ) {
    this.#make({ kind: 'corrective', equipment: `${LINE1}/labeller`, title: 'Label web tears at the splice', failed_ms: start - 41 * MIN, priority: 7, created_ms: start - 40 * MIN, created_by_name: 'Erika Sommer' });
    this.#make({ kind: 'preventive', equipment: `${LINE1}/filler`, title: 'Change the valve seals', plan: 'filler-seals', turn: 3, due_ms: start - 3 * HOUR, created_ms: start - 2 * DAY, instructions: [{ name: 'rinse', revision: '3', sha256: 'a1b2c3d4'.repeat(8), seen: false }], planned_parts: [part('CAP-28', 24)], source: 'plan' });
    this.#make({ kind: 'corrective', equipment: `${LINE1}/packer`, title: 'Guide rail worn', due_ms: start + 2 * DAY, created_ms: start - DAY });
    const running = this.#make({ kind: 'condition_based', equipment: `${LINE1}/capper`, title: 'Torque sensor drifts', plan: 'capper-torque', turn: 1, created_ms: start - 5 * HOUR, source: 'plan' });
    Object.assign(running, { state: 'Running', substate: null, started_ms: start - 25 * MIN, people: [{ person: 'p9', name: 'Jonas Weber', since_ms: start - 25 * MIN, work_ms: 0 }], version: 2 });
    running.ledger.push(entry(running, start - 25 * MIN, 'begin', 'Jonas Weber'));
  }

  handle(method: string, path: string, query: URLSearchParams, body: Json): Reply | null {
    const [, , , area = '', what = '', number = '', deed = ''] = path.split('/').map(decodeURIComponent);
    if (area !== 'maintenance') return null;
    const at = query.get('branch') ?? query.get('path') ?? '';
    const under = (where: string): boolean => (at === '' || where === at || where.startsWith(`${at}/`)) && this.may('view', where);
    if (what === 'plans') return ok({ now_ms: this.now(), plans: this.empty ? [] : this.#plans().filter((plan) => under(String(plan['equipment']))) });
    if (what === 'figures') return ok(this.#figures(at, Number(query.get('from_ms')), Number(query.get('to_ms'))));
    if (what !== 'orders') return null;
    if (number === '' && method === 'GET') {
      const open = (order: MockWork): boolean => query.get('open') !== 'true' || isOpen(order);
      return ok({ orders: (this.empty ? [] : this.orders).filter((order) => open(order) && under(order.equipment)).toReversed().map((order) => this.#view(order)), next: null });
    }
    if (number === '') return this.#new(body);
    const order = this.orders.find((one) => one.number === number);
    if (!order || !this.may('view', order.equipment)) return problem(404, 'there is no such thing', `the maintenance order ${number} is not known here`);
    if (deed === '') return ok(this.#view(order));
    if (deed === 'ledger') return ok({ entries: order.ledger, next: null });
    return this.#deed(order, deed, body);
  }

  #make(more: Partial<MockWork>): MockWork {
    const number = `M-${this.orders.length + 1}`;
    const order: MockWork = {
      id: `0192f0c0-8000-7000-8000-${String(this.orders.length + 1).padStart(12, '0')}`, number, kind: 'corrective', equipment: '', title: '', note: '', priority: 5, due_ms: null, plan: null, turn: null, alarm: null, source: 'person',
      state: 'AllowedToStart', substate: 'Waiting', failed_ms: null, restored_ms: null, code: null, cause: '', remedy: '', instructions: [], planned_parts: [], parts: [], people: [], created_ms: this.now(), created_by_name: this.who().name, started_ms: null, ended_ms: null, version: 1, ledger: [], ...more,
    };
    order.ledger.push(entry(order, order.created_ms, 'made', order.created_by_name));
    this.orders.push(order);
    return order;
  }

  #view(order: MockWork): Json {
    const { ledger: _ledger, ...rest } = order;
    const now = this.now();
    const worked = order.people.map((p) => p.work_ms + (p.since_ms === null ? 0 : now - p.since_ms));
    const all = worked.reduce((sum, ms) => sum + ms, 0);
    return { ...rest, estimated_ms: null, skills: [], people: order.people.map((p, i) => ({ ...p, work_ms: worked[i] })), work_ms: all, running_ms: all, created_by: '0192f0c0-0000-7000-8000-000000000002', may: this.#knows(order) };
  }

  #knows(order: MockWork): string[] {
    const words = { begin: 'begin', pause: 'pause', resume: 'resume', stop: 'finish', abort: 'cancel', close: 'close', start: 'release', revoke: 'revoke' } as const;
    const known = Object.entries(words).filter(([trigger]) => after(order.state, order.substate, trigger, trigger === 'pause' ? 'Held' : null) !== null).map(([, word]) => word as string);
    // The last one does not leave.
    const joins = order.state !== 'Running' ? [] : atWork(order).length > 1 ? ['join', 'leave'] : ['join'];
    return [...known, ...joins].sort();
  }

  #new(body: Json): Reply {
    const again = this.#again(body, 'new');
    if (again) return again;
    const alarm = body['alarm'] as { name: string; occurrence: string } | undefined;
    let made: MockWork;
    if (alarm) {
      const stands = this.alarm(alarm.name, alarm.occurrence);
      if (!stands) return problem(404, 'there is no such thing', 'this occurrence of the alarm is not known here');
      const denied = this.#denied('operate', stands.equipment);
      if (denied) return denied;
      // While its order is open, an alarm that comes again is of the same failure.
      const there = this.orders.find((one) => one.alarm?.name === alarm.name && (isOpen(one) || (one.alarm.occurrence === alarm.occurrence && one.state !== 'Aborted')));
      if (there) return ok(this.#view(there));
      made = this.#make({ equipment: stands.equipment, title: stands.message, failed_ms: stands.raised, alarm: { name: alarm.name, occurrence: alarm.occurrence }, source: 'alarm' });
    } else if (typeof body['plan'] === 'string') {
      const plan = this.#plans().find((one) => one['name'] === body['plan']);
      if (!plan) return problem(404, 'there is no such thing', `the maintenance plan "${body['plan']}" is not known here`);
      const denied = this.#denied('configure', String(plan['equipment']));
      if (denied) return denied;
      made = this.#make({ kind: String(plan['kind']), equipment: String(plan['equipment']), title: String(plan['title']), plan: String(plan['name']), turn: Number(plan['turn']), source: 'plan' });
    } else {
      const equipment = String(body['equipment'] ?? '');
      const denied = this.#denied('operate', equipment);
      if (denied) return denied;
      if (String(body['title'] ?? '').trim() === '') return problem(422, 'not accepted', 'an order needs a title', 'say in a few words what is to be done');
      made = this.#make({ equipment, title: String(body['title']), failed_ms: (body['failed_ms'] as number | null | undefined) ?? null, note: String(body['note'] ?? '') });
    }
    this.#keep(body, 'new', made);
    return { status: 201, body: this.#view(made), delay: 120 };
  }

  #deed(order: MockWork, deed: string, body: Json): Reply {
    const denied = this.#denied(OPERATOR.includes(deed) || deed === 'parts' || deed === 'seen' ? 'operate' : 'configure', order.equipment);
    if (denied) return denied;
    if (deed === 'seen') {
      for (const one of order.instructions) if (one.name === body['instruction'] && one.sha256 === body['sha256']) one.seen = true;
      order.ledger.push(entry(order, this.now(), 'seen', this.who().name, null, String(body['instruction'])));
      return { status: 204 };
    }
    const again = this.#again(body, `${order.number} ${deed}`);
    if (again) return again;
    const done = (reply: Reply): Reply => {
      if (reply.status < 300) this.#keep(body, `${order.number} ${deed}`, order);
      return { ...reply, delay: 120 };
    };
    if (deed === 'parts') {
      const material = MATERIALS.find((one) => one.name === body['material']);
      if (!material) return problem(422, 'not accepted', `there is no material "${String(body['material'])}"`, 'choose one of /api/mes/materials');
      if (order.started_ms === null) return problem(409, 'not possible', `nobody has begun ${order.number}`, undefined, { current: this.#view(order) });
      const [quantity, lot] = [Number(body['quantity']), (body['lot'] as string | undefined) ?? null];
      if (!Number.isFinite(quantity) || quantity === 0) return problem(422, 'not accepted', 'this is no quantity', 'write how much, not zero');
      const has = order.parts.find((one) => one.material === material.name && one.lot === lot);
      if ((has?.quantity ?? 0) + quantity < 0) return problem(422, 'not accepted', `more would be put back than was used: ${has?.quantity ?? 0} so far`, 'put back at most what was used of this material, lot and serial number');
      if (has) has.quantity += quantity;
      else order.parts.push(part(material.name, quantity, lot));
      order.parts = order.parts.filter((one) => one.quantity > 0);
      order.version += 1;
      order.ledger.push(entry(order, this.now(), 'part', this.who().name, null, `${String(body['quantity'])} ${material.unit} ${material.title}`));
      return done(ok(this.#view(order)));
    }
    if (body['version'] !== order.version) return problem(409, 'not possible', `the order ${order.number} was changed meanwhile: it is ${order.state}`, 'look at it as it is now, then decide again', { current: this.#view(order) });
    const unseen = order.instructions.filter((one) => !one.seen);
    if ((deed === 'begin' || deed === 'join' || deed === 'resume') && unseen.length) return problem(409, 'not possible', `not yet confirmed as seen: ${unseen.map((one) => one.name).join(', ')}`, 'read and confirm, then begin', { current: this.#view(order) });
    return done(this.#step(order, deed, body, this.who()));
  }

  #step(order: MockWork, deed: string, body: Json, who: { id: string; name: string }): Reply {
    const trigger = { finish: 'stop', cancel: 'abort', release: 'start' }[deed] ?? deed;
    const joins = deed === 'join' || deed === 'leave';
    const next = joins ? (order.state === 'Running' ? ([order.state, order.substate] as [State, Sub]) : null) : after(order.state, order.substate, trigger, deed === 'pause' ? String(body['why']) : null);
    if (!next) return problem(409, 'not possible', `a maintenance order that is ${order.state} knows no ${deed}`, undefined, { current: this.#view(order) });
    const there = atWork(order).some((p) => p.person === who.id);
    if ((deed === 'join' && there) || (deed === 'leave' && (!there || atWork(order).length === 1))) return problem(409, 'not possible', deed === 'join' ? 'this person works on it already' : there ? 'nobody else works on it: pause it or finish it' : 'this person does not work on it', undefined, { current: this.#view(order) });
    const now = this.now();
    [order.state, order.substate] = next;
    if (deed === 'begin' || deed === 'resume' || deed === 'join') order.people.push({ person: who.id, name: who.name, since_ms: now, work_ms: 0 });
    if (deed === 'pause' || deed === 'finish' || deed === 'leave' || deed === 'cancel') {
      for (const p of order.people) if (p.since_ms !== null && (deed !== 'leave' || p.person === who.id)) Object.assign(p, { work_ms: p.work_ms + now - p.since_ms, since_ms: null });
    }
    if (deed === 'begin') order.started_ms = now;
    if (deed === 'cancel') order.ended_ms = now;
    if (deed === 'finish') {
      order.ended_ms = now;
      if (order.failed_ms !== null) order.restored_ms ??= typeof body['restored_ms'] === 'number' ? body['restored_ms'] : now;
      for (const field of ['code', 'cause', 'remedy'] as const) if (typeof body[field] === 'string') order[field] = body[field] as string;
    }
    order.version += 1;
    order.ledger.push(entry(order, now, deed, who.name, typeof body['reason'] === 'string' ? body['reason'] : null));
    return ok(this.#view(order));
  }

  /** Somebody else does something, at another screen. */
  other(number: string, deed: string, who: string): void {
    const order = this.orders.find((one) => one.number === number);
    if (order) this.#step(order, deed, { why: 'Held' }, { id: who, name: who });
  }

  #again(body: Json, what: string): Reply | null {
    const before = this.#keys.get(String(body['key']));
    if (!before) return null;
    if (before.same !== JSON.stringify([what, body])) return problem(409, 'not possible', 'something else was asked with this key');
    const order = this.orders.find((one) => one.number === before.number);
    return order ? ok(this.#view(order)) : null;
  }
  #keep(body: Json, what: string, order: MockWork): void {
    this.#keys.set(String(body['key']), { same: JSON.stringify([what, body]), number: order.number });
  }

  #denied(action: 'operate' | 'configure', path: string): Reply | null {
    if (this.may(action, path)) return null;
    const [deed, role] = action === 'operate' ? ['Operate', 'Operator'] : ['Configure', 'Engineer'];
    return problem(403, 'not allowed', `not allowed: ${deed} on "${path}" needs the role ${role} there`, 'ask an administrator for this role');
  }

  #plans(): Json[] {
    const base = { turn: 3, since_ms: this.start - 20 * DAY, condition: null, due_since_ms: null, due_by: null, order_due_ms: null, lead_ms: DAY, within_ms: DAY, estimated_ms: HOUR, skills: [], instructions: [], parts: [], order: null, cancelled: null, last: null, warning: null };
    const open = (plan: string): Json | null => {
      const order = this.orders.find((one) => one.plan === plan && isOpen(one));
      return order ? { number: order.number, state: order.state } : null;
    };
    const measure = (by: string, used: number, every: number, days: number | null): Json => ({ by, used, every, unit: by === 'cycles' ? 'items' : 's', share: used / every, forecast_ms: days === null ? null : this.start + days * DAY });
    return [
      { ...base, name: 'filler-seals', title: 'Change the valve seals', equipment: `${LINE1}/filler`, kind: 'preventive', state: 'Overdue', measures: [measure('time', 31 * 86_400, 30 * 86_400, -1), measure('cycles', 1_893_000, 2_000_000, 3)], forecast_ms: this.start - DAY, due_since_ms: this.start - DAY, due_by: 'time', order_due_ms: this.start - 3 * HOUR, order: open('filler-seals') },
      { ...base, name: 'packer-chain', title: 'Grease the chain', equipment: `${LINE1}/packer`, kind: 'preventive', state: 'Due', measures: [measure('run_time', 205 * 3600, 200 * 3600, 0)], forecast_ms: this.start, due_since_ms: this.start - HOUR, due_by: 'run_time', order: open('packer-chain'), cancelled: open('packer-chain') ? null : { number: 'M-0', at_ms: this.start - 30 * MIN, by: 'x', by_name: 'k.brandt' } },
      { ...base, name: 'capper-torque', title: 'Check the torque', equipment: `${LINE1}/capper`, kind: 'condition_based', state: 'Soon', measures: [], condition: { alarm: 'capper torque low', stands: false }, forecast_ms: null, order: open('capper-torque') },
      { ...base, name: 'labeller-oil', title: 'Change the oil', equipment: `${LINE1}/labeller`, kind: 'preventive', state: 'Ok', measures: [measure('time', 6 * 86_400, 90 * 86_400, 84), measure('cycles', 0, 50_000, null)], forecast_ms: this.start + 84 * DAY, warning: 'no machine is counted there, so cycles are not known', last: { number: 'M-0', ended_ms: this.start - 6 * DAY } },
    ];
  }

  #figures(path: string, from: number, to: number): Json {
    const until = Math.min(to, this.now());
    const days = Math.max(0, until - from) / DAY;
    const failures = Math.floor(days * 2 + noise(1, 3));
    const repair = failures * 26 * MIN;
    const operating = Math.round((until - from) * 0.7);
    const [corrective, preventive] = [repair, Math.round(days * 40 * MIN)];
    const figure = (id: string, value: number | null, above: number, below: number, formula: string, unit: string, better: string): Json => ({ id, title: id, value, unit, numerator: above, denominator: below, formula, better });
    return {
      path, from_ms: from, to_ms: until, now_ms: this.now(), failures, open_failures: 1, operating_ms: operating, repair_ms: repair, corrective_ms: corrective, preventive_ms: preventive,
      figures: [
        figure('mtbf', failures ? operating / 1000 / failures : null, operating / 1000, failures, 'TBF / failures', 's', 'up'),
        figure('mttf', failures ? (operating - repair / 4) / 1000 / failures : null, (operating - repair / 4) / 1000, failures, 'TTF / failures', 's', 'up'),
        figure('mttr', failures ? repair / 1000 / failures : null, repair / 1000, failures, 'TTR / restored', 's', 'down'),
        figure('corrective_maintenance_ratio', corrective + preventive > 0 ? corrective / (corrective + preventive) : null, corrective / 1000, (corrective + preventive) / 1000, 'CMT / (CMT + PMT)', '', 'down'),
      ],
      pareto: failures ? [{ code: REASONS[10]?.name ?? null, failures: failures - 1, restored: failures - 1, repair_ms: repair - 9 * MIN }, { code: null, failures: 1, restored: 0, repair_ms: 9 * MIN }] : [],
    };
  }
}

const isOpen = (order: MockWork): boolean => order.state !== 'Ended' && order.state !== 'Aborted';
const atWork = (order: MockWork): MockWork['people'] => order.people.filter((p) => p.since_ms !== null);

function part(name: string, quantity: number, lot: string | null = null): Part {
  const material = MATERIALS.find((one) => one.name === name);
  return { material: name, title: material?.title ?? name, unit: material?.unit ?? 'pcs', lot, serial: null, quantity };
}

const entry = (order: MockWork, at: number, kind: string, who: string, reason: string | null = null, detail: string | null = null): Json => ({ number: order.ledger.length + 1, at_ms: at, kind, state: order.state, substate: order.substate, reason, detail, by: 'x', by_name: who });
const ok = (body: unknown): Reply => ({ status: 200, body });
const problem = (status: number, title: string, detail: string, remedy?: string, more: Json = {}): Reply => ({ status, body: { type: 'about:blank', title, status, detail, ...(remedy ? { remedy } : {}), ...more } });
