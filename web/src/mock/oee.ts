// The mock's machines: what they did, how they are counted and why they stood (`/api/mes`). Pieces of state and counts are pure
// functions of time, and every KPI is computed from those same pieces and counts: so the numbers agree with each other.

import { noise } from './plant';

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
const STOPS: readonly Element[] = ['delay', 'minor_stop', 'idle', 'unknown'];

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
}

const LINE1 = 'works/nord/bottling/line1';
const LINE2 = 'works/nord/bottling/line2';
const UNITS: readonly Unit[] = [
  { path: `${LINE1}/filler`, title: 'Filler', seed: 11, run: 310, speed: 0.94, scrap: 0.006, rework: 0.002 },
  { path: `${LINE1}/capper`, title: 'Capper', seed: 12, run: 305, speed: 0.95, scrap: 0.011, rework: 0.004 },
  { path: `${LINE1}/labeller`, title: 'Labeller', seed: 13, run: 300, speed: 0.9, scrap: 0.021, rework: 0.012, down: { for: 11 * MIN, state: 'Aborted', reason: null } },
  { path: `${LINE1}/packer`, title: 'Packer', seed: 14, run: 1850, speed: 0.97, scrap: 0.003, rework: 0 },
  { path: `${LINE2}/filler`, title: 'Filler', seed: 25, run: 360, speed: 1.07, scrap: 0.005, rework: 0 },
  { path: `${LINE2}/packer`, title: 'Packer', seed: 26, run: 2100, speed: 0.92, scrap: 0.004, rework: 0.001, down: { for: 37 * MIN, state: 'Stopped', reason: 'Organisation/No operator' } },
];

const REASONS: readonly { name: string; counts_as: Element; action: string }[] = [
  { name: 'Mechanical/Jam', counts_as: 'delay', action: 'Clear the infeed, then reset at the machine.' },
  { name: 'Mechanical/Label web torn', counts_as: 'delay', action: 'Thread the web.' },
  { name: 'Mechanical/Bearing', counts_as: 'delay', action: 'Call maintenance.' },
  { name: 'Mechanical/Guard open', counts_as: 'delay', action: '' },
  { name: 'Electrical/Drive fault', counts_as: 'delay', action: 'Read the code at the drive.' },
  { name: 'Electrical/Sensor dirty', counts_as: 'delay', action: 'Wipe it.' },
  { name: 'Material/No bottles', counts_as: 'delay', action: '' },
  { name: 'Material/No caps', counts_as: 'delay', action: '' },
  { name: 'Material/Glue empty', counts_as: 'delay', action: '' },
  { name: 'Organisation/No operator', counts_as: 'delay', action: '' },
  { name: 'Organisation/No order', counts_as: 'idle', action: '' },
  { name: 'Setup/Change of product', counts_as: 'setup', action: '' },
  { name: 'Setup/Cleaning', counts_as: 'setup', action: '' },
  { name: 'Planned/Maintenance', counts_as: 'planned_down', action: '' },
];

interface Piece {
  from: number;
  to: number;
  element: Element;
  state: string | null;
  reason: string | null;
  /** How fast it was, where it produced. */
  speed: number;
  corrected: number | null;
  recorded: { element: Element; state: string | null; reason: string | null } | null;
}

interface Correction {
  number: number;
  key: string;
  path: string;
  from: number;
  to: number;
  /** It holds until the stop ends. */
  open: boolean;
  change: Json;
  note: string;
  by: string;
  at: number;
}

interface Answer {
  status: number;
  body?: unknown;
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

export class MockOee {
  #corrections: Correction[] = [];
  /** No machine is defined. */
  empty = false;
  /** The first shift of the day; two shifts work, the third does not. */
  readonly #first: number;

  constructor(
    readonly start: number,
    readonly now: () => number,
  ) {
    this.#first = Math.floor((start - 5 * HOUR) / HOUR) * HOUR;
  }

  handle(method: string, path: string, query: URLSearchParams, body: Json, may: May, who: string): Answer | null {
    const at = query.get('path') ?? '';
    const from = Number(query.get('from_ms'));
    const to = Math.min(Number(query.get('to_ms')), this.now());
    switch (`${method} ${path}`) {
      case 'GET /api/mes/machines':
        return ok({ now_ms: this.now(), machines: this.#units(query.get('branch') ?? '', may).map((unit) => this.#view(unit)) });
      case 'GET /api/mes/reasons':
        return ok({ reasons: REASONS });
      case 'POST /api/mes/corrections':
        return this.#correct(body, may, who);
    }
    if (method !== 'GET' || !path.startsWith('/api/mes/')) return null;
    const units = this.#units(at, may);
    if (!units.length) return problem(404, 'There is no such thing', `there is no machine at ${at || 'the whole plant'} that you may see`);
    if (!(to > from)) return problem(400, 'Not a span', 'from_ms must be before to_ms and before now');
    switch (path) {
      case '/api/mes/kpis':
        return ok(this.#kpis(at, units, from, to));
      case '/api/mes/kpis/series':
        return ok({ slots: this.#series(units, from, to, query.get('step') ?? 'hour') });
      case '/api/mes/states':
        if (to - from > 32 * DAY) return problem(400, 'Too long', 'states are shown for at most 32 days');
        return ok({ pieces: joined(this.#pieces(units[0] as Unit, from, to)).map(pieceJson) });
      case '/api/mes/stops':
        return ok({ stops: this.#stops(units, from, to).slice(0, Number(query.get('limit') ?? 200)) });
      case '/api/mes/corrections': {
        const list = this.#corrections.filter((c) => units.some((u) => u.path === c.path) && c.from < to && c.to > from);
        return ok({ corrections: list.map((c) => ({ number: c.number, path: c.path, from_ms: c.from, to_ms: c.to, change: c.change, note: c.note, by: 'u2', by_name: c.by, at_ms: c.at })) });
      }
      case '/api/mes/why':
        return this.#why(units, query.get('kpi') ?? '', from, to);
      default:
        return null;
    }
  }

  #units(branch: string, may: May): Unit[] {
    if (this.empty) return [];
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
      if (begins > at) add(begins - at, 'production', 'Execute');
      add(from + SLOT - at, 'delay', unit.down.state, unit.down.reason);
    } else if (dice < 0.03) add(SLOT, 'idle', 'Idle', 'Organisation/No order');
    else if (dice < 0.045) add(SLOT, 'unknown', null);
    else if (dice < 0.09) {
      add(8 * MIN, 'setup', 'Resetting', 'Setup/Change of product');
      rest();
    } else if (dice < 0.24) {
      add(SECOND * Math.round(20 + size * 60), 'production', 'Execute');
      const said = noise(slot, unit.seed + 200);
      const reason = said < 0.35 ? null : (REASONS[Math.floor(said * 14) % 9]?.name ?? null);
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
    let pieces: Piece[] = [];
    for (let slot = Math.floor((from - this.#first) / SLOT); this.#first + slot * SLOT < to; slot += 1) {
      for (const piece of this.#slot(unit, slot)) {
        const cut = { ...piece, from: Math.max(from, piece.from), to: Math.min(to, piece.to) };
        if (cut.to <= cut.from) continue;
        const last = pieces.at(-1);
        // The speed changes from slot to slot: pieces of production are one stretch to the eye, and are joined there only.
        if (last && last.element !== 'production' && last.element === cut.element && last.state === cut.state && last.reason === cut.reason && last.to === cut.from) last.to = cut.to;
        else pieces.push(cut);
      }
    }
    for (const correction of this.#corrections) {
      if (correction.path !== unit.path) continue;
      const until = correction.open ? this.#endOfStop(unit, correction.to) : correction.to;
      pieces = pieces.flatMap((piece) => corrected(piece, { ...correction, to: until }));
    }
    return pieces;
  }

  /** When the stop ended that went on at a time; now, if it still does. */
  #endOfStop(unit: Unit, at: number): number {
    for (let slot = Math.floor((at - this.#first) / SLOT); this.#first + slot * SLOT < this.now(); slot += 1) {
      const next = this.#slot(unit, slot).find((piece) => piece.to > at && !STOPS.includes(piece.element));
      if (next) return Math.max(at, next.from);
    }
    return this.now() + 1;
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
    const began = this.#first + HOUR;
    const sums = this.#sums([unit], began, now);
    const { down: _, ...running } = unit;
    const busy = this.#sums([running], began, now).times;
    const expected = Math.floor((BUSY.reduce((ms, e) => ms + busy[e], 0) / unit.run) * 0.82);
    const quantity = Math.ceil((9 * HOUR) / unit.run / 500) * 500;
    const number = `47${unit.seed}`;
    return {
      path: unit.path, title: unit.title, line: unit.path.slice(0, unit.path.lastIndexOf('/')), state: last.state, mode: last.state === null ? null : 'Production', since_ms: since, element: last.element, reason: last.reason,
      job: last.element === 'idle' || planned === 'off' ? null : { id: `0192f0c0-0000-7000-8000-0000000047${unit.seed}`, number: `${number}/10`, order: number, material: unit.path.startsWith(LINE1) ? 'LEMON-05' : 'COLA-10', quantity, good: Math.min(quantity, sums.good), scrap: sums.scrap, state: 'Running', expected: Math.min(quantity, expected) },
      planned, calendar: 'two-shifts',
    };
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

  #terms(sums: Sums): Record<string, number> {
    const { times } = sums;
    const pbt = BUSY.reduce((ms, e) => ms + times[e], 0);
    return {
      APT: times.production, AUST: times.setup, AUPT: times.production + times.setup, ADET: times.delay + times.minor_stop, AUBT: times.production + times.setup + times.delay + times.minor_stop,
      PBT: pbt, POT: pbt + times.planned_down, CT: pbt + times.planned_down + times.off_shift, PQ: sums.produced, GQ: sums.good, SQ: sums.scrap, RQ: sums.rework,
      'PRI * PQ': sums.work.produced, 'PRI * GQ': sums.work.good,
    };
  }

  #figures(sums: Sums): Json[] {
    const term = this.#terms(sums);
    const get = (symbol: string): number => term[symbol] ?? 0;
    const ratio = (id: string, title: string, above: number, below: number, formula: string, better = 'up', needs = true): Json => ({ id, title, value: below > 0 && needs ? above / below : null, numerator: above, denominator: below, formula, better });
    const made = get('PQ') > 0 && get('APT') > 0;
    return [
      ratio('availability', 'Availability', get('APT'), get('PBT'), 'APT / PBT'),
      ratio('effectiveness', 'Effectiveness', get('PRI * PQ'), get('APT'), 'PRI * PQ / APT'),
      ratio('quality_ratio', 'Quality ratio', get('GQ'), get('PQ'), 'GQ / PQ'),
      ratio('oee', 'OEE index', get('PRI * GQ'), get('PBT'), 'PRI * GQ / PBT', 'up', made),
      ratio('nee', 'NEE index', get('APT') > 0 ? (get('AUPT') * get('PRI * GQ')) / get('APT') : 0, get('PBT'), 'AUPT / PBT * PRI * GQ / APT', 'up', made),
      ratio('teep', 'TEEP', get('PRI * GQ'), get('CT'), 'PRI * GQ / CT', 'up', made),
      ratio('allocation_efficiency', 'Allocation efficiency', get('AUBT'), get('PBT'), 'AUBT / PBT'),
      ratio('utilization_efficiency', 'Utilization efficiency', get('APT'), get('AUBT'), 'APT / AUBT'),
      ratio('technical_efficiency', 'Technical efficiency', get('APT'), get('APT') + get('ADET'), 'APT / (APT + ADET)'),
      ratio('setup_ratio', 'Setup ratio', get('AUST'), get('AUPT'), 'AUST / AUPT', 'down'),
      ratio('scrap_ratio', 'Scrap ratio', get('SQ'), get('PQ'), 'SQ / PQ', 'down'),
      ratio('rework_ratio', 'Rework ratio', get('RQ'), get('PQ'), 'RQ / PQ', 'down'),
    ];
  }

  #kpis(path: string, units: readonly Unit[], from: number, to: number): Json {
    const sums = this.#sums(units, from, to);
    const { times, work } = sums;
    const term = this.#terms(sums);
    const reasons = new Map<string, { element: Element; reason: string | null; ms: number; stops: number }>();
    for (const stop of this.#stops(units, from, to)) {
      const key = `${stop.element} ${stop.reason}`;
      const found = reasons.get(key) ?? { element: stop.element as Element, reason: stop.reason as string | null, ms: 0, stops: 0 };
      reasons.set(key, { ...found, ms: found.ms + Number(stop.to_ms) - Number(stop.from_ms), stops: found.stops + 1 });
    }
    const losses: [string, number][] = [
      ['off_shift', times.off_shift], ['planned_down', times.planned_down], ['unknown', times.unknown], ['idle', times.idle], ['delay', times.delay], ['minor_stop', times.minor_stop], ['setup', times.setup],
      ['speed', Math.round(times.production - work.produced)], ['scrap', work.scrap], ['rework', work.rework],
    ];
    return {
      path, from_ms: from, to_ms: to, now_ms: this.now(),
      times: {
        ...Object.fromEntries(ELEMENTS.map((e) => [`${e}_ms`, times[e]])), apt_ms: term['APT'], aupt_ms: term['AUPT'], adet_ms: term['ADET'], aubt_ms: term['AUBT'], pbt_ms: term['PBT'], pot_ms: term['POT'],
      },
      amounts: { produced: sums.produced, good: sums.good, scrap: sums.scrap, rework: sums.rework, unit: units.some((u) => u.title === 'Packer') ? null : 'bottles' },
      kpis: this.#figures(sums),
      losses: losses.map(([id, ms]) => ({ id, ms })),
      reasons: [...reasons.values()].sort((a, b) => b.ms - a.ms),
    };
  }

  #series(units: readonly Unit[], from: number, to: number, step: string): Json[] {
    const width = step === 'day' ? DAY : step === 'shift' ? SHIFT : HOUR;
    const slots: Json[] = [];
    for (let at = this.#first + Math.floor((from - this.#first) / width) * width; at < to; at += width) {
      if (step === 'shift' && this.#planned(at) === 'off') continue;
      const end = Math.min(at + width, this.now());
      const sums = this.#sums(units, at, end);
      const value = (id: string): unknown => this.#figures(sums).find((k) => k['id'] === id)?.['value'];
      slots.push({ from_ms: at, to_ms: at + width, oee: value('oee'), availability: value('availability'), effectiveness: value('effectiveness'), quality_ratio: value('quality_ratio'), good: sums.good, scrap: sums.scrap });
    }
    return slots;
  }

  #stops(units: readonly Unit[], from: number, to: number): Json[] {
    const found: Json[] = [];
    for (const unit of units) {
      for (const p of this.#pieces(unit, from, to)) {
        if (!STOPS.includes(p.element)) continue;
        found.push({ unit: unit.path, from_ms: p.from, to_ms: p.to, open: p.to >= to && to >= this.now() - 2 * SECOND, element: p.element, state: p.state, reason: p.reason, cause: p.state === 'Suspended' ? 'outside' : p.state === null ? null : 'inside', minor: p.element === 'minor_stop', corrected: p.corrected, recorded: p.recorded });
      }
    }
    const long = (s: Json): number => Number(s['to_ms']) - Number(s['from_ms']);
    return found.sort((a, b) => Number(a['reason'] !== null) - Number(b['reason'] !== null) || long(b) - long(a));
  }

  #why(units: readonly Unit[], id: string, from: number, to: number): Answer {
    const figure = this.#figures(this.#sums(units, from, to)).find((k) => k['id'] === id);
    if (!figure) return problem(404, 'There is no such thing', `there is no KPI ${id}`);
    const formula = String(figure['formula']);
    const sums = this.#sums(units, from, to);
    const all = this.#terms(sums);
    const time = (meaning: string, elements: readonly Element[]): Json => ({ meaning, unit: 'ms', rows: this.#rows(units, from, to, elements) });
    const amounts = (meaning: string, key: 'produced' | 'good' | 'scrap' | 'rework'): Json => ({
      meaning, unit: 'pcs', rows: units.map((u) => ({ from_ms: from, to_ms: to, what: u.path, amount: this.#sums([u], from, to)[key] })),
    });
    const known: Record<string, () => Json> = {
      APT: () => time('Actual production time', ['production']),
      AUST: () => time('Actual unit setup time', ['setup']),
      AUPT: () => time('Actual unit processing time: APT + AUST', ['production', 'setup']),
      ADET: () => time('Actual unit delay time', ['delay', 'minor_stop']),
      AUBT: () => time('Actual unit busy time', ['production', 'setup', 'delay', 'minor_stop']),
      PBT: () => time('Planned busy time', BUSY),
      CT: () => time('Calendar time', ELEMENTS),
      PQ: () => amounts('Produced quantity', 'produced'),
      GQ: () => amounts('Good quantity', 'good'),
      SQ: () => amounts('Scrap quantity', 'scrap'),
      RQ: () => amounts('Rework quantity', 'rework'),
    };
    const terms = [...new Set(formula.match(/[A-Z]+/g))].map((symbol): Json => {
      if (symbol === 'PRI') {
        return { symbol, meaning: 'Planned run time per item', unit: 's', value: units.length === 1 ? (units[0] as Unit).run / 1000 : null, rows: units.map((u) => ({ from_ms: from, to_ms: to, what: u.path, amount: u.run / 1000 })), more: 0 };
      }
      const term = known[symbol]?.() ?? { meaning: symbol, unit: '', rows: [] };
      const rows = term['rows'] as Json[];
      return { symbol, ...term, value: all[symbol] ?? null, rows: rows.slice(0, 500), more: Math.max(0, rows.length - 500) };
    });
    return ok({ kpi: id, formula, formula_version: 'ISO 22400-2:2014', terms });
  }

  #rows(units: readonly Unit[], from: number, to: number, elements: readonly Element[]): Json[] {
    return units.flatMap((unit) => {
      const rows: { from_ms: number; to_ms: number; what: string; ms: number }[] = [];
      for (const p of this.#pieces(unit, from, to)) {
        if (!elements.includes(p.element)) continue;
        const what = `${unit.title}: ${p.reason ?? p.state ?? 'unknown'}`;
        const last = rows.at(-1);
        if (last && last.to_ms === p.from && last.what === what) Object.assign(last, { to_ms: p.to, ms: p.to - last.from_ms });
        else rows.push({ from_ms: p.from, to_ms: p.to, what, ms: p.to - p.from });
      }
      return rows;
    });
  }

  #correct(body: Json, may: May, who: string): Answer {
    const path = String(body['path']);
    const [from, to] = [Number(body['from_ms']), Number(body['to_ms'])];
    if (!UNITS.some((u) => u.path === path)) return problem(404, 'There is no such thing', `there is no machine at ${path}`);
    if (!may('operate', path)) return problem(403, 'Not allowed', 'Saying why a machine stood needs the role operator on its branch.');
    if (!(to > from)) return problem(400, 'Not a span', 'the end must be after the beginning');
    if (from > this.now()) return problem(400, 'Not yet', 'what has not happened yet cannot be corrected');
    const known = this.#corrections.find((c) => c.key === body['key']);
    if (known) return { status: 201, body: { number: known.number, from_ms: known.from, to_ms: known.to } };
    const change: Json = body['as_recorded'] === true ? { as_recorded: true } : body['reason'] !== undefined ? { reason: body['reason'] } : { state: body['state'] };
    if (change['reason'] !== undefined && !REASONS.some((r) => r.name === change['reason'])) return problem(400, 'No such reason', `${String(change['reason'])} is none of the plant's reasons`);
    const made = { number: 40 + this.#corrections.length + 1, key: String(body['key']), path, from, to, open: body['open'] === true, change, note: String(body['note'] ?? ''), by: who, at: this.now() };
    this.#corrections.push(made);
    return { status: 201, body: { number: made.number, from_ms: from, to_ms: to }, delay: 120 };
  }
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
    from_ms: p.from, to_ms: p.to, element: p.element, state: p.state, mode: p.state === null ? null : 'Production', reason: p.reason, job: null, planned: p.element === 'off_shift' ? 'off' : p.element === 'planned_down' ? 'break' : 'busy', corrected: p.corrected,
    recorded: p.recorded, inside: p.state === 'Suspended' ? false : p.element === 'delay' ? true : null,
  };
}

const ok = (body: unknown): Answer => ({ status: 200, body });
const problem = (status: number, title: string, detail: string): Answer => ({ status, body: { type: 'about:blank', title, status, detail } });
