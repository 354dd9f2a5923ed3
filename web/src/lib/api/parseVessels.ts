// The border for mixing vessels (`/api/mes/vessels`): raw JSON in, checked words out. Amounts in the vessel's unit, times in ms since 1970 UTC.

import { num, numOrNull, object, oneOf, orNull, text, textOr, textOrNull, type Raw } from './parse';
import { every, item, type Item } from './parseTrace';

const FLOWS = ['fill', 'draw', 'empty', 'loss', 'surplus', 'traces'] as const;

export interface Vessel {
  path: string;
  /** Null: the plant model has it no longer, only its past is known. */
  mixing: 'ideal' | 'plug' | null;
  material: string | null;
  unit: string | null;
  capacity: number | null;
  level: number;
  lots: number;
  changed: number | null;
}

export interface Flow {
  turn: number;
  kind: (typeof FLOWS)[number];
  at: number;
  /** When it was told; later than it happened. */
  told: number;
  quantity: number;
  /** After it. */
  level: number;
  item: Item | null;
  into: Item | null;
  place: string | null;
  job: string | null;
  by: string | null;
  byName: string | null;
  reason: string;
}

export interface VesselDetail {
  vessel: Vessel;
  /** Null: now. */
  at: number | null;
  /** In the order in which they came; of a plug what leaves next first. Quantity 0: less than a millionth. */
  contents: { item: Item; quantity: number; share: number }[];
  /** The newest first; `next`: send it as `before`. */
  flows: Flow[];
  next: number | null;
}

function vesselOf(o: Raw): Vessel {
  return {
    path: text(o['path'], 'vessel.path'),
    mixing: orNull(o['mixing'], (word) => oneOf(word, ['ideal', 'plug'] as const, 'vessel.mixing')),
    material: textOrNull(o['material']),
    unit: textOrNull(o['unit']),
    capacity: numOrNull(o['capacity']),
    level: num(o['level'], 'vessel.level'),
    lots: num(o['lots'], 'vessel.lots'),
    changed: numOrNull(o['changed_ms']),
  };
}

/** `more`: not all are told. */
export interface Vessels {
  vessels: readonly Vessel[];
  more: boolean;
}

export function vessels(raw: unknown): Vessels {
  const o = object(raw, 'vessels');
  return { vessels: every(o['vessels'], 'vessels', (one) => vesselOf(object(one, 'vessel'))), more: o['truncated'] === true };
}

function flow(raw: unknown): Flow {
  const o = object(raw, 'flow');
  return {
    turn: num(o['turn'], 'flow.turn'),
    kind: oneOf(o['kind'], FLOWS, 'flow.kind'),
    at: num(o['at_ms'], 'flow.at_ms'),
    told: num(o['told_ms'], 'flow.told_ms'),
    quantity: num(o['quantity'], 'flow.quantity'),
    level: num(o['level'], 'flow.level'),
    item: orNull(o['item'], item),
    into: orNull(o['into'], item),
    place: textOrNull(o['place']),
    job: textOrNull(o['job']),
    by: textOrNull(o['by']),
    byName: textOrNull(o['by_name']),
    reason: textOr(o['reason'], ''),
  };
}

export function vesselDetail(raw: unknown): VesselDetail {
  const o = object(raw, 'vessel');
  return {
    vessel: vesselOf(object(o['vessel'], 'vessel.vessel')),
    at: numOrNull(o['at_ms']),
    contents: every(o['contents'], 'vessel.contents', (raw) => {
      const c = object(raw, 'content');
      return { item: item(c['item']), quantity: num(c['quantity'], 'content.quantity'), share: num(c['share'], 'content.share') };
    }),
    flows: every(o['flows'], 'vessel.flows', flow),
    next: numOrNull(o['next']),
  };
}
