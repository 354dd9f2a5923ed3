// The mock's machines: what they did, how they are counted and why they stood (`/api/mes`). Pieces of state and counts are pure
// functions of time, and every KPI is computed from those same pieces and counts: so the numbers agree with each other.

import { REASONS } from './ordersPlant';
import { equipment, noise } from './plant';

type Json = Record<string, unknown>;
type Element = 'production' | 'setup' | 'delay' | 'minor_stop' | 'idle' | 'unknown' | 'planned_down' | 'off_shift';

const SECOND = 1000;
const MIN = 60 * SECOND;
const HOUR = 60 * MIN;
const SLOT = 10 * MIN;
const SHIFT = 8 * HOUR;
const DAY = 24 * HOUR;
const ELEMENTS: readonly Element[] = ['production', 'setup', 'delay', 'minor_stop', 'idle', 'unknown', 'planned_down', 'off_shift'];
const BUSY = ELEMENTS.slice(0, 6);
const STOPS: readonly Element[] = ['delay', 'minor_stop'];
/** A stop that is shorter is a minor one. */
const MINOR = MIN;

interface Unit {
  path: string;
  title: string;
  seed: number;
  /** Planned for each item, in ms. */
  run: number;
  /** How fast it really is; more than 1: the plan is out of date. */
  speed: number;
  scrap: number;
  rework: number;
  /** Stands since so long before the start, and why. */
  down?: { for: number; state: string; reason: string | null };
  /** Has had no job since so long before the start: it runs when one is begun. */
  waits?: number;
}

const LINE1 = 'works/nord/bottling/line1';
const LINE2 = 'works/nord/bottling/line2';
/** Planned run times are those of the materials' operations. */
const UNITS: readonly Unit[] = [
  { path: `${LINE1}/capper`, title: 'Capper', seed: 12, run: 900, speed: 0.95, scrap: 0.011, rework: 0.004 },
  { path: `${LINE1}/filler`, title: 'Filler', seed: 11, run: 900, speed: 0.94, scrap: 0.003, rework: 0 },
  { path: `${LINE1}/labeller`, title: 'Labeller', seed: 13, run: 800, speed: 0.9, scrap: 0.021, rework: 0.012, down: { for: 11 * MIN, state: 'Aborted', reason: null } },
  { path: `${LINE1}/packer`, title: 'Packer', seed: 14, run: 700, speed: 0.97, scrap: 0.03, rework: 0.006 },
  { path: `${LINE2}/filler`, title: 'Filler', seed: 25, run: 900, speed: 1.07, scrap: 0.005, rework: 0, waits: 12 * MIN },
  { path: `${LINE2}/labeller`, title: 'Labeller', seed: 27, run: 800, speed: 0.93, scrap: 0.008, rework: 0.002, waits: 70 * MIN },
  { path: `${LINE2}/packer`, title: 'Packer', seed: 26, run: 700, speed: 0.92, scrap: 0.004, rework: 0.001, down: { for: 37 * MIN, state: 'Stopped', reason: 'People/No operator' } },
];
/** Why they stand now and then. */
const DELAYS = REASONS.filter((r) => r.counts_as === 'delay' && !r.name.startsWith('People/')).map((r) => r.name);

interface Piece {
  from: number;
  to: number;
  element: Element;
  state: string | null;
  reason: string | null;
  /** How fast it was, where it produced. */
  speed: number;
  corrected: number | null;
  /** Before any correction. */
  recorded: { element: Element; state: string | null; reason: string | null } | null;
}

interface Stop {
  unit: string;
  from: number;
  to: number;
  open: boolean;
  state: string | null;
  reason: string | null;
  minor: boolean;
}

interface Correction {
  number: number;
  key: string;
  path: string;
  from: number;
  to: number;
  change: Json;
  note: string | null;
  by: string;
  at: number;
}

interface Answer {
  status: number;
  body?: unknown;
  /** What is refused before it is looked at is told as a text. */
  text?: { type: string; content: string };
  delay?: number;
}

export type May = (deed: 'view' | 'operate', path: string) => boolean;

interface Sums {
  times: Record<Element, number>;
  produced: number;
  good: number;
  scrap: number;
  rework: number;
  /** Planned run time of what was produced, and of its parts, in ms. */
  work: { produced: number; good: number; scrap: number; rework: number };
}

/** What the orders know: the job on a machine, and how many orders have a job at or below a path. */
interface Jobs {
  on: (path: string) => { id: string; number: string; order: string; title: string; state: string; started_ms: number | null } | null;
  counts: (path: string) => { running: number; late: number };
}
const NO_JOBS: Jobs = { on: () => null, counts: () => ({ running: 0, late: 0 }) };
/** Where somebody has set a target of OEE. */
const TARGETS: Readonly<Record<string, number>> = { 'works/nord': 0.7, [LINE1]: 0.72, [LINE2]: 0.68, [`${LINE1}/filler`]: 0.75 };
const MOST_CHILDREN = 500;
const ADDRESSES = new Set(['kpis', 'kpis/series', 'states', 'stops', 'corrections', 'why'].map((what) => `/api/mes/${what}`));

export class MockOee {
  #corrections: Correction[] = [];
  #again = new Map<string, number>();
  /** No machine is defined. */
  empty = false;
  /** So many lines of bottling, all but two of which do as the first one does. */
  lines = 2;
  /** The first shift of the day; two shifts work, the third does not. */
  readonly #first: number;

  constructor(
    readonly start: number,
    readonly now: () => number,
    readonly jobs: Jobs = NO_JOBS,
  ) {
    this.#first = Math.floor((start - 5 * HOUR) / HOUR) * HOUR;
  }

  /** What stands since before the start runs again. */
  runAgain(path: string): void {
    this.#again.set(path, this.now());
  }

  handle(method: string, path: string, query: URLSearchParams, body: Json, may: May, who: string): Answer | null {
    const at = query.get('path') ?? '';
    const from = Number(query.get('from_ms'));
    const to = Math.min(Number(query.get('to_ms')), this.now());
    switch (`${method} ${path}`) {
      case 'GET /api/mes/machines':
        return ok({ now_ms: this.now(), machines: this.#units(query.get('branch') ?? '', may).map((unit) => this.#view(unit)) });
      case 'GET /api/mes/reasons':
        return ok({ reasons: this.empty ? [] : REASONS });
      case 'GET /api/mes/kpis/children':
        return this.#level(at, from, to, may);
      case 'POST /api/mes/corrections':
        return this.#correct(body, may, who);
    }
    if (method !== 'GET' || !ADDRESSES.has(path)) return null;
    const wanted = Number(query.get('to_ms'));
    if (!(wanted > from)) return problem(400, 'the request cannot be understood', '"from_ms" must be before "to_ms"');
    const units = at === '' ? [] : this.#units(at, may);
    const [unit] = units;
    if (!unit) return nowhere(at);
    const whole = path === '/api/mes/kpis' || path === '/api/mes/kpis/series';
    if (!whole && wanted - from > 32 * DAY) return problem(422, 'not accepted', 'the window is too long to be told piece by piece', 'ask for at most 32 days, or for /api/mes/kpis');
    switch (path) {
      case '/api/mes/kpis':
        return ok(this.#kpis(at, units, from, to));
      case '/api/mes/kpis/series':
        return ok({ slots: this.#series(units, from, to, query.get('step') ?? 'hour') });
      case '/api/mes/states':
        return unit.path === at ? ok({ pieces: joined(this.#pieces(unit, from, to)).map((p) => pieceJson(p)) }) : nowhere(at);
      case '/api/mes/stops': {
        const stops = this.#stops(units, from, to);
        return ok({ stops: stops.slice(0, Number(query.get('limit') ?? 200)).map(stopJson), of: stops.length });
      }
      case '/api/mes/corrections': {
        if (unit.path !== at) return nowhere(at);
        const list = this.#corrections.filter((c) => c.path === at && c.from < wanted && c.to > from);
        return ok({ corrections: list.map((c) => ({ number: c.number, from_ms: c.from, to_ms: c.to, says: says(c.change), note: c.note, by: '0192f0c0-0000-7000-8000-000000000002', at_ms: c.at, by_name: c.by })) });
      }
      default:
        return this.#why(units, query.get('kpi') ?? '', from, to);
    }
  }

  #units(branch: string, may: May): Unit[] {
    if (this.empty) return [];
    if (/\/line([3-9]|\d\d+)$/.test(branch)) return this.#units(LINE1, may);
    return UNITS.filter((u) => (branch === '' || u.path === branch || u.path.startsWith(`${branch}/`)) && may('view', u.path));
  }

  // What a unit did

  #planned(t: number): 'busy' | 'break' | 'off' {
    const day = (((t - this.#first) % DAY) + DAY) % DAY;
    if (day >= 2 * SHIFT) return 'off';
    const shift = day % SHIFT;
    return shift >= 4 * HOUR && shift < 4.5 * HOUR ? 'break' : 'busy';
  }

  /** What was recorded in ten minutes. */
  #slot(unit: Unit, slot: number): Piece[] {
    const from = this.#first + slot * SLOT;
    const planned = this.#planned(from);
    const speed = unit.speed * (0.95 + 0.1 * noise(slot, unit.seed + 500));
    const made: Piece[] = [];
    let at = from;
    const add = (ms: number, element: Element, state: string | null, reason: string | null = null): void => {
      made.push({ from: at, to: at + ms, element, state, reason, speed, corrected: null, recorded: null });
      at += ms;
    };
    const rest = (): void => add(from + SLOT - at, 'production', 'Execute');
    const dice = noise(slot, unit.seed);
    const size = noise(slot, unit.seed + 100);
    if (planned === 'off') add(SLOT, 'off_shift', 'Stopped');
    else if (planned === 'break') add(SLOT, 'planned_down', 'Held');
    else if (unit.down && from >= this.start - unit.down.for - SLOT && from < this.start + 4 * HOUR) {
      const begins = this.start - unit.down.for;
      const ends = Math.min(from + SLOT, this.#again.get(unit.path) ?? Infinity);
      if (begins > at) add(begins - at, 'production', 'Execute');
      if (ends > at) add(ends - at, 'delay', unit.down.state, unit.down.reason);
      if (from + SLOT > at) rest();
    } else if (unit.waits !== undefined && from + SLOT > this.start - unit.waits && from < this.start + 4 * HOUR) {
      const begins = Math.max(from, this.start - unit.waits);
      const ends = Math.min(from + SLOT, this.jobs.on(unit.path)?.started_ms ?? Infinity);
      if (begins > at) add(begins - at, 'production', 'Execute');
      if (ends > at) add(ends - at, 'idle', 'Idle', 'Planning/No order');
      if (from + SLOT > at) rest();
    } else if (dice < 0.03) add(SLOT, 'idle', 'Idle', 'Planning/No order');
    else if (dice < 0.045) add(SLOT, 'unknown', null);
    else if (dice < 0.09) {
      add(8 * MIN, 'setup', 'Resetting', 'Set-up/Change of product');
      rest();
    } else if (dice < 0.24) {
      add(SECOND * Math.round(20 + size * 60), 'production', 'Execute');
      const said = noise(slot, unit.seed + 200);
      const reason = said < 0.35 ? null : (DELAYS[Math.floor(said * 14) % DELAYS.length] ?? null);
      add(SECOND * Math.round(80 + size * 400), 'delay', size < 0.3 ? 'Suspended' : size < 0.7 ? 'Held' : 'Aborted', reason);
      rest();
    } else if (dice < 0.42) {
      for (let i = 0; i < 1 + Math.floor(size * 3); i += 1) {
        add(SECOND * Math.round(40 + size * 90), 'production', 'Execute');
        add(SECOND * Math.round(8 + noise(slot + i, unit.seed + 300) * 45), 'minor_stop', 'Suspended', noise(slot + i, unit.seed + 400) < 0.5 ? 'Mechanical/Jam' : null);
      }
      rest();
    } else rest();
    return made;
  }

  #pieces(unit: Unit, from: number, to: number): Piece[] {
    // Whether a stop is short can be seen only if what is before and behind is looked at as well.
    const [first, last] = [from - MINOR, Math.min(to + MINOR, this.now() + 1)];
    let pieces: Piece[] = [];
    for (let slot = Math.floor((first - this.#first) / SLOT); this.#first + slot * SLOT < last; slot += 1) {
      for (const piece of this.#slot(unit, slot)) {
        const cut = { ...piece, from: Math.max(first, piece.from), to: Math.min(last, piece.to) };
        if (cut.to <= cut.from) continue;
        const before = pieces.at(-1);
        // The speed changes from slot to slot: pieces of production are one stretch to the eye, and are joined there only.
        if (before && before.element !== 'production' && before.element === cut.element && before.state === cut.state && before.reason === cut.reason && before.to === cut.from) before.to = cut.to;
        else pieces.push(cut);
      }
    }
    for (const correction of this.#corrections) if (correction.path === unit.path) pieces = pieces.flatMap((piece) => corrected(piece, correction));
    for (const run of stopsOf(pieces)) {
      const element = (run.at(-1)?.to ?? 0) - (run[0]?.from ?? 0) < MINOR ? 'minor_stop' : 'delay';
      for (const piece of run) piece.element = element;
    }
    return pieces.map((piece) => ({ ...piece, from: Math.max(from, piece.from), to: Math.min(to, piece.to) })).filter((piece) => piece.to > piece.from);
  }

  #view(unit: Unit): Json {
    const now = this.now();
    const pieces = this.#pieces(unit, now - 12 * HOUR, now + 1);
    const last = pieces.at(-1) as Piece;
    let since = last.from;
    for (const piece of pieces.toReversed()) {
      if (piece.state !== last.state || piece.element !== last.element) break;
      since = piece.from;
    }
    const planned = this.#planned(now);
    const shift = this.#shiftAt(now);
    const job = this.jobs.on(unit.path);
    return {
      path: unit.path, title: unit.title, line: unit.path.slice(0, unit.path.lastIndexOf('/')), state: last.state, mode: last.state === null ? null : 'Production', since_ms: since, element: last.element, reason: last.reason,
      planned, calendar: 'two-shifts', shift: shift && { name: shift.name, from_ms: shift.from, to_ms: shift.to },
      job: job && { id: job.id, number: job.number, order: job.order, title: job.title, state: job.state },
    };
  }

  #shiftAt(t: number): { name: string; from: number; to: number } | null {
    const nth = Math.floor((((t - this.#first) % DAY) + DAY) % DAY / SHIFT);
    const from = this.#first + Math.floor((t - this.#first) / SHIFT) * SHIFT;
    return nth === 2 ? null : { name: nth === 0 ? 'Early' : 'Late', from, to: from + SHIFT };
  }

  // How it is counted

  #sums(units: readonly Unit[], from: number, to: number): Sums {
    const all: Sums = { times: Object.fromEntries(ELEMENTS.map((e) => [e, 0])) as Record<Element, number>, produced: 0, good: 0, scrap: 0, rework: 0, work: { produced: 0, good: 0, scrap: 0, rework: 0 } };
    for (const unit of units) {
      let items = 0;
      for (const piece of this.#pieces(unit, from, to)) {
        all.times[piece.element] += piece.to - piece.from;
        if (piece.element === 'production') items += ((piece.to - piece.from) / unit.run) * piece.speed;
      }
      const produced = Math.floor(items);
      const [scrap, rework] = [Math.round(produced * unit.scrap), Math.round(produced * unit.rework)];
      const amounts = { produced, good: produced - scrap - rework, scrap, rework };
      for (const [key, amount] of Object.entries(amounts) as [keyof typeof amounts, number][]) {
        all[key] += amount;
        all.work[key] += amount * unit.run;
      }
    }
    return all;
  }

  /** The figures of the formulas: times in seconds, amounts in items. */
  #terms(sums: Sums): Record<string, number> {
    const seconds = Object.fromEntries(ELEMENTS.map((e) => [e, sums.times[e] / SECOND])) as Record<Element, number>;
    const pbt = BUSY.reduce((s, e) => s + seconds[e], 0);
    return {
      APT: seconds.production, AUST: seconds.setup, AUPT: seconds.production + seconds.setup, ADET: seconds.delay + seconds.minor_stop, AUBT: seconds.production + seconds.setup + seconds.delay + seconds.minor_stop,
      PBT: pbt, CT: pbt + seconds.planned_down + seconds.off_shift, PQ: sums.produced, GQ: sums.good, SQ: sums.scrap, RQ: sums.rework,
      'PRI*PQ': sums.work.produced / SECOND, 'PRI*GQ': sums.work.good / SECOND,
    };
  }

  #figures(sums: Sums): Json[] {
    const term = this.#terms(sums);
    const get = (symbol: string): number => term[symbol] ?? 0;
    const ratio = (id: string, above: number, below: number, formula: string, better = 'up', needs = true): Json => ({ id, value: below > 0 && needs ? above / below : null, numerator: above, denominator: below, formula, better });
    const made = get('PQ') > 0 && get('APT') > 0;
    return [
      ratio('oee_index', get('PRI*GQ'), get('PBT'), 'PRI * GQ / PBT', 'up', made),
      ratio('availability', get('APT'), get('PBT'), 'APT / PBT'),
      ratio('effectiveness', get('PRI*PQ'), get('APT'), 'PRI * PQ / APT'),
      ratio('quality_ratio', get('GQ'), get('PQ'), 'GQ / PQ'),
      ratio('nee_index', get('PRI*GQ') * get('AUPT'), get('PBT') * get('APT'), 'AUPT / PBT * PRI * GQ / APT', 'up', made),
      ratio('teep', get('PRI*GQ'), get('CT'), 'PRI * GQ / CT', 'up', made),
      ratio('allocation_efficiency', get('AUBT'), get('PBT'), 'AUBT / PBT'),
      ratio('utilization_efficiency', get('APT'), get('AUBT'), 'APT / AUBT'),
      ratio('technical_efficiency', get('APT'), get('APT') + get('ADET'), 'APT / (APT + ADET)'),
      ratio('setup_ratio', get('AUST'), get('AUPT'), 'AUST / AUPT', 'down'),
      ratio('scrap_ratio', get('SQ'), get('PQ'), 'SQ / PQ', 'down'),
      ratio('rework_ratio', get('RQ'), get('PQ'), 'RQ / PQ', 'down'),
    ];
  }

  #kpis(path: string, units: readonly Unit[], from: number, to: number): Json {
    const sums = this.#sums(units, from, to);
    const { times, work } = sums;
    const pbt = BUSY.reduce((ms, e) => ms + times[e], 0);
    const lost = work.produced - work.good;
    const bad = Math.max(1, sums.scrap + sums.rework);
    const losses: [string, number][] = [
      ['off_shift', times.off_shift], ['planned_down', times.planned_down], ['unknown', times.unknown], ['idle', times.idle], ['delay', times.delay], ['minor_stop', times.minor_stop], ['setup', times.setup],
      ['speed', times.production - work.produced], ['scrap', (lost * sums.scrap) / bad], ['rework', (lost * sums.rework) / bad],
    ];
    return {
      path, from_ms: from, to_ms: to, now_ms: this.now(), machines: units.length,
      times: { ...Object.fromEntries(ELEMENTS.map((e) => [`${e}_ms`, times[e]])), pbt_ms: pbt, pot_ms: pbt + times.planned_down },
      amounts: { produced: sums.produced, good: sums.good, scrap: sums.scrap, rework: sums.rework },
      kpis: this.#figures(sums),
      losses: losses.map(([id, ms]) => ({ id, ms })),
      good_ms: work.good,
      reasons: this.#reasons(units, from, to),
    };
  }

  // The tree

  #below(path: string, may: May): { path: string; title: string; level: string }[] {
    const parent = (of: string): string => of.slice(0, Math.max(0, of.lastIndexOf('/')));
    const seen = equipment.filter((e) => e.profile === 'plant' && may('view', e.path));
    // A branch whose parent is not seen is a root.
    const found = seen.filter((e) => (path === '' ? !seen.some((other) => other.path === parent(e.path)) : parent(e.path) === path));
    const more = path === 'works/nord/bottling' ? Array.from({ length: this.lines - 2 }, (_, i) => ({ path: `${path}/line${i + 3}`, title: `Line ${i + 3}`, level: 'work_center' as const })) : [];
    return [...found, ...more];
  }

  #node(node: { path: string; title: string; level: string }, from: number, to: number, may: May): Json {
    const units = this.#units(node.path, may);
    const told = { path: node.path, title: node.title, level: node.level, children: this.#below(node.path, may).length, machines: units.length };
    const none = { oee: null, target: null, availability: null, effectiveness: null, quality_ratio: null, produced: null, good: null, scrap: null, loss: null };
    if (units.length === 0) return { ...told, ...none, orders: this.jobs.counts(node.path) };
    const all = this.#kpis(node.path, units, from, to);
    const value = (id: string): unknown => (all['kpis'] as Json[]).find((kpi) => kpi['id'] === id)?.['value'] ?? null;
    const { produced, good, scrap } = all['amounts'] as Json;
    const [largest] = (all['losses'] as { id: string; ms: number }[]).filter((loss) => loss.id !== 'off_shift' && loss.id !== 'planned_down' && loss.ms > 0).sort((a, b) => b.ms - a.ms);
    const reason = (all['reasons'] as { element: string; reason: string | null }[]).find((r) => r.element === largest?.id)?.reason ?? null;
    return { ...told, oee: value('oee_index'), target: TARGETS[node.path] ?? null, availability: value('availability'), effectiveness: value('effectiveness'), quality_ratio: value('quality_ratio'), produced, good, scrap, loss: largest ? { ...largest, reason } : null, orders: this.jobs.counts(node.path) };
  }

  #level(path: string, from: number, to: number, may: May): Answer {
    const self = equipment.find((e) => e.path === path && may('view', path));
    if (path !== '' && !self) return nowhere(path);
    const children = this.#below(path, may);
    const figures = (one: { path: string; title: string; level: string }): Json => this.#node(one, from, to, may);
    return ok({ path, from_ms: from, to_ms: to, now_ms: this.now(), node: self ? figures(self) : null, children: children.slice(0, MOST_CHILDREN).map(figures), truncated: children.length > MOST_CHILDREN });
  }

  /** What did not produce and has a reason, and every stop; stops are counted where they begin. */
  #reasons(units: readonly Unit[], from: number, to: number): Json[] {
    const all = new Map<string, { element: Element; reason: string | null; ms: number; stops: number }>();
    for (const unit of units) {
      const pieces = this.#pieces(unit, from, to);
      const begins = new Set(stopsOf(pieces).map((run) => run[0]));
      for (const p of pieces) {
        if (p.element === 'production' || (p.reason === null && !STOPS.includes(p.element))) continue;
        const key = `${p.element} ${p.reason}`;
        const known = all.get(key) ?? { element: p.element, reason: p.reason, ms: 0, stops: 0 };
        all.set(key, { ...known, ms: known.ms + p.to - p.from, stops: known.stops + (begins.has(p) ? 1 : 0) });
      }
    }
    return [...all.values()].sort((a, b) => b.ms - a.ms);
  }

  #series(units: readonly Unit[], from: number, to: number, step: string): Json[] {
    const width = step === 'day' ? DAY : step === 'shift' ? SHIFT : HOUR;
    const begins = step === 'day' ? from : step === 'shift' ? this.#first : 0;
    const slots: Json[] = [];
    for (let at = begins + Math.floor((from - begins) / width) * width; at < to; at += width) {
      const shift = step === 'shift' ? this.#shiftAt(at) : null;
      if (step === 'shift' && !shift) continue;
      const [begin, end] = [Math.max(at, from), Math.min(at + width, to)];
      const sums = this.#sums(units, begin, end);
      const value = (id: string): unknown => this.#figures(sums).find((k) => k['id'] === id)?.['value'];
      slots.push({ from_ms: begin, to_ms: end, name: shift?.name ?? null, oee: value('oee_index'), availability: value('availability'), effectiveness: value('effectiveness'), quality_ratio: value('quality_ratio'), good: sums.good, scrap: sums.scrap });
    }
    return slots;
  }

  /** From their beginning, be it before the window: those without a reason first, then those that are not minor, then the longest. */
  #stops(units: readonly Unit[], from: number, to: number): Stop[] {
    const found = units.flatMap((unit) =>
      stopsOf(this.#pieces(unit, from - 12 * HOUR, to)).flatMap((run): Stop[] => {
        const [first, last] = [run[0] as Piece, run.at(-1) as Piece];
        if (last.to <= from) return [];
        return [{ unit: unit.path, from: first.from, to: last.to, open: last.to === to, state: first.state, reason: first.reason, minor: first.element === 'minor_stop' }];
      }),
    );
    return found.sort((a, b) => Number(a.reason !== null) - Number(b.reason !== null) || Number(a.minor) - Number(b.minor) || b.to - b.from - (a.to - a.from));
  }

  #why(units: readonly Unit[], id: string, from: number, to: number): Answer {
    const sums = this.#sums(units, from, to);
    const figure = this.#figures(sums).find((k) => k['id'] === id);
    if (!figure) return problem(422, 'not accepted', `there is no KPI "${id}"`, `known are: ${this.#figures(sums).map((k) => k['id']).join(', ')}`);
    const all = this.#terms(sums);
    const times: Record<string, readonly Element[]> = {
      APT: ['production'], AUST: ['setup'], AUPT: ['production', 'setup'], ADET: ['delay', 'minor_stop'], AUBT: ['production', 'setup', 'delay', 'minor_stop'], PBT: BUSY, CT: ELEMENTS,
    };
    const symbols = [...new Set(String(figure['formula']).replaceAll('PRI * ', 'PRI*').match(/[A-Z*]{2,}/g))];
    const terms = symbols.map((symbol): Json => {
      const elements = times[symbol];
      const rows = elements ? this.#rows(units, from, to, elements) : this.#counted(units, from, to, symbol);
      return { symbol, value: all[symbol] ?? null, unit: elements || symbol.startsWith('PRI*') ? 's' : 'items', rows: rows.slice(0, 500), more: Math.max(0, rows.length - 500) };
    });
    return ok({ kpi: figure, edition: 'ISO 22400-2:2014', terms });
  }

  #rows(units: readonly Unit[], from: number, to: number, elements: readonly Element[]): Json[] {
    return units.flatMap((unit) =>
      joined(this.#pieces(unit, from, to))
        .filter((p) => elements.includes(p.element))
        .map((p) => ({ unit: unit.path, from_ms: p.from, to_ms: p.to, what: `${p.state ?? 'unknown'}: ${p.element}`, amount: (p.to - p.from) / SECOND })),
    );
  }

  /** What was counted: all at once, for this mock has no single counts. */
  #counted(units: readonly Unit[], from: number, to: number, symbol: string): Json[] {
    const kinds = { GQ: ['good'], SQ: ['scrap'], RQ: ['rework'], PQ: ['good', 'scrap', 'rework'] }[symbol.slice(-2)] as readonly ('good' | 'scrap' | 'rework')[];
    return units.flatMap((unit) => {
      const whole = this.#sums([unit], from, to);
      const perItem = symbol.startsWith('PRI*') ? unit.run / SECOND : 1;
      return kinds.filter((kind) => whole[kind] > 0).map((kind) => ({ unit: unit.path, from_ms: to - 1, to_ms: to - 1, what: kind, amount: whole[kind] * perItem }));
    });
  }

  #correct(body: Json, may: May, who: string): Answer {
    const known = ['path', 'from_ms', 'to_ms', 'reason', 'state', 'as_recorded', 'note', 'key'];
    const unknown = Object.keys(body).find((name) => !known.includes(name));
    if (unknown !== undefined) return { status: 422, text: { type: 'text/plain; charset=utf-8', content: `Failed to deserialize the JSON body into the target type: unknown field \`${unknown}\`, expected one of ${known.map((name) => `\`${name}\``).join(', ')}` } };
    const path = String(body['path']);
    const [from, to] = [Number(body['from_ms']), Number(body['to_ms'])];
    if (!this.#units('', may).some((u) => u.path === path)) return nowhere(path);
    if (!may('operate', path)) return problem(403, 'not allowed', `not allowed: Operate on "${path}" needs the role Operator there`, 'ask an administrator for this role');
    const wishes = [body['reason'] !== undefined, body['state'] !== undefined, body['as_recorded'] === true];
    if (wishes.filter(Boolean).length !== 1) return problem(400, 'the request cannot be understood', 'write one of "reason", "state" and "as_recorded": true');
    const change: Json = body['as_recorded'] === true ? { as_recorded: true } : body['reason'] !== undefined ? { reason: body['reason'] } : { state: body['state'] };
    const note = typeof body['note'] === 'string' ? body['note'] : null;
    const before = this.#corrections.find((c) => c.key === body['key']);
    if (before) {
      const same = before.path === path && before.from === from && before.to === to && before.by === who && says(before.change) === says(change) && before.note === note;
      return same ? { status: 201, body: { number: before.number } } : problem(409, 'not possible', 'another correction was made with this key; make a new one for each');
    }
    if (change['reason'] !== undefined && !REASONS.some((r) => r.name === change['reason'])) return problem(422, 'not accepted', `there is no reason "${String(change['reason'])}"`, 'choose one of /api/mes/reasons, or add a [[reason]]');
    if (!(to > from) || to > this.now() || to - from > 31 * DAY) {
      return problem(422, 'not accepted', `the span from ${new Date(from).toISOString()} to ${new Date(to).toISOString()} cannot be put right`, 'end it after its beginning, not later than now, and at most 31 days later');
    }
    const made = { number: 41 + this.#corrections.length, key: String(body['key']), path, from, to, change, note, by: who, at: this.now() };
    this.#corrections.push(made);
    return { status: 201, body: { number: made.number }, delay: 120 };
  }
}

/** In words, as the server tells a correction. */
function says(change: Json): string {
  if (change['as_recorded'] === true) return 'as recorded';
  return change['reason'] === undefined ? `state ${String(change['state'])}` : `reason ${String(change['reason'])}`;
}

/** Stops as runs of pieces: a delay goes on as long as it has the same reason. */
function stopsOf(pieces: readonly Piece[]): Piece[][] {
  const found: Piece[][] = [];
  let before: Piece | undefined;
  for (const piece of pieces) {
    if (STOPS.includes(piece.element)) {
      if (before && STOPS.includes(before.element) && before.reason === piece.reason) found.at(-1)?.push(piece);
      else found.push([piece]);
    }
    before = piece;
  }
  return found;
}

/** As a server tells them: what goes on is one piece. */
function joined(pieces: readonly Piece[]): Piece[] {
  const list: Piece[] = [];
  for (const piece of pieces) {
    const last = list.at(-1);
    if (last && last.to === piece.from && last.element === piece.element && last.state === piece.state && last.reason === piece.reason && last.corrected === piece.corrected) last.to = piece.to;
    else list.push({ ...piece });
  }
  return list;
}

function elementOf(change: Json): Element {
  const reason = REASONS.find((r) => r.name === change['reason']);
  if (reason) return reason.counts_as;
  if (change['state'] === 'Execute') return 'production';
  return change['state'] === 'Idle' ? 'idle' : 'delay';
}

/** A piece as a correction leaves it: cut at its ends, and what it covers told anew. */
function corrected(piece: Piece, correction: Correction): Piece[] {
  const [from, to] = [Math.max(piece.from, correction.from), Math.min(piece.to, correction.to)];
  if (to <= from) return [piece];
  const recorded = piece.recorded ?? { element: piece.element, state: piece.state, reason: piece.reason };
  const { change, number } = correction;
  const said: Piece =
    change['as_recorded'] === true
      ? { ...piece, ...recorded, corrected: null, recorded: null }
      : { ...piece, element: elementOf(change), state: typeof change['state'] === 'string' ? change['state'] : piece.state, reason: typeof change['reason'] === 'string' ? change['reason'] : null, corrected: number, recorded };
  return [{ ...piece, to: from }, { ...said, from, to }, { ...piece, from: to }].filter((p) => p.to > p.from);
}

function pieceJson(p: Piece): Json {
  return {
    from_ms: p.from, to_ms: p.to, element: p.element, state: p.state, mode: p.state === null ? null : 'Production', reason: p.reason, planned: p.element === 'off_shift' ? 'off' : p.element === 'planned_down' ? 'break' : 'busy', corrected: p.corrected,
  };
}

const stopJson = (stop: Stop): Json => ({
  unit: stop.unit, from_ms: stop.from, to_ms: stop.to, open: stop.open, state: stop.state, reason: stop.reason, cause: stop.state === null ? null : stop.state === 'Suspended' ? 'outside' : 'inside', minor: stop.minor,
});

const ok = (body: unknown): Answer => ({ status: 200, body });
const problem = (status: number, title: string, detail: string, remedy?: string): Answer => ({ status, body: { type: 'about:blank', title, status, detail, ...(remedy ? { remedy } : {}) } });
const nowhere = (path: string): Answer => problem(404, 'no machine is followed there', `no machine is followed at or below "${path}"`, 'write the path of a machine or of what it stands under; a [[machine]] in the plant model says how one is followed');
