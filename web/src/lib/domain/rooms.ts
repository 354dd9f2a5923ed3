// What a room shows: sorts a room's tags by what a person wants of them. Only how things look is decided here;
// what a tag is (type, unit, writable, words) comes from the server.

import type { Tag } from '$lib/api/types';

export type RoomPart =
  /** On and off: a tap switches. */
  | 'switch'
  /** A number that can be set: brightness, wanted temperature. */
  | 'dial'
  /** Temperature, humidity, air. */
  | 'climate'
  /** Door, window, lock. */
  | 'contact'
  /** Water, smoke, gas: a hazard when it is true. */
  | 'leak'
  /** Power and energy. */
  | 'energy'
  | 'other';

const CLIMATE_UNITS = new Set(['Cel', 'K', '[degF]', '[ppm]', 'ppm', 'hPa', 'lx', 'ug/m3']);
const ENERGY_UNITS = new Set(['W', 'kW', 'W.h', 'kW.h', 'MW.h', 'm3']);
const LEAK = /leak|smoke|gas|flood|moisture|water_alarm|leck|rauch|wasser/i;
const CONTACT = /door|window|gate|contact|lock|fenster|tür|tuer/i;

export function partOf(tag: Tag): RoomPart {
  const name = `${tag.path.slice(tag.path.lastIndexOf('/') + 1)} ${tag.title}`;
  if (tag.dataType === 'boolean') {
    if (tag.write) return 'switch';
    if (LEAK.test(name)) return 'leak';
    return CONTACT.test(name) ? 'contact' : 'other';
  }
  if (tag.dataType === 'string') return 'other';
  if (tag.write) return 'dial';
  const unit = tag.unit ?? '';
  if (ENERGY_UNITS.has(unit)) return 'energy';
  if (CLIMATE_UNITS.has(unit) || (unit === '%' && /humid|feucht/i.test(name))) return 'climate';
  return 'other';
}

export function sortParts(tags: readonly Tag[]): Record<RoomPart, Tag[]> {
  const parts: Record<RoomPart, Tag[]> = { switch: [], dial: [], climate: [], contact: [], leak: [], energy: [], other: [] };
  for (const tag of tags) parts[partOf(tag)].push(tag);
  return parts;
}
