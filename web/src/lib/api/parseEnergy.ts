// The border for energy (`/api/mes/energy`): raw JSON in, checked words out. Energy in kWh, power in kW, times in ms since 1970 UTC.

import { list, num, numOr, numOrNull, object, orNull, text, textOr, textOrNull, texts } from './parse';

export const STEPS = ['quarter', 'hour', 'shift', 'day'] as const;
export type EnergyStep = (typeof STEPS)[number];

/** The highest quarter of an hour. `estimated`: how much of it is, 0 to 1. */
export interface Peak {
  from: number;
  kw: number;
  estimated: number | null;
}

export interface Cost {
  currency: string;
  cost: number;
}

export interface Carrier {
  carrier: string;
  kwh: number;
  /** How much of it is estimated, 0 to 1; null: nothing was counted. */
  estimated: number | null;
  /** For how much of the window its meters were heard, 0 to 1. */
  metered: number;
  /** By tariff and its window; `window` null: at all other times. */
  costs: (Cost & { tariff: string; window: string | null; price: number; kwh: number })[];
  /** What no tariff prices. */
  unpriced: number;
  peak: Peak | null;
  meters: { name: string; title: string; at: string; tag: string; kwh: number | null; until: number | null }[];
}

export interface EnergySlot {
  from: number;
  to: number;
  /** The shift's, where each slot is a shift. */
  name: string | null;
  /** In the order of the carriers; null: nothing was heard. */
  kwh: (number | null)[];
  estimated: number | null;
  /** In the order of the costs. */
  costs: (number | null)[];
}

export interface Energy {
  path: string;
  from: number;
  to: number;
  /** Null: there is no meter at or below the path. */
  kwh: number | null;
  costs: Cost[];
  carriers: Carrier[];
  produced: number | null;
  perItem: number | null;
  /** Machines whose energy is in none of these numbers. */
  unmetered: string[];
  slots: EnergySlot[];
}

export interface Peaks {
  month: string;
  from: number;
  to: number;
  carriers: { carrier: string; peaks: Peak[] }[];
  demand: { tariff: string; at: string; carrier: string; peak: Peak | null; price: number; currency: string; cost: number | null }[];
}

function peak(raw: unknown): Peak {
  const o = object(raw, 'peak');
  return { from: num(o['from_ms'], 'peak.from_ms'), kw: num(o['kw'], 'peak.kw'), estimated: numOrNull(o['estimated']) };
}

function cost(raw: unknown): Cost {
  const o = object(raw, 'cost');
  return { currency: text(o['currency'], 'cost.currency'), cost: num(o['cost'], 'cost.cost') };
}

function carrier(raw: unknown): Carrier {
  const o = object(raw, 'carrier');
  return {
    carrier: text(o['carrier'], 'carrier.carrier'),
    kwh: num(o['kwh'], 'carrier.kwh'),
    estimated: numOrNull(o['estimated']),
    metered: num(o['metered'], 'carrier.metered'),
    costs: list(o['costs'], 'carrier.costs').map((raw) => {
      const c = object(raw, 'cost');
      return { ...cost(raw), tariff: text(c['tariff'], 'cost.tariff'), window: textOrNull(c['window']), price: num(c['price'], 'cost.price'), kwh: num(c['kwh'], 'cost.kwh') };
    }),
    unpriced: numOr(o['unpriced_kwh'], 0),
    peak: orNull(o['peak'], peak),
    meters: list(o['meters'], 'carrier.meters').map((raw) => {
      const m = object(raw, 'meter');
      const name = text(m['name'], 'meter.name');
      return { name, title: textOr(m['title'], '') || name, at: textOr(m['at'], ''), tag: textOr(m['tag'], ''), kwh: numOrNull(m['kwh']), until: numOrNull(m['until_ms']) };
    }),
  };
}

/** Which have a number is told by position: a place without one keeps its position. */
const places = (raw: unknown, where: string): (number | null)[] => list(raw, where).map((one) => (one === null ? null : num(one, where)));

export function energy(raw: unknown): Energy {
  const o = object(raw, 'energy');
  return {
    path: textOr(o['path'], ''),
    from: num(o['from_ms'], 'energy.from_ms'),
    to: num(o['to_ms'], 'energy.to_ms'),
    kwh: numOrNull(o['kwh']),
    costs: list(o['costs'], 'energy.costs').map(cost),
    carriers: list(o['carriers'], 'energy.carriers').map(carrier),
    produced: numOrNull(o['produced']),
    perItem: numOrNull(o['kwh_per_item']),
    unmetered: texts(o['unmetered']),
    slots: list(o['slots'], 'energy.slots').map((raw) => {
      const s = object(raw, 'slot');
      return { from: num(s['from_ms'], 'slot.from_ms'), to: num(s['to_ms'], 'slot.to_ms'), name: textOrNull(s['name']), kwh: places(s['kwh'], 'slot.kwh'), estimated: numOrNull(s['estimated']), costs: places(s['costs'], 'slot.costs') };
    }),
  };
}

export function peaks(raw: unknown): Peaks {
  const o = object(raw, 'peaks');
  return {
    month: text(o['month'], 'peaks.month'),
    from: num(o['from_ms'], 'peaks.from_ms'),
    to: num(o['to_ms'], 'peaks.to_ms'),
    carriers: list(o['carriers'], 'peaks.carriers').map((raw) => {
      const c = object(raw, 'carrier');
      return { carrier: text(c['carrier'], 'carrier.carrier'), peaks: list(c['peaks'], 'carrier.peaks').map(peak) };
    }),
    demand: list(o['demand'], 'peaks.demand').map((raw) => {
      const d = object(raw, 'demand');
      return { tariff: text(d['tariff'], 'demand.tariff'), at: textOr(d['at'], ''), carrier: text(d['carrier'], 'demand.carrier'), peak: orNull(d['peak'], peak), price: num(d['price'], 'demand.price'), currency: text(d['currency'], 'demand.currency'), cost: numOrNull(d['cost']) };
    }),
  };
}
