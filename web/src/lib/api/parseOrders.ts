// The border for orders, jobs and the plan: raw JSON in, checked words out. As `parse.ts`, apart from it so that other pages need not load it.

import { each, flag, list, num, numOr, numOrNull, object, oneOf, orNull, spanOf, text, textOr, textOrNull, texts } from './parse';

const ORDER_STATES = ['Forecast', 'Released', 'Running', 'Completed', 'Closed', 'Cancelled'] as const;
type OrderState = (typeof ORDER_STATES)[number];
const JOB_STATES = ['NotAllowedToStart', 'AllowedToStart', 'Running', 'Interrupted', 'Ended', 'Aborted'] as const;
export type JobState = (typeof JOB_STATES)[number];
const SUBSTATES = ['Waiting', 'Ready', 'Loaded', 'Held', 'Suspended', 'Completed', 'Closed'] as const;
export type Substate = (typeof SUBSTATES)[number];

/** An instruction of a job, in the revision that holds now. */
interface Instruction {
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
  /** What its state knows: the words of requests, such as `begin`. */
  may: string[];
  /** What should be known of it, in the server's words: what counters counted is missing, or, told once as it begins, nothing was made before. */
  warnings: string[];
}

/** `truncated`: there are more than are told at once. */
export interface Jobs {
  jobs: Job[];
  truncated: boolean;
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

const DEEDS = ['release', 'revoke', 'prepare', 'begin', 'pause', 'resume', 'stop', 'abort', 'close', 'count', 'seen', 'plan', 'change'] as const;
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
  /** Where the job was after it. */
  equipment: string | null;
  /** Where it was planned. */
  plannedStart: number | null;
  /** Null: the person is known no more. */
  by: string | null;
}

/** What happened to a job, the oldest first; `next`: the number to ask for what was before, null: nothing was. */
export interface Ledger {
  entries: Entry[];
  next: number | null;
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

export interface Schedule extends Jobs {
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
  /** Orders that will be late, by how much, and the word for why: `work`, `calendar`, `capacity`, … */
  late: { order: string; by: number; cause: string }[];
  /** What else cannot be met, in the server's words. */
  unmet: string[];
}

const instruction = (raw: unknown): Instruction => {
  const o = object(raw, 'instruction');
  return { name: text(o['name'], 'instruction.name'), revision: textOr(o['revision'], ''), sha256: text(o['sha256'], 'instruction.sha256'), seen: flag(o['seen']) };
};

const substate = (raw: unknown): Substate | null => orNull(raw, (word) => oneOf(word, SUBSTATES, 'job.substate'));

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
    instructions: each(o['instructions'], 'job.instructions', instruction),
    version: num(o['version'], 'job.version'),
    may: texts(o['may']),
    warnings: texts(o['warnings']),
  };
}

export function jobs(raw: unknown): Jobs {
  const o = object(raw, 'jobs');
  return { jobs: list(o['jobs'], 'jobs').map(job), truncated: flag(o['truncated']) };
}

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
    jobs: each(o['jobs'], 'order.jobs', job),
    created: numOr(o['created_ms'], 0),
    note: textOr(o['note'], ''),
    version: num(o['version'], 'order.version'),
  };
}

export function orders(raw: unknown): { orders: Order[]; next: string | null } {
  const o = object(raw, 'orders');
  return { orders: list(o['orders'], 'orders').map(order), next: orNull(o['next'], String) };
}

export const materials = (raw: unknown): Material[] =>
  list(object(raw, 'materials')['materials'], 'materials').map((entry) => {
    const o = object(entry, 'material');
    const name = text(o['name'], 'material.name');
    return { name, revision: textOr(o['revision'], ''), title: textOr(o['title'], '') || name, unit: textOr(o['unit'], 'pcs'), operations: numOr(o['operations'], 0) };
  });

export function ledger(raw: unknown): Ledger {
  const told = object(raw, 'ledger');
  const entries = list(told['entries'], 'ledger').map((entry): Entry => {
    const o = object(entry, 'ledger[]');
    return {
      at: num(o['at_ms'], 'ledger[].at_ms'),
      kind: oneOf(o['kind'], DEEDS, 'ledger[].kind'),
      to: orNull(o['state'], (state) => ({ state: oneOf(state, JOB_STATES, 'ledger[].state'), substate: substate(o['substate']) })),
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
  return { entries, next: numOrNull(told['next']) };
}

/** An instruction without steps is one step: its text. */
export function instructionText(raw: unknown): InstructionText {
  const o = object(raw, 'instruction');
  const title = textOr(o['title'], '') || text(o['name'], 'instruction.name');
  const steps = each(o['steps'], 'instruction.steps', (entry) => {
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
  return {
    ...jobs(raw),
    lanes: list(o['equipment'], 'schedule.equipment').map((entry) => {
      const e = object(entry, 'schedule.equipment[]');
      const path = text(e['path'], 'schedule.equipment[].path');
      return {
        path,
        title: textOr(e['title'], '') || path,
        closed: each(e['closed'], 'closed', (entry) => {
          const c = object(entry, 'closed[]');
          return { ...spanOf(c, 'closed[]'), name: textOr(c['name'], '') };
        }),
        setups: each(e['setups'], 'setups', (entry) => {
          const s = object(entry, 'setups[]');
          return { ...spanOf(s, 'setups[]'), job: textOr(s['job'], '') };
        }),
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
    changes: each(o['changes'], 'plan.changes', (entry) => {
      const c = object(entry, 'plan.changes[]');
      return { job: text(c['job'], 'change.job'), equipment: text(c['equipment'], 'change.equipment'), start: num(c['planned_start_ms'], 'change.planned_start_ms'), end: num(c['planned_end_ms'], 'change.planned_end_ms') };
    }),
    late: each(o['late'], 'plan.late', (entry) => {
      const l = object(entry, 'plan.late[]');
      return { order: text(l['order'], 'late.order'), by: num(l['by_ms'], 'late.by_ms'), cause: textOr(l['cause'], '') };
    }),
    unmet: texts(o['unmet']),
  };
}
