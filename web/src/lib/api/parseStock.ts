// The border for what lies where: raw JSON in, checked words out. Apart from `parseTrace.ts` so that a page without stock need not load it.

import { flag, list, num, object, text, textOrNull } from './parse';
import { every, item, lot, type Item, type Lot } from './parseTrace';

/** A place where something lies. */
export interface Place {
  place: string;
  items: number;
}

export interface Places {
  places: Place[];
  /** There are more. */
  truncated: boolean;
}

/** How much of a material lies in a place. `unit` null: the master data do not say. */
export interface MaterialStock {
  material: string;
  unit: string | null;
  quantity: number;
  /** How much of that may be used. */
  released: number;
  items: number;
}

export interface Lying {
  item: Item;
  /** Below zero: more was taken away than was known to be there. */
  quantity: number;
}

/** `next`: send it as `after` for more items; null: there are none. `truncated`: there are more materials. */
export interface StockPage {
  place: string;
  materials: MaterialStock[];
  items: Lying[];
  next: string | null;
  truncated: boolean;
}

/** `from`, `to` null: outside. */
export interface Move {
  at: number;
  from: string | null;
  to: string | null;
  quantity: number;
  by: string | null;
  byName: string | null;
}

export interface MovesPage {
  moves: Move[];
  next: string | null;
}

export interface Content {
  item: Item;
  quantity: number;
  /** When something of it was packed last. */
  packed: number;
}

export interface Container extends Lot {
  contents: Content[];
  next: string | null;
}

export function places(raw: unknown): Places {
  const o = object(raw, 'places');
  const read = (raw: unknown): Place => {
    const p = object(raw, 'place');
    return { place: text(p['place'], 'place.place'), items: num(p['items'], 'place.items') };
  };
  return { places: every(o['places'], 'places', read), truncated: flag(o['truncated']) };
}

function material(raw: unknown): MaterialStock {
  const o = object(raw, 'material');
  return {
    material: text(o['material'], 'material.material'),
    unit: textOrNull(o['unit']),
    quantity: num(o['quantity'], 'material.quantity'),
    released: num(o['released'], 'material.released'),
    items: num(o['items'], 'material.items'),
  };
}

export function stockPage(raw: unknown): StockPage {
  const o = object(raw, 'stock');
  const lying = (raw: unknown): Lying => {
    const l = object(raw, 'lying');
    return { item: item(l['item']), quantity: num(l['quantity'], 'lying.quantity') };
  };
  return {
    place: text(o['place'], 'stock.place'),
    materials: every(o['materials'], 'stock.materials', material),
    items: every(o['items'], 'stock.items', lying),
    next: textOrNull(o['next']),
    truncated: flag(o['truncated']),
  };
}

function move(raw: unknown): Move {
  const o = object(raw, 'move');
  return { at: num(o['at_ms'], 'move.at_ms'), from: textOrNull(o['from']), to: textOrNull(o['to']), quantity: num(o['quantity'], 'move.quantity'), by: textOrNull(o['by']), byName: textOrNull(o['by_name']) };
}

export function movesPage(raw: unknown): MovesPage {
  const o = object(raw, 'moves');
  return { moves: every(o['moves'], 'moves', move), next: textOrNull(o['next']) };
}

export function container(raw: unknown): Container {
  const o = object(raw, 'container');
  const content = (raw: unknown): Content => {
    const c = object(raw, 'content');
    return { item: item(c['item']), quantity: num(c['quantity'], 'content.quantity'), packed: num(c['packed_ms'], 'content.packed_ms') };
  };
  return { ...lot(raw), contents: list(o['contents'], 'container.contents').map(content), next: textOrNull(o['next']) };
}
