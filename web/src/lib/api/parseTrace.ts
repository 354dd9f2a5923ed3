// The border for lots, serial units and their certificates: raw JSON in, checked words out. As `parse.ts`, apart from it so that other pages
// need not load it.

import { flag, list, num, numOrNull, object, oneOf, orNull, ShapeError, text, textOrNull } from './parse';
import type { Raw } from './parse';

const KINDS = ['lot', 'sublot', 'unit', 'container'] as const;
/** What may be done with it. */
export const DISPOSITIONS = ['Released', 'Quarantine', 'Hold', 'Scrapped', 'Shipped'] as const;
export type Disposition = (typeof DISPOSITIONS)[number];
/** What a lot can be when it comes. */
export const ARRIVING = ['Released', 'Quarantine', 'Hold'] as const;
export type Arriving = (typeof ARRIVING)[number];

/** A lot, a serial unit or a container. Amounts in the material's unit, times in ms since 1970 UTC. */
export interface Item {
  id: string;
  kind: (typeof KINDS)[number];
  /** `unknown`: nobody knows. */
  material: string;
  revision: string | null;
  number: string;
  /** Null: nobody has said. */
  quantity: number | null;
  /** Below zero: more was used than there was. */
  remaining: number | null;
  state: Disposition;
  /** Where all of it lies; null: nobody knows, or in several places. */
  place: string | null;
  made: number;
}

/** `next`: send it as `before` for the page behind; null: there is none. */
export interface ItemsPage {
  items: Item[];
  next: string | null;
}

export type Measured = number | string | boolean;

/** A unit at a station. */
export interface Pass {
  equipment: string;
  at: number;
  operation: string | null;
  /** Null: nobody has said. */
  passed: boolean | null;
  measures: [characteristic: string, value: Measured][];
  /** Which programs were loaded, as far as it was told. */
  firmware: { component: string; version: string | null; sha256: string | null }[];
}

/** Something that went into something. */
export interface Joined {
  quantity: number;
  position: string;
  at: number;
  removed: number | null;
  equipment: string | null;
}
export interface Part extends Joined {
  item: Item;
}
export interface Link extends Joined {
  from: string;
  to: string;
}

export interface Certificate {
  number: string;
  issued: number;
  sha256: string;
  keyId: string;
  supersededBy: string | null;
}

export interface Finished {
  at: number;
  equipment: string;
  certificate: 'due' | 'issued' | 'not_possible';
  why: string | null;
}

export interface Unit extends Item {
  passes: Pass[];
  asBuilt: Part[];
  asMaintained: Part[];
  finished: Finished | null;
  /** The oldest first; the last one holds. */
  certificates: Certificate[];
  /** When it was given what it connects with; null: it has not been. */
  identityGiven: number | null;
  /** There are more passes than can be told at once. */
  cut: boolean;
}

/** What a unit connects with over MQTT. */
export interface Credential {
  user: string;
  password: string;
  topics: string;
}

export interface Stock {
  place: string;
  quantity: number;
}

/** What somebody decided about an item; `by`: the account's id. */
export interface Decision {
  state: Disposition;
  at: number;
  by: string | null;
  reason: string;
}

/** A lot or any other item: where it lies, and what was decided about it, the oldest first. */
export interface Lot extends Item {
  stock: Stock[];
  decisions: Decision[];
}

export interface Reached extends Item {
  /** By how many steps; 0: what was asked about. */
  depth: number;
}

/** `depth`, `items`: there is more than could be followed. */
type Cut = 'depth' | 'items' | null;

export interface Trace {
  items: Reached[];
  links: Link[];
  cut: Cut;
}

export interface RecallRow extends Reached {
  stock: Stock[];
  packedIn: string[];
}

export interface Recall {
  root: Item;
  /** How many items hang together with it, itself too. */
  reached: number;
  units: RecallRow[];
  lots: RecallRow[];
  cut: Cut;
}

/** Something that cannot be right. `what` may be a word that this page does not know: the text says it all. */
export interface Finding {
  number: number;
  what: string;
  at: number;
  item: string | null;
  other: string | null;
  text: string;
}

/** What must be there: a list that is missing is no empty one, for somebody would work by it. */
export const every = <T>(raw: unknown, where: string, read: (raw: unknown) => T): T[] => list(raw, where).map((one) => read(one));
const texts = (raw: unknown, where: string): string[] => every(raw, where, (one) => text(one, `${where}[]`));

function itemOf(o: Raw, where: string): Item {
  return {
    id: text(o['id'], `${where}.id`),
    kind: oneOf(o['kind'], KINDS, `${where}.kind`),
    material: text(o['material'], `${where}.material`),
    revision: textOrNull(o['revision']),
    number: text(o['number'], `${where}.number`),
    quantity: numOrNull(o['quantity']),
    remaining: numOrNull(o['remaining']),
    state: oneOf(o['state'], DISPOSITIONS, `${where}.state`),
    place: textOrNull(o['place']),
    made: num(o['made_ms'], `${where}.made_ms`),
  };
}

export const item = (raw: unknown): Item => itemOf(object(raw, 'item'), 'item');

export function itemsPage(raw: unknown): ItemsPage {
  const o = object(raw, 'items');
  return { items: every(o['items'], 'items', item), next: textOrNull(o['next']) };
}

function measured(raw: unknown, where: string): Measured {
  if (typeof raw === 'string' || typeof raw === 'boolean') return raw;
  return num(raw, where);
}

function pass(raw: unknown): Pass {
  const o = object(raw, 'pass');
  const passed = o['passed'];
  if (passed !== null && passed !== undefined && typeof passed !== 'boolean') throw new ShapeError('pass.passed', 'true, false or nothing');
  return {
    equipment: text(o['equipment'], 'pass.equipment'),
    at: num(o['at_ms'], 'pass.at_ms'),
    operation: textOrNull(o['operation']),
    passed: passed ?? null,
    measures: Object.entries(object(o['measures'], 'pass.measures')).map(([name, value]) => [name, measured(value, `pass.measures.${name}`)]),
    firmware: list(o['firmware'], 'pass.firmware').map((raw) => {
      const program = object(raw, 'pass.firmware');
      return { component: text(program['component'], 'pass.firmware.component'), version: textOrNull(program['version']), sha256: textOrNull(program['sha256']) };
    }),
  };
}

function joined(o: Raw, where: string): Joined {
  return {
    quantity: num(o['quantity'], `${where}.quantity`),
    position: text(o['position'], `${where}.position`),
    at: num(o['at_ms'], `${where}.at_ms`),
    removed: numOrNull(o['removed_ms']),
    equipment: textOrNull(o['equipment']),
  };
}

function part(raw: unknown): Part {
  const o = object(raw, 'part');
  return { item: item(o['item']), ...joined(o, 'part') };
}

function certificate(raw: unknown): Certificate {
  const o = object(raw, 'certificate');
  return {
    number: text(o['number'], 'certificate.number'),
    issued: num(o['issued_ms'], 'certificate.issued_ms'),
    sha256: text(o['sha256'], 'certificate.sha256'),
    keyId: text(o['key_id'], 'certificate.key_id'),
    supersededBy: textOrNull(o['superseded_by']),
  };
}

function finished(raw: unknown): Finished {
  const o = object(raw, 'finished');
  return {
    at: num(o['at_ms'], 'finished.at_ms'),
    equipment: text(o['equipment'], 'finished.equipment'),
    certificate: oneOf(o['certificate'], ['due', 'issued', 'not_possible'], 'finished.certificate'),
    why: textOrNull(o['why']),
  };
}

export function unit(raw: unknown): Unit {
  const o = object(raw, 'unit');
  return {
    ...itemOf(o, 'unit'),
    passes: every(o['passes'], 'unit.passes', pass),
    asBuilt: every(o['as_built'], 'unit.as_built', part),
    asMaintained: every(o['as_maintained'], 'unit.as_maintained', part),
    finished: orNull(o['finished'], finished),
    certificates: every(o['certificates'], 'unit.certificates', certificate),
    identityGiven: orNull(o['identity_given_ms'], (at) => num(at, 'unit.identity_given_ms')),
    cut: flag(o['cut']),
  };
}

export function credential(raw: unknown): Credential {
  const o = object(raw, 'credential');
  return { user: text(o['user'], 'credential.user'), password: text(o['password'], 'credential.password'), topics: text(o['topics'], 'credential.topics') };
}

function stock(raw: unknown): Stock {
  const o = object(raw, 'stock');
  return { place: text(o['place'], 'stock.place'), quantity: num(o['quantity'], 'stock.quantity') };
}

function decision(raw: unknown): Decision {
  const o = object(raw, 'decision');
  return {
    state: oneOf(o['state'], DISPOSITIONS, 'decision.state'),
    at: num(o['at_ms'], 'decision.at_ms'),
    by: textOrNull(o['by']),
    reason: text(o['reason'], 'decision.reason'),
  };
}

export function lot(raw: unknown): Lot {
  const o = object(raw, 'lot');
  return { ...itemOf(o, 'lot'), stock: every(o['stock'], 'lot.stock', stock), decisions: every(o['decisions'], 'lot.decisions', decision) };
}

function reached(o: Raw): Reached {
  return { ...itemOf(o, 'reached'), depth: num(o['depth'], 'reached.depth') };
}

const cut = (raw: unknown): Cut => orNull(raw, (one) => oneOf(one, ['depth', 'items'], 'cut'));

function link(raw: unknown): Link {
  const o = object(raw, 'link');
  return { from: text(o['from'], 'link.from'), to: text(o['to'], 'link.to'), ...joined(o, 'link') };
}

export function trace(raw: unknown): Trace {
  const o = object(raw, 'trace');
  return { items: every(o['items'], 'trace.items', (one) => reached(object(one, 'reached'))), links: every(o['links'], 'trace.links', link), cut: cut(o['cut']) };
}

function recallRow(raw: unknown): RecallRow {
  const o = object(raw, 'recall.row');
  return { ...reached(o), stock: every(o['stock'], 'recall.stock', stock), packedIn: texts(o['packed_in'], 'recall.packed_in') };
}

export function recall(raw: unknown): Recall {
  const o = object(raw, 'recall');
  return {
    root: item(o['root']),
    reached: num(o['reached'], 'recall.reached'),
    units: every(o['units'], 'recall.units', recallRow),
    lots: every(o['lots'], 'recall.lots', recallRow),
    cut: cut(o['cut']),
  };
}

function finding(raw: unknown): Finding {
  const o = object(raw, 'finding');
  return { number: num(o['number'], 'finding.number'), what: text(o['what'], 'finding.what'), at: num(o['at_ms'], 'finding.at_ms'), item: textOrNull(o['item']), other: textOrNull(o['other']), text: text(o['text'], 'finding.text') };
}

export const findings = (raw: unknown): Finding[] => every(object(raw, 'findings')['findings'], 'findings', finding);
