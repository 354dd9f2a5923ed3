// Shapes for the pictures of OEE and downtime. What counts is computed in the server: nothing here adds up a KPI.

import type { Correction, Element, Kpi, Kpis, LossId, Machine, Piece, Reason, ReasonTime, Slot, Stop } from '$lib/api/parseOee';
import { ELEMENTS } from '$lib/api/parseOee';
import { csvCell } from './csv';
import { isUnder, parentPath } from './tree';

export const kpiOf = (kpis: readonly Kpi[], id: string): Kpi | null => kpis.find((kpi) => kpi.id === id) ?? null;

/** Why a KPI has no value. */
type NoValue = 'no_time' | 'no_product' | 'unknown';

export function whyNone(kpi: Kpi): NoValue {
  if (kpi.denominator !== 0) return 'unknown';
  return kpi.id === 'quality_ratio' || kpi.id.endsWith('_ratio') && kpi.formula.endsWith('PQ') ? 'no_product' : 'no_time';
}

const AMOUNTS = /\b(?:GQ|PQ|SQ|RQ|GP|IP)\b/;
/**
 * What the two sides of a KPI are: times (in s), amounts, or neither. A planned run time times an amount is a time; NEE is made of two
 * quotients, whose sides multiplied are no time any more.
 */
export function partKind(kpi: Kpi): 'time' | 'amount' | 'none' {
  if (kpi.formula.split('/').length > 2) return 'none';
  return AMOUNTS.test(kpi.formula) && !/\bPRI\b|\bP[BO]T\b/.test(kpi.formula) ? 'amount' : 'time';
}

/** Items took less time than was planned for them: the plan is out of date. It is shown, never cut off. */
export const tooFast = (kpi: Kpi | null): boolean => kpi?.value !== null && kpi?.value !== undefined && kpi.value > 1.0005;

/**
 * Whether OEE is the product of its three factors as they are shown. Over items with different planned run times it is not quite:
 * each counts with its own, and the quality ratio counts items.
 */
export function multiplies(kpis: readonly Kpi[]): boolean {
  const [oee, a, e, q] = ['oee_index', 'availability', 'effectiveness', 'quality_ratio'].map((id) => kpiOf(kpis, id)?.value ?? null);
  if (oee === null || oee === undefined || a === null || a === undefined || e === null || e === undefined || q === null || q === undefined) return true;
  return Math.abs(oee - a * e * q) < 0.0005;
}

// The waterfall

/** A bar: from where to where, in ms from the left; a total begins at 0. */
export interface Fall {
  id: LossId | 'calendar' | 'planned_busy' | 'production' | 'good';
  kind: 'total' | 'loss';
  ms: number;
  from: number;
  to: number;
}

/** Behind which loss which time of the server stands as a total of its own. */
const RESTS: readonly { before: LossId; id: 'planned_busy' | 'production' }[] = [
  { before: 'unknown', id: 'planned_busy' },
  { before: 'speed', id: 'production' },
];

/** The losses that are times of a machine: they are known also where no planned run time tells speed and quality apart. */
const TIMES: readonly LossId[] = ['off_shift', 'planned_down', 'unknown', 'idle', 'delay', 'minor_stop', 'setup'];

/**
 * From calendar time down to good time, or down to production time where good time is not known. A negative loss is a gain (items took
 * less than planned) and goes up again. Losses of nothing are left out; the table has them.
 */
export function waterfall(kpis: Kpis): Fall[] {
  const calendar = ELEMENTS.reduce((sum, element) => sum + kpis.times[element], 0);
  const falls: Fall[] = [{ id: 'calendar', kind: 'total', ms: calendar, from: 0, to: calendar }];
  let at = calendar;
  const losses = kpis.goodMs === null ? TIMES.map((id) => ({ id, ms: kpis.times[id as Element] })) : kpis.losses;
  for (const loss of losses) {
    const rest = RESTS.find((r) => r.before === loss.id);
    if (rest) falls.push({ id: rest.id, kind: 'total', ms: kpis.times[rest.id], from: 0, to: kpis.times[rest.id] });
    if (loss.ms !== 0) falls.push({ id: loss.id, kind: 'loss', ms: loss.ms, from: Math.min(at, at - loss.ms), to: Math.max(at, at - loss.ms) });
    at -= loss.ms;
  }
  const last = kpis.goodMs === null ? ({ id: 'production', ms: kpis.times.production } as const) : ({ id: 'good', ms: kpis.goodMs } as const);
  falls.push({ ...last, kind: 'total', from: 0, to: last.ms });
  return falls;
}

// The strip

/** What stands in a strip between two pixels. */
export interface Run {
  element: Element;
  x: number;
  width: number;
  piece: Piece;
  /** More than one piece, too short to be told apart: the one that took longest is shown. */
  mixed: boolean;
}

/**
 * Pieces as rectangles, never more than one for each pixel: a day of short stops draws as fast as an hour. What is narrower than a
 * pixel shares it with its neighbours, and the one that took longest decides how it looks.
 */
export function runs(pieces: readonly Piece[], from: number, to: number, width: number): Run[] {
  const perMs = width / (to - from);
  const found: Run[] = [];
  let crowd: Piece[] = [];
  let crowdX = 0;
  const settle = (until: number): void => {
    const longest = crowd.reduce<Piece | null>((a, b) => (a && a.toMs - a.fromMs >= b.toMs - b.fromMs ? a : b), null);
    if (longest) found.push({ element: longest.element, x: crowdX, width: Math.max(1, until - crowdX), piece: longest, mixed: crowd.length > 1 });
    crowd = [];
  };
  for (const piece of pieces) {
    const x = (Math.max(from, piece.fromMs) - from) * perMs;
    const end = (Math.min(to, piece.toMs) - from) * perMs;
    if (end <= 0 || x >= width || end <= x) continue;
    if (crowd.length && (end - crowdX >= 1.5 || end - x >= 1)) settle(x);
    if (end - x >= 1) found.push({ element: piece.element, x, width: end - x, piece, mixed: false });
    else {
      if (!crowd.length) crowdX = x;
      crowd.push(piece);
    }
  }
  const last = crowd.at(-1);
  if (last) settle((Math.min(to, last.toMs) - from) * perMs);
  return found;
}

/** The piece in which a time lies; null: nothing is known of it. Pieces are in the order of time. */
export function pieceAt(pieces: readonly Piece[], at: number): Piece | null {
  let lo = 0;
  let hi = pieces.length - 1;
  while (lo <= hi) {
    const mid = (lo + hi) >> 1;
    const piece = pieces[mid] as Piece;
    if (at < piece.fromMs) hi = mid - 1;
    else if (at >= piece.toMs) lo = mid + 1;
    else return piece;
  }
  return null;
}

/** The last piece goes on until it is known to have ended. */
export function goingOn(pieces: readonly Piece[], readTo: number, now: number): readonly Piece[] {
  const last = pieces.at(-1);
  // A second more or less: the answer was on its way.
  if (!last || last.toMs < readTo - 1500 || now <= last.toMs) return pieces;
  return [...pieces.slice(0, -1), { ...last, toMs: now }];
}

/** The next border between pieces from `at` on, for the keys: a second inside, so that it is the piece's own. */
export function nextBorder(pieces: readonly Piece[], at: number, direction: -1 | 1): number | null {
  if (direction > 0) return pieces.find((p) => p.fromMs > at)?.fromMs ?? null;
  return pieces.findLast((p) => p.fromMs < at)?.fromMs ?? null;
}

// The Pareto chart

export interface ParetoRow extends ReasonTime {
  /** What it is sorted by, and its part of all. */
  size: number;
  share: number;
  /** The part of all that it and those before it have. */
  upTo: number;
}

/** Largest first; `rest`: how many have no room, and how large they are together. */
export function pareto(reasons: readonly ReasonTime[], by: 'ms' | 'stops', most: number): { rows: ParetoRow[]; rest: { count: number; size: number } | null } {
  const sorted = reasons.filter((r) => r[by] > 0).toSorted((a, b) => b[by] - a[by]);
  const all = sorted.reduce((sum, r) => sum + r[by], 0);
  let before = 0;
  const rows = sorted.slice(0, most).map((r) => {
    before += r[by];
    return { ...r, size: r[by], share: r[by] / all, upTo: before / all };
  });
  const left = sorted.length - rows.length;
  return { rows, rest: left > 0 ? { count: left, size: all - before } : null };
}

// Reasons

interface ReasonGroup {
  name: string;
  reasons: Reason[];
}

/** `Mechanical/Jam/Infeed` → `Jam › Infeed`: what stands on its button, below its group. */
export const reasonLeaf = (name: string): string => name.split('/').slice(1).join(' › ') || name;
export const reasonWords = (name: string): string => name.split('/').join(' › ');

/** The tree's first level as groups, in the order of the plant; those of `text` only. */
export function reasonGroups(reasons: readonly Reason[], text = ''): ReasonGroup[] {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const groups = new Map<string, Reason[]>();
  for (const reason of reasons) {
    if (!words.every((w) => reason.name.toLowerCase().includes(w))) continue;
    const group = reason.name.split('/')[0] ?? '';
    groups.set(group, [...(groups.get(group) ?? []), reason]);
  }
  return [...groups].map(([name, list]) => ({ name, reasons: list }));
}

/** Those that were used last, newest first, as far as they still exist. */
export function lastUsed(reasons: readonly Reason[], used: readonly string[], most: number): Reason[] {
  return used.flatMap((name) => reasons.filter((r) => r.name === name)).slice(0, most);
}

export const rememberUsed = (used: readonly string[], name: string): string[] => [name, ...used.filter((u) => u !== name)].slice(0, 12);

// Stops

/** A stop stays the same row while it goes on, when it ends, and when it is explained: it is told from its beginning, whatever the range. */
export const stopKey = (stop: Stop): string => `${stop.unit} ${stop.fromMs}`;
export const isUnexplained = (stop: Stop): boolean => stop.reason === null;

/** What was said of a stop that still went on holds until then; the rest of it stands behind, without a reason. Null: it is no rest. */
export const saidBefore = (rest: Stop, stops: readonly Stop[]): string | null => (isUnexplained(rest) ? (stops.find((s) => s.unit === rest.unit && s.toMs === rest.fromMs && s.reason !== null)?.reason ?? null) : null);

/** What is left of a unit's stop from a time on, up to which it was explained; null: nothing. */
export const restFrom = (unit: string, at: number, stops: readonly Stop[]): Stop | null => stops.find((s) => s.unit === unit && s.fromMs === at && isUnexplained(s)) ?? null;

/** A correction and the unit that it is about. */
export type UnitCorrection = Correction & { unit: string };

/** The number of the correction that a stop stands by, which is the last that covers its beginning; null: it is as recorded. */
export function correctionOf(stop: Stop, corrections: readonly UnitCorrection[]): number | null {
  const last = corrections.filter((c) => c.unit === stop.unit && c.fromMs <= stop.fromMs && c.toMs > stop.fromMs).toSorted((a, b) => b.number - a.number)[0];
  return last && !(last.change && 'asRecorded' in last.change) ? last.number : null;
}

/**
 * The list while somebody reads it: the rows stay where they are and show what is known of them now; what is new waits, and what is
 * no stop any more goes.
 */
export function heldRows(shown: readonly string[], fresh: readonly Stop[]): { rows: Stop[]; waiting: number } {
  const known = new Map(fresh.map((stop) => [stopKey(stop), stop]));
  const rows = shown.flatMap((key) => known.get(key) ?? []);
  return { rows, waiting: fresh.length - rows.length };
}

// Where

/** The branch that holds all machines, as deep as it goes; '' where they have none in common. */
export function commonBranch(machines: readonly Machine[]): string {
  let at = machines[0] ? parentPath(machines[0].path) : '';
  while (at !== '' && !machines.every((m) => isUnder(m.path, at))) at = parentPath(at);
  return at;
}

/** What may be looked at: the branch that holds all, those below it with machines, and the machines, as a tree. */
export function branches(machines: readonly Machine[]): { path: string; depth: number; unit: boolean }[] {
  const top = commonBranch(machines);
  const found = new Map<string, { path: string; depth: number; unit: boolean }>();
  const depthOf = (path: string): number => (path === top ? 0 : path.split('/').length - (top === '' ? 0 : top.split('/').length));
  for (const machine of machines.toSorted((a, b) => parentPath(a.path).localeCompare(parentPath(b.path)))) {
    const way: string[] = [];
    for (let at = parentPath(machine.path); at !== '' && isUnder(at, top); at = parentPath(at)) way.unshift(at);
    for (const path of way) if (!found.has(path)) found.set(path, { path, depth: depthOf(path), unit: false });
    found.set(machine.path, { path: machine.path, depth: depthOf(machine.path), unit: true });
  }
  return [...found.values()];
}

// Files

export function slotsCsv(slots: readonly Slot[]): string {
  const head = ['from_utc', 'to_utc', 'shift', 'oee', 'availability', 'effectiveness', 'quality_ratio', 'good', 'scrap'];
  const lines = slots.map((s) =>
    [new Date(s.fromMs).toISOString(), new Date(s.toMs).toISOString(), s.name, s.oee, s.availability, s.effectiveness, s.qualityRatio, s.good, s.scrap].map(csvCell).join(','),
  );
  return `${[head.join(','), ...lines].join('\r\n')}\r\n`;
}

export function stopsCsv(stops: readonly Stop[]): string {
  const head = ['unit', 'from_utc', 'to_utc', 'open', 'element', 'state', 'reason', 'cause'];
  const lines = stops.map((s) =>
    [s.unit, new Date(s.fromMs).toISOString(), new Date(s.toMs).toISOString(), String(s.open), s.element, s.state, s.reason, s.cause].map(csvCell).join(','),
  );
  return `${[head.join(','), ...lines].join('\r\n')}\r\n`;
}
