// The border for orders, jobs and the plan: raw JSON in, checked words out. As `parse.ts`, apart from it so that other pages need not load it.

import { flag, list, num, numOr, numOrNull, object, oneOf, text, textOr, textOrNull, texts } from './parse';

export const ORDER_STATES = ['Forecast', 'Released', 'Running', 'Completed', 'Closed', 'Cancelled'] as const;
export type OrderState = (typeof ORDER_STATES)[number];
export const JOB_STATES = ['NotAllowedToStart', 'AllowedToStart', 'Running', 'Interrupted', 'Ended', 'Aborted'] as const;
export type JobState = (typeof JOB_STATES)[number];
export const SUBSTATES = ['Waiting', 'Ready', 'Loaded', 'Held', 'Suspended', 'Completed', 'Closed'] as const;
export type Substate = (typeof SUBSTATES)[number];

/** An instruction of a job, in the revision that holds now. */
export interface Instruction {
  name: string;
  revision: string;
  /** Of its content, 64 hexadecimal digits: what a person confirms to have read. */
  sha256: string;
  /** The person who asked has confirmed this very content. */
  seen: boolean;
}

/** One operation of an order on one work unit. Amounts in the order's unit, times in ms since 1970 UTC, spans in ms. */
export interface Job {
  id: string;
  number: string;
  order: string;
  operation: string;
  title: string;
  /** Where it is made; null: nobody has decided. */
  equipment: string | null;
  alternatives: string[];
  quantity: number;
  good: number;
  scrap: number;
  rework: number;
  state: JobState;
  substate: Substate | null;
  plannedStart: number | null;
  plannedEnd: number | null;
  started: number | null;
  ended: number | null;
  /** For the whole job, as planned. */
  runTime: number;
  setup: number;
  /** The jobs that have to end before it. */
  after: string[];
  skills: string[];
  instructions: Instruction[];
  version: number;
  /** What the server would allow now. */
  may: string[];
}

export interface Order {
  id: string;
  number: string;
  material: string;
  revision: string;
  title: string;
  unit: string;
  quantity: number;
  due: number | null;
  /** 1 low … 9 high. */
  priority: number;
  state: OrderState;
  good: number;
  scrap: number;
  rework: number;
  jobs: Job[];
  created: number;
  source: 'person' | 'erp';
  note: string;
  version: number;
}

export interface Material {
  name: string;
  revision: string;
  title: string;
  unit: string;
  /** 0: it is bought. */
  operations: number;
}

export interface Reason {
  /** A path of the tree of reasons, such as `Mechanical/Jam`. */
  name: string;
  countsAs: string;
  action: string;
}

export const DEEDS = ['create', 'release', 'revoke', 'prepare', 'begin', 'pause', 'resume', 'stop', 'abort', 'close', 'count', 'seen', 'plan', 'change'] as const;
export type Deed = (typeof DEEDS)[number];

/** A line of what happened to a job. */
export interface Entry {
  at: number;
  kind: Deed;
  /** Where it went, where the state changed. */
  to: { state: JobState; substate: Substate | null } | null;
  reason: string | null;
  good: number;
  scrap: number;
  rework: number;
  instruction: string | null;
  equipment: string | null;
  plannedStart: number | null;
  /** Null: Andon itself. */
  by: string | null;
}

export interface InstructionText {
  name: string;
  revision: string;
  title: string;
  sha256: string;
  /** At least one. */
  steps: { title: string; text: string }[];
}

export interface Closed {
  from: number;
  to: number;
  name: string;
}

export interface Lane {
  path: string;
  title: string;
  closed: Closed[];
  setups: { from: number; to: number; job: string }[];
}

export interface Schedule {
  jobs: Job[];
  lanes: Lane[];
}

export interface Placing {
  job: string;
  equipment: string;
  start: number;
  end: number;
}

export interface Proposal {
  rule: string;
  /** Hours late, each weighted with the order's priority: of this plan, and what no plan can go below. */
  lateness: number;
  bound: number;
  /** How far it may be from the best, as a share of the bound; null: not to be said. */
  gap: number | null;
  changes: Placing[];
  late: { order: string; by: number }[];
}

const instruction = (raw: unknown): Instruction => {
  const o = object(raw, 'instruction');
  return { name: text(o['name'], 'instruction.name'), revision: textOr(o['revision'], ''), sha256: text(o['sha256'], 'instruction.sha256'), seen: flag(o['seen']) };
};

const substate = (raw: unknown): Substate | null => (raw === null || raw === undefined ? null : oneOf(raw, SUBSTATES, 'job.substate'));

export function job(raw: unknown): Job {
  const o = object(raw, 'job');
  return {
    id: text(o['id'], 'job.id'),
    number: text(o['number'], 'job.number'),
    order: text(o['order'], 'job.order'),
    operation: textOr(o['operation'], ''),
    title: textOr(o['title'], ''),
    equipment: textOrNull(o['equipment']),
    alternatives: texts(o['alternatives']),
    quantity: num(o['quantity'], 'job.quantity'),
    good: numOr(o['good'], 0),
    scrap: numOr(o['scrap'], 0),
    rework: numOr(o['rework'], 0),
    state: oneOf(o['state'], JOB_STATES, 'job.state'),
    substate: substate(o['substate']),
    plannedStart: numOrNull(o['planned_start_ms']),
    plannedEnd: numOrNull(o['planned_end_ms']),
    started: numOrNull(o['started_ms']),
    ended: numOrNull(o['ended_ms']),
    runTime: numOr(o['run_time_ms'], 0),
    setup: numOr(o['setup_ms'], 0),
    after: texts(o['after']),
    skills: texts(o['skills']),
    instructions: list(o['instructions'] ?? [], 'job.instructions').map(instruction),
    version: num(o['version'], 'job.version'),
    may: texts(o['may']),
  };
}

export const jobs = (raw: unknown): Job[] => list(object(raw, 'jobs')['jobs'], 'jobs').map(job);

export function order(raw: unknown): Order {
  const o = object(raw, 'order');
  return {
    id: text(o['id'], 'order.id'),
    number: text(o['number'], 'order.number'),
    material: text(o['material'], 'order.material'),
    revision: textOr(o['revision'], ''),
    title: textOr(o['title'], '') || text(o['material'], 'order.material'),
    unit: textOr(o['unit'], ''),
    quantity: num(o['quantity'], 'order.quantity'),
    due: numOrNull(o['due_ms']),
    priority: numOr(o['priority'], 5),
    state: oneOf(o['state'], ORDER_STATES, 'order.state'),
    good: numOr(o['good'], 0),
    scrap: numOr(o['scrap'], 0),
    rework: numOr(o['rework'], 0),
    jobs: list(o['jobs'] ?? [], 'order.jobs').map(job),
    created: numOr(o['created_ms'], 0),
    source: o['source'] === 'erp' ? 'erp' : 'person',
    note: textOr(o['note'], ''),
    version: num(o['version'], 'order.version'),
  };
}

export function orders(raw: unknown): { orders: Order[]; next: string | null } {
  const o = object(raw, 'orders');
  const next = o['next'];
  return { orders: list(o['orders'], 'orders').map(order), next: next === null || next === undefined ? null : String(next) };
}

export const materials = (raw: unknown): Material[] =>
  list(object(raw, 'materials')['materials'], 'materials').map((entry) => {
    const o = object(entry, 'material');
    const name = text(o['name'], 'material.name');
    return { name, revision: textOr(o['revision'], ''), title: textOr(o['title'], '') || name, unit: textOr(o['unit'], 'pcs'), operations: numOr(o['operations'], 0) };
  });

export const reasons = (raw: unknown): Reason[] =>
  list(object(raw, 'reasons')['reasons'], 'reasons').map((entry) => {
    const o = object(entry, 'reason');
    return { name: text(o['name'], 'reason.name'), countsAs: textOr(o['counts_as'], ''), action: textOr(o['action'], '') };
  });

export const ledger = (raw: unknown): Entry[] =>
  list(object(raw, 'ledger')['entries'], 'ledger').map((entry) => {
    const o = object(entry, 'ledger[]');
    return {
      at: num(o['at_ms'], 'ledger[].at_ms'),
      kind: oneOf(o['kind'], DEEDS, 'ledger[].kind'),
      to: o['state'] === null || o['state'] === undefined ? null : { state: oneOf(o['state'], JOB_STATES, 'ledger[].state'), substate: substate(o['substate']) },
      reason: textOrNull(o['reason']),
      good: numOr(o['good'], 0),
      scrap: numOr(o['scrap'], 0),
      rework: numOr(o['rework'], 0),
      instruction: textOrNull(o['instruction']),
      equipment: textOrNull(o['equipment']),
      plannedStart: numOrNull(o['planned_start_ms']),
      by: textOrNull(o['by_name']),
    };
  });

/** An instruction without steps is one step: its text. */
export function instructionText(raw: unknown): InstructionText {
  const o = object(raw, 'instruction');
  const title = textOr(o['title'], '') || text(o['name'], 'instruction.name');
  const steps = list(o['steps'] ?? [], 'instruction.steps').map((entry) => {
    const step = object(entry, 'instruction.steps[]');
    return { title: textOr(step['title'], ''), text: textOr(step['text'], '') };
  });
  return {
    name: text(o['name'], 'instruction.name'),
    revision: textOr(o['revision'], ''),
    title,
    sha256: text(o['sha256'], 'instruction.sha256'),
    steps: steps.length ? steps : [{ title, text: textOr(o['text'], '') }],
  };
}

export function schedule(raw: unknown): Schedule {
  const o = object(raw, 'schedule');
  const span = (entry: unknown, where: string): { from: number; to: number; o: Readonly<Record<string, unknown>> } => {
    const s = object(entry, where);
    return { from: num(s['from_ms'], `${where}.from_ms`), to: num(s['to_ms'], `${where}.to_ms`), o: s };
  };
  return {
    jobs: jobs(raw),
    lanes: list(o['equipment'], 'schedule.equipment').map((entry) => {
      const e = object(entry, 'schedule.equipment[]');
      const path = text(e['path'], 'schedule.equipment[].path');
      return {
        path,
        title: textOr(e['title'], '') || path,
        closed: list(e['closed'] ?? [], 'closed').map((c) => span(c, 'closed[]')).map(({ from, to, o: c }) => ({ from, to, name: textOr(c['name'], '') })),
        setups: list(e['setups'] ?? [], 'setups').map((s) => span(s, 'setups[]')).map(({ from, to, o: s }) => ({ from, to, job: textOr(s['job'], '') })),
      };
    }),
  };
}

export function proposal(raw: unknown): Proposal {
  const o = object(raw, 'plan');
  return {
    rule: textOr(o['rule'], ''),
    lateness: numOr(o['lateness_weighted_h'], 0),
    bound: numOr(o['bound_weighted_h'], 0),
    gap: numOrNull(o['gap']),
    changes: list(o['changes'] ?? [], 'plan.changes').map((entry) => {
      const c = object(entry, 'plan.changes[]');
      return { job: text(c['job'], 'change.job'), equipment: text(c['equipment'], 'change.equipment'), start: num(c['planned_start_ms'], 'change.planned_start_ms'), end: num(c['planned_end_ms'], 'change.planned_end_ms') };
    }),
    late: list(o['late'] ?? [], 'plan.late').map((entry) => {
      const l = object(entry, 'plan.late[]');
      return { order: text(l['order'], 'late.order'), by: num(l['by_ms'], 'late.by_ms') };
    }),
  };
}
