// What machines do, how they are counted and why they stood (`/api/mes`): raw JSON in, checked words out. Times in ms.

import { flag, list, num, numOr, numOrNull, object, oneOf, text, textOr, textOrNull } from './parse';

/** The times of ISO 22400-2: every moment of a work unit belongs to exactly one. */
export const ELEMENTS = ['production', 'setup', 'delay', 'minor_stop', 'idle', 'unknown', 'planned_down', 'off_shift'] as const;
export type Element = (typeof ELEMENTS)[number];

/** What takes time between the calendar and good time. */
export const LOSSES = ['off_shift', 'planned_down', 'unknown', 'idle', 'delay', 'minor_stop', 'setup', 'speed', 'scrap', 'rework'] as const;
export type LossId = (typeof LOSSES)[number];

export interface Job {
  id: string;
  number: string;
  order: string;
  material: string;
  quantity: number;
  good: number;
  scrap: number;
  state: string;
  /** How many the plan has for now; null: the plan does not say. */
  expected: number | null;
}

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
  job: Job | null;
  planned: 'busy' | 'off' | 'break' | 'maintenance';
}

export interface Machines {
  nowMs: number;
  machines: Machine[];
}

export interface Kpi {
  id: string;
  title: string;
  value: number | null;
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
  stops: number;
}

export interface Kpis {
  path: string;
  fromMs: number;
  toMs: number;
  nowMs: number;
  /** How long it was each element, and how long it was planned to be busy. */
  times: Record<Element, number> & { planned_busy: number };
  amounts: { produced: number; good: number; scrap: number; rework: number; unit: string | null };
  kpis: Kpi[];
  losses: { id: LossId; ms: number }[];
  reasons: ReasonTime[];
}

export interface Slot {
  fromMs: number;
  toMs: number;
  oee: number | null;
  availability: number | null;
  effectiveness: number | null;
  qualityRatio: number | null;
  good: number;
  scrap: number;
}

/** What was recorded where a correction says otherwise. */
export interface Recorded {
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
  job: string | null;
  /** The number of the correction that says so; null: as recorded. */
  corrected: number | null;
  recorded: Recorded | null;
  inside: boolean | null;
}

export interface Stop {
  unit: string;
  fromMs: number;
  toMs: number;
  /** It goes on. */
  open: boolean;
  element: Element;
  state: string | null;
  reason: string | null;
  cause: 'inside' | 'outside' | null;
  minor: boolean;
  corrected: number | null;
  recorded: Recorded | null;
}

export interface Reason {
  /** `Mechanical/Jam`: a way through the tree of reasons. */
  name: string;
  countsAs: string;
  action: string;
}

export type Change = { reason: string } | { state: string } | { asRecorded: true };

export interface Correction {
  number: number;
  /** Which unit; null: that which was asked for. */
  unit: string | null;
  fromMs: number;
  toMs: number;
  change: Change | null;
  note: string;
  byName: string;
  atMs: number;
}

export interface WhyRow {
  fromMs: number;
  toMs: number;
  what: string;
  ms: number | null;
  amount: number | null;
}

export interface Term {
  symbol: string;
  meaning: string;
  value: number | null;
  unit: string;
  rows: WhyRow[];
  /** How many rows were left off. */
  more: number;
}

export interface Why {
  kpi: string;
  formula: string;
  formulaVersion: string;
  terms: Term[];
}

const element = (raw: unknown, where: string): Element => oneOf(raw, ELEMENTS, where);

function job(raw: unknown): Job | null {
  if (raw === null || raw === undefined) return null;
  const o = object(raw, 'job');
  return {
    id: text(o['id'], 'job.id'),
    number: textOr(o['number'], ''),
    order: textOr(o['order'], ''),
    material: textOr(o['material'], ''),
    quantity: numOr(o['quantity'], 0),
    good: numOr(o['good'], 0),
    scrap: numOr(o['scrap'], 0),
    state: textOr(o['state'], ''),
    expected: numOrNull(o['expected']),
  };
}

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
    job: job(o['job']),
    planned: oneOf(o['planned'] ?? 'busy', ['busy', 'off', 'break', 'maintenance'] as const, 'machine.planned'),
  };
}

export function machines(raw: unknown): Machines {
  const o = object(raw, 'machines');
  return { nowMs: num(o['now_ms'], 'machines.now_ms'), machines: list(o['machines'], 'machines').map(machine) };
}

function kpi(raw: unknown): Kpi {
  const o = object(raw, 'kpi');
  const id = text(o['id'], 'kpi.id');
  return {
    id,
    title: textOr(o['title'], id),
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
    times: {
      ...(Object.fromEntries(ELEMENTS.map((e) => [e, num(times[`${e}_ms`], `kpis.times.${e}_ms`)])) as Record<Element, number>),
      planned_busy: num(times['pbt_ms'], 'kpis.times.pbt_ms'),
    },
    amounts: { produced: numOr(amounts['produced'], 0), good: numOr(amounts['good'], 0), scrap: numOr(amounts['scrap'], 0), rework: numOr(amounts['rework'], 0), unit: textOrNull(amounts['unit']) },
    kpis: list(o['kpis'], 'kpis.kpis').map(kpi),
    losses: list(o['losses'], 'kpis.losses').map((raw) => {
      const loss = object(raw, 'loss');
      return { id: oneOf(loss['id'], LOSSES, 'loss.id'), ms: num(loss['ms'], 'loss.ms') };
    }),
    reasons: list(o['reasons'], 'kpis.reasons').map((raw) => {
      const r = object(raw, 'reason');
      return { element: element(r['element'], 'reason.element'), reason: textOrNull(r['reason']), ms: num(r['ms'], 'reason.ms'), stops: numOr(r['stops'], 0) };
    }),
  };
}

export function series(raw: unknown): Slot[] {
  return list(object(raw, 'series')['slots'], 'series.slots').map((one) => {
    const o = object(one, 'slot');
    return {
      fromMs: num(o['from_ms'], 'slot.from_ms'),
      toMs: num(o['to_ms'], 'slot.to_ms'),
      oee: numOrNull(o['oee']),
      availability: numOrNull(o['availability']),
      effectiveness: numOrNull(o['effectiveness']),
      qualityRatio: numOrNull(o['quality_ratio']),
      good: numOr(o['good'], 0),
      scrap: numOr(o['scrap'], 0),
    };
  });
}

function recorded(raw: unknown): Recorded | null {
  if (typeof raw !== 'object' || raw === null) return null;
  const o = object(raw, 'recorded');
  return { element: element(o['element'], 'recorded.element'), state: textOrNull(o['state']), reason: textOrNull(o['reason']) };
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
      job: textOrNull(o['job']),
      corrected: numOrNull(o['corrected']),
      recorded: recorded(o['recorded']),
      inside: typeof o['inside'] === 'boolean' ? o['inside'] : null,
    };
  });
}

export function stops(raw: unknown): Stop[] {
  return list(object(raw, 'stops')['stops'], 'stops.stops').map((one) => {
    const o = object(one, 'stop');
    return {
      unit: text(o['unit'], 'stop.unit'),
      fromMs: num(o['from_ms'], 'stop.from_ms'),
      toMs: num(o['to_ms'], 'stop.to_ms'),
      open: flag(o['open']),
      element: element(o['element'], 'stop.element'),
      state: textOrNull(o['state']),
      reason: textOrNull(o['reason']),
      cause: o['cause'] === 'inside' || o['cause'] === 'outside' ? o['cause'] : null,
      minor: flag(o['minor']),
      corrected: numOrNull(o['corrected']),
      recorded: recorded(o['recorded']),
    };
  });
}

export function reasons(raw: unknown): Reason[] {
  return list(object(raw, 'reasons')['reasons'], 'reasons.reasons').map((one) => {
    const o = object(one, 'reason');
    return { name: text(o['name'], 'reason.name'), countsAs: textOr(o['counts_as'], ''), action: textOr(o['action'], '') };
  });
}

function change(raw: unknown): Change | null {
  if (typeof raw !== 'object' || raw === null) return null;
  const o = object(raw, 'change');
  if (o['as_recorded'] === true) return { asRecorded: true };
  if (typeof o['reason'] === 'string') return { reason: o['reason'] };
  return typeof o['state'] === 'string' ? { state: o['state'] } : null;
}

export function corrections(raw: unknown): Correction[] {
  return list(object(raw, 'corrections')['corrections'], 'corrections').map((one) => {
    const o = object(one, 'correction');
    return {
      number: num(o['number'], 'correction.number'),
      unit: textOrNull(o['path']),
      fromMs: num(o['from_ms'], 'correction.from_ms'),
      toMs: num(o['to_ms'], 'correction.to_ms'),
      change: change(o['change']),
      note: textOr(o['note'], ''),
      byName: textOr(o['by_name'], textOr(o['by'], '')),
      atMs: num(o['at_ms'], 'correction.at_ms'),
    };
  });
}

export function why(raw: unknown): Why {
  const o = object(raw, 'why');
  const version = o['formula_version'];
  return {
    kpi: text(o['kpi'], 'why.kpi'),
    formula: textOr(o['formula'], ''),
    formulaVersion: typeof version === 'number' ? String(version) : textOr(version, ''),
    terms: list(o['terms'], 'why.terms').map((one) => {
      const term = object(one, 'term');
      return {
        symbol: text(term['symbol'], 'term.symbol'),
        meaning: textOr(term['meaning'], ''),
        value: numOrNull(term['value']),
        unit: textOr(term['unit'], ''),
        rows: list(term['rows'] ?? [], 'term.rows').map((row) => {
          const r = object(row, 'row');
          return { fromMs: num(r['from_ms'], 'row.from_ms'), toMs: num(r['to_ms'], 'row.to_ms'), what: textOr(r['what'], ''), ms: numOrNull(r['ms']), amount: numOrNull(r['amount']) };
        }),
        more: term['more'] === true ? 1 : numOr(term['more'], 0),
      };
    }),
  };
}
