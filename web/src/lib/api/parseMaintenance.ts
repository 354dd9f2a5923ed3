// The border for maintenance (`/api/mes/maintenance`): raw JSON in, checked words out. Times and durations in ms.

import { each, flag, list, num, numOr, numOrNull, object, oneOf, orNull, text, textOr, textOrNull, texts } from './parse';
import type { JobState, Substate } from './parseOrders';

const STATES = ['NotAllowedToStart', 'AllowedToStart', 'Running', 'Interrupted', 'Ended', 'Aborted'] as const;
const SUBSTATES = ['Waiting', 'Ready', 'Loaded', 'Held', 'Suspended', 'Completed', 'Closed'] as const;
const KINDS = ['corrective', 'preventive', 'condition_based'] as const;
const PLAN_STATES = ['Overdue', 'Due', 'Soon', 'Ok'] as const;
const MEASURES = ['time', 'cycles', 'run_time'] as const;
const ENTRY_KINDS = ['made', 'changed', 'release', 'revoke', 'prepare', 'begin', 'join', 'leave', 'pause', 'resume', 'finish', 'cancel', 'close', 'part', 'seen'] as const;
const FIGURES = ['mtbf', 'mttf', 'mttr', 'corrective_maintenance_ratio'] as const;

export interface UsedPart {
  material: string;
  title: string;
  unit: string;
  lot: string | null;
  serial: string | null;
  quantity: number;
}

export interface Work {
  id: string;
  number: string;
  kind: (typeof KINDS)[number];
  equipment: string;
  title: string;
  note: string;
  /** 1 low … 9 high. */
  priority: number;
  due: number | null;
  plan: string | null;
  /** The alarm that it was made from. */
  alarm: { name: string; occurrence: string } | null;
  state: JobState;
  substate: Substate | null;
  /** Since when something has failed; null: nothing has. */
  failed: number | null;
  restored: number | null;
  /** A reason of the plant. */
  code: string | null;
  cause: string;
  remedy: string;
  skills: string[];
  instructions: { name: string; revision: string; sha256: string; seen: boolean }[];
  plannedParts: UsedPart[];
  parts: UsedPart[];
  /** `since`: works on it now since; null: no more. */
  people: { person: string; name: string | null; since: number | null; worked: number }[];
  /** Of all people. */
  worked: number;
  created: number;
  createdBy: string | null;
  started: number | null;
  ended: number | null;
  version: number;
  /** What its state knows: the words of requests. */
  may: string[];
}

export interface WorkPage {
  orders: Work[];
  next: string | null;
}

export interface WorkEntry {
  number: number;
  at: number;
  kind: (typeof ENTRY_KINDS)[number];
  reason: string | null;
  detail: string | null;
  by: string | null;
}

export interface Plan {
  name: string;
  title: string;
  equipment: string;
  state: (typeof PLAN_STATES)[number];
  /** `used` and `share` null: nothing is counted there. */
  measures: { by: (typeof MEASURES)[number]; used: number | null; every: number; share: number | null; forecast: number | null }[];
  condition: { alarm: string; stands: boolean } | null;
  forecast: number | null;
  dueSince: number | null;
  order: string | null;
  cancelled: { number: string; at: number; by: string | null } | null;
  last: { number: string; ended: number | null } | null;
  /** In the server's words. */
  warning: string | null;
}

export interface Figure {
  id: (typeof FIGURES)[number];
  value: number | null;
  unit: string;
  numerator: number;
  denominator: number;
  formula: string;
}

export interface Figures {
  from: number;
  to: number;
  failures: number;
  openFailures: number;
  operating: number;
  repair: number;
  corrective: number;
  preventive: number;
  figures: Figure[];
  pareto: { code: string | null; failures: number; restored: number; repair: number }[];
}

function part(raw: unknown): UsedPart {
  const o = object(raw, 'part');
  const material = text(o['material'], 'part.material');
  return { material, title: textOr(o['title'], '') || material, unit: textOr(o['unit'], ''), lot: textOrNull(o['lot']), serial: textOrNull(o['serial']), quantity: num(o['quantity'], 'part.quantity') };
}

export function work(raw: unknown): Work {
  const o = object(raw, 'maintenance order');
  return {
    id: text(o['id'], 'order.id'),
    number: text(o['number'], 'order.number'),
    kind: oneOf(o['kind'], KINDS, 'order.kind'),
    equipment: text(o['equipment'], 'order.equipment'),
    title: textOr(o['title'], ''),
    note: textOr(o['note'], ''),
    priority: numOr(o['priority'], 5),
    due: numOrNull(o['due_ms']),
    plan: textOrNull(o['plan']),
    alarm: orNull(o['alarm'], (raw) => {
      const a = object(raw, 'order.alarm');
      return { name: text(a['name'], 'order.alarm.name'), occurrence: text(a['occurrence'], 'order.alarm.occurrence') };
    }),
    state: oneOf(o['state'], STATES, 'order.state'),
    substate: orNull(o['substate'], (word) => oneOf(word, SUBSTATES, 'order.substate')),
    failed: numOrNull(o['failed_ms']),
    restored: numOrNull(o['restored_ms']),
    code: textOrNull(o['code']),
    cause: textOr(o['cause'], ''),
    remedy: textOr(o['remedy'], ''),
    skills: texts(o['skills']),
    instructions: each(o['instructions'], 'order.instructions', (raw) => {
      const i = object(raw, 'instruction');
      return { name: text(i['name'], 'instruction.name'), revision: textOr(i['revision'], ''), sha256: text(i['sha256'], 'instruction.sha256'), seen: flag(i['seen']) };
    }),
    plannedParts: each(o['planned_parts'], 'order.planned_parts', part),
    parts: each(o['parts'], 'order.parts', part),
    people: each(o['people'], 'order.people', (raw) => {
      const p = object(raw, 'person');
      return { person: text(p['person'], 'person.person'), name: textOrNull(p['name']), since: numOrNull(p['since_ms']), worked: numOr(p['work_ms'], 0) };
    }),
    worked: numOr(o['work_ms'], 0),
    created: num(o['created_ms'], 'order.created_ms'),
    createdBy: textOrNull(o['created_by_name']),
    started: numOrNull(o['started_ms']),
    ended: numOrNull(o['ended_ms']),
    version: num(o['version'], 'order.version'),
    may: texts(o['may']),
  };
}

export function workPage(raw: unknown): WorkPage {
  const o = object(raw, 'maintenance orders');
  return { orders: list(o['orders'], 'orders').map(work), next: textOrNull(o['next']) };
}

/** Only the newest are asked for; `more`: there were others before. */
export function workLedger(raw: unknown): { entries: WorkEntry[]; more: boolean } {
  const told = object(raw, 'ledger');
  const entries = list(told['entries'], 'ledger').map((raw): WorkEntry => {
    const o = object(raw, 'ledger[]');
    return { number: num(o['number'], 'entry.number'), at: num(o['at_ms'], 'entry.at_ms'), kind: oneOf(o['kind'], ENTRY_KINDS, 'entry.kind'), reason: textOrNull(o['reason']), detail: textOrNull(o['detail']), by: textOrNull(o['by_name']) };
  });
  return { entries, more: numOrNull(told['next']) !== null };
}

export const plans = (raw: unknown): Plan[] =>
  list(object(raw, 'plans')['plans'], 'plans').map((raw): Plan => {
    const o = object(raw, 'plan');
    const name = text(o['name'], 'plan.name');
    return {
      name,
      title: textOr(o['title'], '') || name,
      equipment: text(o['equipment'], 'plan.equipment'),
      state: oneOf(o['state'], PLAN_STATES, 'plan.state'),
      measures: each(o['measures'], 'plan.measures', (raw) => {
        const m = object(raw, 'measure');
        return { by: oneOf(m['by'], MEASURES, 'measure.by'), used: numOrNull(m['used']), every: num(m['every'], 'measure.every'), share: numOrNull(m['share']), forecast: numOrNull(m['forecast_ms']) };
      }),
      condition: orNull(o['condition'], (raw) => {
        const c = object(raw, 'plan.condition');
        return { alarm: text(c['alarm'], 'condition.alarm'), stands: flag(c['stands']) };
      }),
      forecast: numOrNull(o['forecast_ms']),
      dueSince: numOrNull(o['due_since_ms']),
      order: orNull(o['order'], (raw) => text(object(raw, 'plan.order')['number'], 'plan.order.number')),
      cancelled: orNull(o['cancelled'], (raw) => {
        const c = object(raw, 'plan.cancelled');
        return { number: text(c['number'], 'cancelled.number'), at: num(c['at_ms'], 'cancelled.at_ms'), by: textOrNull(c['by_name']) };
      }),
      last: orNull(o['last'], (raw) => {
        const l = object(raw, 'plan.last');
        return { number: text(l['number'], 'last.number'), ended: numOrNull(l['ended_ms']) };
      }),
      warning: textOrNull(o['warning']),
    };
  });

export function figures(raw: unknown): Figures {
  const o = object(raw, 'figures');
  return {
    from: num(o['from_ms'], 'figures.from_ms'),
    to: num(o['to_ms'], 'figures.to_ms'),
    failures: num(o['failures'], 'figures.failures'),
    openFailures: num(o['open_failures'], 'figures.open_failures'),
    operating: num(o['operating_ms'], 'figures.operating_ms'),
    repair: num(o['repair_ms'], 'figures.repair_ms'),
    corrective: num(o['corrective_ms'], 'figures.corrective_ms'),
    preventive: num(o['preventive_ms'], 'figures.preventive_ms'),
    figures: each(o['figures'], 'figures.figures', (raw) => {
      const f = object(raw, 'figure');
      return { id: oneOf(f['id'], FIGURES, 'figure.id'), value: numOrNull(f['value']), unit: textOr(f['unit'], ''), numerator: num(f['numerator'], 'figure.numerator'), denominator: num(f['denominator'], 'figure.denominator'), formula: textOr(f['formula'], '') };
    }),
    pareto: each(o['pareto'], 'figures.pareto', (raw) => {
      const p = object(raw, 'pareto');
      return { code: textOrNull(p['code']), failures: num(p['failures'], 'pareto.failures'), restored: num(p['restored'], 'pareto.restored'), repair: num(p['repair_ms'], 'pareto.repair_ms') };
    }),
  };
}
