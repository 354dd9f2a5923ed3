// What machines do, how they are counted and why they stood (`/api/mes`): raw JSON in, checked words out. Times in ms.

import { flag, list, num, numOr, numOrNull, object, oneOf, orNull, text, textOr, textOrNull } from './parse';

/** The times of ISO 22400-2: every moment of a work unit belongs to exactly one. */
export const ELEMENTS = ['production', 'setup', 'delay', 'minor_stop', 'idle', 'unknown', 'planned_down', 'off_shift'] as const;
export type Element = (typeof ELEMENTS)[number];

/** What takes time between the calendar and good time. */
const LOSSES = ['off_shift', 'planned_down', 'unknown', 'idle', 'delay', 'minor_stop', 'setup', 'speed', 'scrap', 'rework'] as const;
export type LossId = (typeof LOSSES)[number];

export interface Machine {
  path: string;
  title: string;
  /** The path of what it is a part of. */
  line: string;
  /** A PackML name such as `Execute`; null: nothing is known. */
  state: string | null;
  mode: string | null;
  sinceMs: number | null;
  element: Element;
  reason: string | null;
  planned: 'busy' | 'off' | 'break' | 'maintenance';
  /** By what it is planned; null: nothing says so. */
  calendar: string | null;
  /** The shift that it is in now; null: none, or it has no calendar. */
  shift: { name: string; fromMs: number; toMs: number } | null;
  /** The job that stands on it: begun, and not ended. */
  job: { id: string; number: string; title: string } | null;
}

export interface Machines {
  nowMs: number;
  machines: Machine[];
}

export interface Kpi {
  id: string;
  value: number | null;
  /** Above the line, in seconds or items: the formula says which. Null: not known. */
  numerator: number | null;
  denominator: number | null;
  formula: string;
  better: 'up' | 'down';
}

export interface ReasonTime {
  element: Element;
  /** Null: nobody has said. */
  reason: string | null;
  ms: number;
  /** Stops that began with it. */
  stops: number;
}

export interface Kpis {
  path: string;
  fromMs: number;
  toMs: number;
  nowMs: number;
  /** How many machines are in it. */
  machines: number;
  /** How long it was each element, and how long it was planned to be busy. */
  times: Record<Element, number> & { planned_busy: number };
  amounts: { produced: number; good: number; scrap: number; rework: number };
  kpis: Kpi[];
  /** From the calendar down to `goodMs`. Empty where a planned run time is missing: speed and quality cannot be told apart then. */
  losses: { id: LossId; ms: number }[];
  /** What good items take as planned; null as for the losses. */
  goodMs: number | null;
  reasons: ReasonTime[];
}

export interface Slot {
  fromMs: number;
  toMs: number;
  /** The shift's name, where each slot is a shift. */
  name: string | null;
  oee: number | null;
  availability: number | null;
  effectiveness: number | null;
  qualityRatio: number | null;
  good: number;
  scrap: number;
}

const LEVELS = ['enterprise', 'site', 'area', 'work_center', 'work_unit'] as const;

/** What a node of the plant comes to over a window. Figures are null where no machine is followed at or below it. */
export interface NodeFigures {
  path: string;
  title: string;
  level: (typeof LEVELS)[number];
  /** How many nodes stand one level below it; 0: it ends here. */
  children: number;
  machines: number;
  oee: number | null;
  /** Of OEE; null: nobody has set one. */
  target: number | null;
  availability: number | null;
  effectiveness: number | null;
  qualityRatio: number | null;
  good: number | null;
  scrap: number | null;
  /** What took most of the planned busy time. `reason`: the longest one of it; null: nobody has said, or it has none. */
  loss: { id: LossId; ms: number; reason: string | null } | null;
  /** Now, not of the window; null: they cannot be seen. */
  orders: { running: number; late: number } | null;
}

/** A node, and what stands one level below it. */
export interface Level {
  fromMs: number;
  toMs: number;
  /** Null: above all that can be seen. */
  node: NodeFigures | null;
  children: NodeFigures[];
  /** There are more than are told at once. */
  truncated: boolean;
}

/** What a machine did, in as few words as there are for it. */
export interface Did {
  element: Element;
  state: string | null;
  reason: string | null;
}

export interface Piece {
  fromMs: number;
  toMs: number;
  element: Element;
  state: string | null;
  mode: string | null;
  reason: string | null;
  /** The number of the correction that says so; null: as recorded. */
  corrected: number | null;
}

export interface Stop {
  unit: string;
  /** When it began, be it before the range that was asked for. */
  fromMs: number;
  /** When it ended; the end of the range, where it goes on. */
  toMs: number;
  /** It goes on. */
  open: boolean;
  element: 'delay' | 'minor_stop';
  state: string | null;
  reason: string | null;
  cause: 'inside' | 'outside' | null;
}

export interface Stops {
  /** Those that nobody has explained first, then the longest. */
  stops: Stop[];
  /** How many there are in all. */
  of: number;
}

export interface Reason {
  /** `Mechanical/Jam`: a way through the tree of reasons. */
  name: string;
  countsAs: string;
  /** Outside the machine: what stands for it is suspended, not held. */
  outside: boolean;
  action: string;
}

export type Change = { reason: string } | { state: string } | { asRecorded: true };

export interface Correction {
  number: number;
  fromMs: number;
  toMs: number;
  /** Null: it is none that this page knows; `says` has the server's words for it. */
  change: Change | null;
  says: string;
  /** What the person wrote about it. */
  note: string | null;
  /** '' where the person is known no more. */
  byName: string;
  atMs: number;
}

export interface WhyRow {
  unit: string;
  fromMs: number;
  /** The same as the beginning where it is an instant. */
  toMs: number;
  what: string;
  /** In the term's unit. */
  amount: number;
}

export interface Term {
  symbol: string;
  value: number | null;
  unit: 's' | 'items';
  rows: WhyRow[];
  /** How many rows were left off. */
  more: number;
}

export interface Why {
  kpi: Kpi;
  /** The edition of the formula. */
  edition: string;
  terms: Term[];
}

const element = (raw: unknown, where: string): Element => oneOf(raw, ELEMENTS, where);

function machine(raw: unknown): Machine {
  const o = object(raw, 'machine');
  const path = text(o['path'], 'machine.path');
  return {
    path,
    title: textOr(o['title'], '') || path.slice(path.lastIndexOf('/') + 1),
    line: textOr(o['line'], path.slice(0, Math.max(0, path.lastIndexOf('/')))),
    state: textOrNull(o['state']),
    mode: textOrNull(o['mode']),
    sinceMs: numOrNull(o['since_ms']),
    element: element(o['element'], 'machine.element'),
    reason: textOrNull(o['reason']),
    planned: oneOf(o['planned'] ?? 'busy', ['busy', 'off', 'break', 'maintenance'] as const, 'machine.planned'),
    calendar: textOrNull(o['calendar']),
    shift: orNull(o['shift'], shift),
    job: orNull(o['job'], jobBrief),
  };
}

function jobBrief(raw: unknown): NonNullable<Machine['job']> {
  const o = object(raw, 'machine.job');
  return { id: text(o['id'], 'job.id'), number: text(o['number'], 'job.number'), title: textOr(o['title'], '') };
}

function shift(raw: unknown): NonNullable<Machine['shift']> {
  const o = object(raw, 'machine.shift');
  return { name: text(o['name'], 'shift.name'), fromMs: num(o['from_ms'], 'shift.from_ms'), toMs: num(o['to_ms'], 'shift.to_ms') };
}

export function machines(raw: unknown): Machines {
  const o = object(raw, 'machines');
  return { nowMs: num(o['now_ms'], 'machines.now_ms'), machines: list(o['machines'], 'machines').map(machine) };
}

function kpi(raw: unknown): Kpi {
  const o = object(raw, 'kpi');
  return {
    id: text(o['id'], 'kpi.id'),
    value: numOrNull(o['value']),
    numerator: numOrNull(o['numerator']),
    denominator: numOrNull(o['denominator']),
    formula: textOr(o['formula'], ''),
    better: o['better'] === 'down' ? 'down' : 'up',
  };
}

export function kpis(raw: unknown): Kpis {
  const o = object(raw, 'kpis');
  const times = object(o['times'], 'kpis.times');
  const amounts = object(o['amounts'], 'kpis.amounts');
  return {
    path: textOr(o['path'], ''),
    fromMs: num(o['from_ms'], 'kpis.from_ms'),
    toMs: num(o['to_ms'], 'kpis.to_ms'),
    nowMs: num(o['now_ms'], 'kpis.now_ms'),
    machines: num(o['machines'], 'kpis.machines'),
    times: {
      ...(Object.fromEntries(ELEMENTS.map((e) => [e, num(times[`${e}_ms`], `kpis.times.${e}_ms`)])) as Record<Element, number>),
      planned_busy: num(times['pbt_ms'], 'kpis.times.pbt_ms'),
    },
    amounts: { produced: num(amounts['produced'], 'amounts.produced'), good: num(amounts['good'], 'amounts.good'), scrap: num(amounts['scrap'], 'amounts.scrap'), rework: num(amounts['rework'], 'amounts.rework') },
    kpis: list(o['kpis'], 'kpis.kpis').map(kpi),
    losses: list(o['losses'], 'kpis.losses').map((raw) => {
      const loss = object(raw, 'loss');
      return { id: oneOf(loss['id'], LOSSES, 'loss.id'), ms: num(loss['ms'], 'loss.ms') };
    }),
    goodMs: numOrNull(o['good_ms']),
    reasons: list(o['reasons'], 'kpis.reasons').map((raw) => {
      const r = object(raw, 'reason');
      return { element: element(r['element'], 'reason.element'), reason: textOrNull(r['reason']), ms: num(r['ms'], 'reason.ms'), stops: numOr(r['stops'], 0) };
    }),
  };
}

/** OEE and what it is the product of. */
function factors(o: Record<string, unknown>): Pick<Slot, 'oee' | 'availability' | 'effectiveness' | 'qualityRatio'> {
  return { oee: numOrNull(o['oee']), availability: numOrNull(o['availability']), effectiveness: numOrNull(o['effectiveness']), qualityRatio: numOrNull(o['quality_ratio']) };
}

export function series(raw: unknown): Slot[] {
  return list(object(raw, 'series')['slots'], 'series.slots').map((one) => {
    const o = object(one, 'slot');
    return {
      fromMs: num(o['from_ms'], 'slot.from_ms'),
      toMs: num(o['to_ms'], 'slot.to_ms'),
      name: textOrNull(o['name']),
      ...factors(o),
      good: numOr(o['good'], 0),
      scrap: numOr(o['scrap'], 0),
    };
  });
}

function nodeFigures(raw: unknown): NodeFigures {
  const o = object(raw, 'node');
  const path = text(o['path'], 'node.path');
  return {
    path,
    title: textOr(o['title'], '') || path.slice(path.lastIndexOf('/') + 1),
    level: oneOf(o['level'], LEVELS, 'node.level'),
    children: num(o['children'], 'node.children'),
    machines: num(o['machines'], 'node.machines'),
    ...factors(o),
    target: numOrNull(o['target']),
    good: numOrNull(o['good']),
    scrap: numOrNull(o['scrap']),
    loss: orNull(o['loss'], (raw) => {
      const loss = object(raw, 'node.loss');
      return { id: oneOf(loss['id'], LOSSES, 'node.loss.id'), ms: num(loss['ms'], 'node.loss.ms'), reason: textOrNull(loss['reason']) };
    }),
    orders: orNull(o['orders'], (raw) => {
      const orders = object(raw, 'node.orders');
      return { running: num(orders['running'], 'node.orders.running'), late: num(orders['late'], 'node.orders.late') };
    }),
  };
}

export function level(raw: unknown): Level {
  const o = object(raw, 'level');
  return {
    fromMs: num(o['from_ms'], 'level.from_ms'),
    toMs: num(o['to_ms'], 'level.to_ms'),
    node: orNull(o['node'], nodeFigures),
    children: list(o['children'], 'level.children').map(nodeFigures),
    truncated: flag(o['truncated']),
  };
}

export function pieces(raw: unknown): Piece[] {
  return list(object(raw, 'states')['pieces'], 'states.pieces').map((one) => {
    const o = object(one, 'piece');
    return {
      fromMs: num(o['from_ms'], 'piece.from_ms'),
      toMs: num(o['to_ms'], 'piece.to_ms'),
      element: element(o['element'], 'piece.element'),
      state: textOrNull(o['state']),
      mode: textOrNull(o['mode']),
      reason: textOrNull(o['reason']),
      corrected: numOrNull(o['corrected']),
    };
  });
}

export function stops(raw: unknown): Stops {
  const answer = object(raw, 'stops');
  const all = list(answer['stops'], 'stops.stops').map((one): Stop => {
    const o = object(one, 'stop');
    return {
      unit: text(o['unit'], 'stop.unit'),
      fromMs: num(o['from_ms'], 'stop.from_ms'),
      toMs: num(o['to_ms'], 'stop.to_ms'),
      open: flag(o['open']),
      element: flag(o['minor']) ? 'minor_stop' : 'delay',
      state: textOrNull(o['state']),
      reason: textOrNull(o['reason']),
      cause: o['cause'] === 'inside' || o['cause'] === 'outside' ? o['cause'] : null,
    };
  });
  return { stops: all, of: num(answer['of'], 'stops.of') };
}

const CAUSES = ['inside', 'outside'] as const;

export function reasons(raw: unknown): Reason[] {
  return list(object(raw, 'reasons')['reasons'], 'reasons.reasons').map((one) => {
    const o = object(one, 'reason');
    return { name: text(o['name'], 'reason.name'), countsAs: textOr(o['counts_as'], ''), outside: oneOf(o['cause'], CAUSES, 'reason.cause') === 'outside', action: textOr(o['action'], '') };
  });
}

/** The server tells a correction in words: `reason Mechanical/Jam`, `state Held`, `as recorded`. */
function change(says: string): Change | null {
  if (says === 'as recorded') return { asRecorded: true };
  if (says.startsWith('reason ')) return { reason: says.slice('reason '.length) };
  return says.startsWith('state ') ? { state: says.slice('state '.length) } : null;
}

export function corrections(raw: unknown): Correction[] {
  return list(object(raw, 'corrections')['corrections'], 'corrections').map((one) => {
    const o = object(one, 'correction');
    const says = text(o['says'], 'correction.says');
    return {
      number: num(o['number'], 'correction.number'),
      fromMs: num(o['from_ms'], 'correction.from_ms'),
      toMs: num(o['to_ms'], 'correction.to_ms'),
      change: change(says),
      says,
      note: textOrNull(o['note']),
      byName: textOr(o['by_name'], ''),
      atMs: num(o['at_ms'], 'correction.at_ms'),
    };
  });
}

export function why(raw: unknown): Why {
  const o = object(raw, 'why');
  return {
    kpi: kpi(o['kpi']),
    edition: textOr(o['edition'], ''),
    terms: list(o['terms'], 'why.terms').map((one) => {
      const term = object(one, 'term');
      return {
        symbol: text(term['symbol'], 'term.symbol'),
        value: numOrNull(term['value']),
        unit: oneOf(term['unit'], ['s', 'items'] as const, 'term.unit'),
        rows: list(term['rows'], 'term.rows').map((row) => {
          const r = object(row, 'row');
          return { unit: text(r['unit'], 'row.unit'), fromMs: num(r['from_ms'], 'row.from_ms'), toMs: num(r['to_ms'], 'row.to_ms'), what: text(r['what'], 'row.what'), amount: num(r['amount'], 'row.amount') };
        }),
        more: num(term['more'], 'term.more'),
      };
    }),
  };
}
