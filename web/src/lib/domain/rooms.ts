// What a room shows: sorts a room's tags by what a person wants of them. Only how things look is decided here;
// what a tag is (type, unit, writable, words) comes from the server.

import type { Equipment, Tag } from '$lib/api/types';
import { leaf } from './tree';

export type RoomPart =
  /** On and off: a tap switches. */
  | 'switch'
  /** Something that is pressed. */
  | 'press'
  /** A number that can be set: brightness, wanted temperature. */
  | 'dial'
  /** Temperature first, then humidity, then air and light. */
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

/** An appliance whose temperature is the room's, and not its own (a valve's, a heat pump's). */
const ROOM_SENSOR = /climate|sensor|thermo|weather|air|klima|wetter|luft/i;

export function partOf(tag: Tag, room: string): RoomPart {
  const name = `${tag.path.split('/').slice(-2).join(' ')} ${tag.title}`;
  if (tag.dataType === 'boolean') {
    if (tag.write) return 'switch';
    if (LEAK.test(name)) return 'leak';
    return CONTACT.test(name) ? 'contact' : 'other';
  }
  if (tag.press !== null) return 'press';
  if (tag.dataType === 'string') return 'other';
  if (tag.write) return 'dial';
  const unit = tag.unit ?? '';
  if (ENERGY_UNITS.has(unit)) return 'energy';
  const ofRoom = tag.equipment === room || ROOM_SENSOR.test(leaf(tag.equipment));
  const climate = CLIMATE_UNITS.has(unit) || (unit === '%' && /humid|feucht/i.test(name));
  return climate && ofRoom ? 'climate' : 'other';
}

/** Of the device, not of the room: batteries, radio, what runs on it. */
const OF_DEVICE = /batter|akku|link.?quality|\blqi\b|rssi|signal|wi.?fi|ssid|uptime|firmware|version|heap|update|restart|reboot|ip.?addr|last.?seen/i;

/** Whether a value tells something of the room or of what stands in it; texts are for the details. */
export function tellsOfRoom(tag: Tag): boolean {
  return tag.dataType !== 'string' && tag.unit !== 'mV' && tag.unit !== 'dB[mW]' && !OF_DEVICE.test(`${leaf(tag.path).replaceAll('_', ' ')} ${tag.title}`);
}

/** The lines of a room's card below what can be switched: hazards and doors first, then what is measured. Climate of which the first three stand above. */
export function roomLines(parts: Record<RoomPart, Tag[]>): Tag[] {
  const lines = [...parts.leak, ...parts.contact, ...parts.climate.slice(3), ...[...parts.energy, ...parts.other].filter(tellsOfRoom)];
  const bare = lines.length + parts.climate.length + parts.switch.length + parts.press.length + parts.dial.length === 0;
  return bare ? [...parts.energy, ...parts.other].slice(0, 4) : lines;
}

export function sortParts(tags: readonly Tag[], room: string): Record<RoomPart, Tag[]> {
  const parts: Record<RoomPart, Tag[]> = { switch: [], press: [], dial: [], climate: [], contact: [], leak: [], energy: [], other: [] };
  for (const tag of tags) parts[partOf(tag, room)].push(tag);
  const rank = (tag: Tag): number => (tag.unit === 'Cel' || tag.unit === 'K' || tag.unit === '[degF]' ? 0 : tag.unit === '%' ? 1 : 2);
  parts.climate.sort((a, b) => rank(a) - rank(b));
  return parts;
}

/** "Living room temperature" in the living room is "Temperature". */
export function titleInRoom(title: string, room: string): string {
  if (!title.toLowerCase().startsWith(`${room.toLowerCase()} `)) return title;
  const rest = title.slice(room.length + 1);
  return rest.charAt(0).toUpperCase() + rest.slice(1);
}

/** What a value is called in its room: with the appliance it is of, where one name does not tell the other. */
export function nameInRoom(tag: Tag, appliance: Equipment | null, room: Equipment): string {
  const own = titleInRoom(tag.title, room.title);
  if (!appliance || appliance.path === room.path || appliance.level !== 'work_unit') return own;
  const of = titleInRoom(appliance.title, room.title);
  const [a, b] = [own.toLowerCase(), of.toLowerCase()];
  return a.includes(b) ? own : b.includes(a) ? of : `${of} · ${own}`;
}
