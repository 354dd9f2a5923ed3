// The made-up plant and house of the mock: what there is, and how each value runs.
// Every value is a pure function of time, so that history and live values agree without being stored.

import type { Level, Profile } from '$lib/api/types';

export interface MockEquipment {
  path: string;
  level: Level;
  profile: Profile;
  title: string;
  description: string;
}

export interface MockTag {
  path: string;
  title: string;
  data_type: 'boolean' | 'int64' | 'double' | 'string';
  unit: string | null;
  symbol: string | null;
  range: [number, number] | null;
  digits: number | null;
  states: Record<string, string>;
  interpolation: 'sloped' | 'stepped';
  stale_after_ms: number | null;
  write: { min: number | null; max: number | null; needs_reason: boolean; life_ms: number; confirm_within_ms: number } | null;
  /** What is written to press it. */
  press?: number;
  protocol: string;
  period: number;
  value: (t: number) => number | boolean | string;
  /** How a command on it ends; confirmed unless said. */
  outcome?: 'failed' | 'unknown' | 'refused' | 'expired';
}

/** A repeatable number in [0, 1) for a slot of time and a seed. */
export function noise(slot: number, seed: number): number {
  let h = (Math.floor(slot) ^ Math.imul(seed, 0x9e3779b1)) | 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return ((h ^ (h >>> 16)) >>> 0) / 2 ** 32;
}

const LEVEL_WORDS: Record<Profile, Record<Level, string>> = {
  plant: { enterprise: 'enterprise', site: 'site', area: 'area', work_center: 'work center', work_unit: 'work unit' },
  home: { enterprise: 'family', site: 'house', area: 'floor', work_center: 'room', work_unit: 'appliance' },
};
export const levelWord = (level: Level, profile: Profile): string => LEVEL_WORDS[profile][level];

export const equipment: MockEquipment[] = [];
export const tags: MockTag[] = [];

function place(path: string, level: Level, profile: Profile, title: string, description = ''): string {
  equipment.push({ path, level, profile, title, description });
  return path;
}

const RUN_STATES = { '0': 'Stopped', '1': 'Starting', '2': 'Running', '3': 'Holding', '4': 'Aborted' };

function seedOf(text: string): number {
  let seed = 7;
  for (const c of text) seed = (Math.imul(seed, 31) + (c.codePointAt(0) ?? 0)) | 0;
  return seed;
}

type Extra = Partial<Omit<MockTag, 'path' | 'title' | 'value'>>;

function add(path: string, title: string, value: MockTag['value'], extra: Extra = {}): MockTag {
  const tag: MockTag = {
    path, title, value, data_type: 'double', unit: null, symbol: null, range: null, digits: null, states: {},
    interpolation: 'sloped', stale_after_ms: 15_000, write: null, protocol: 'modbus', period: 1000, ...extra,
  };
  tags.push(tag);
  return tag;
}

/** A measured value: waves and noise around a base. */
function measure(path: string, title: string, [code, symbol]: [string, string], base: number, swing: number, range: [number, number], digits: number, extra: Extra = {}): MockTag {
  const seed = seedOf(path);
  const phase = noise(1, seed) * 6.28;
  const slow = (9 + noise(2, seed) * 20) * 60_000;
  const quick = 40_000 + noise(3, seed) * 50_000;
  return add(
    path, title,
    (t) => base + swing * (0.55 * Math.sin(t / slow * 6.283 + phase) + 0.3 * Math.sin(t / quick * 6.283) + 0.3 * (noise(t / 1000, seed) - 0.5)),
    { unit: code, symbol, range, digits, ...extra },
  );
}

function machineState(path: string, value: (t: number) => number): MockTag {
  return add(`${path}/state`, 'State', value, { data_type: 'int64', states: RUN_STATES, interpolation: 'stepped', stale_after_ms: 30_000 });
}

function writable(min: number | null, max: number | null, needsReason = false): NonNullable<MockTag['write']> {
  return { min, max, needs_reason: needsReason, life_ms: 5000, confirm_within_ms: 3000 };
}

const CEL: [string, string] = ['Cel', '°C'];
const BAR: [string, string] = ['bar', 'bar'];
const PCT: [string, string] = ['%', '%'];

place('works', 'enterprise', 'plant', 'Lantern Works');
place('works/nord', 'site', 'plant', 'Werk Nord');
place('works/nord/bottling', 'area', 'plant', 'Bottling');
const line1 = place('works/nord/bottling/line1', 'work_center', 'plant', 'Line 1');
const line2 = place('works/nord/bottling/line2', 'work_center', 'plant', 'Line 2');
place('works/nord/utilities', 'area', 'plant', 'Utilities');
const energy = place('works/nord/utilities/energy', 'work_center', 'plant', 'Energy and media');

for (const [line, offset] of [[line1, 0], [line2, 5]] as const) {
  const filler = place(`${line}/filler`, 'work_unit', 'plant', 'Filler', '24 valves, counter-pressure');
  machineState(filler, (t) => (offset && Math.floor(t / 240_000) % 5 === 1 ? 3 : 2));
  measure(`${filler}/pressure`, 'Filling pressure', BAR, 3.02, 0.16, [0, 6], 2);
  add(`${filler}/pressure_sp`, 'Pressure set point', () => 3, { unit: 'bar', symbol: 'bar', range: [0, 6], digits: 2, interpolation: 'stepped', stale_after_ms: null, write: writable(2.6, 3.4, true) });
  measure(`${filler}/flow`, 'Syrup flow', ['L/min', 'L/min'], 124 + offset, 9, [0, 200], 1);
  measure(`${filler}/temperature`, 'Product temperature', CEL, 6.4, 0.5, [0, 25], 1);
  add(`${filler}/count`, 'Bottles filled', (t) => Math.floor((t % 28_800_000) / 310) + offset * 12, { data_type: 'int64', unit: '{bottles}', symbol: 'bottles', interpolation: 'stepped' });

  const capper = place(`${line}/capper`, 'work_unit', 'plant', 'Capper');
  machineState(capper, () => 2);
  measure(`${capper}/torque`, 'Capping torque', ['N.m', 'N·m'], 1.71, 0.12, [0, 3], 2);
  measure(`${capper}/speed`, 'Speed', ['{bottles}/h', 'bottles/h'], 11_840 + offset * 60, 240, [0, 14_000], 0);
  add(`${capper}/run`, 'Run', () => true, { data_type: 'boolean', states: { '0': 'Stop', '1': 'Run' }, interpolation: 'stepped', write: writable(null, null, true) });

  const labeller = place(`${line}/labeller`, 'work_unit', 'plant', 'Labeller');
  machineState(labeller, () => (offset ? 2 : 4));
  measure(`${labeller}/web_speed`, 'Web speed', ['m/min', 'm/min'], 227, 6, [0, 300], 0);
  measure(`${labeller}/glue_temperature`, 'Glue temperature', CEL, 152, 3, [20, 200], 0);

  const packer = place(`${line}/packer`, 'work_unit', 'plant', 'Packer');
  machineState(packer, () => (offset ? 0 : 2));
  measure(`${packer}/air_pressure`, 'Air pressure', BAR, 6.1, 0.2, [0, 10], 1);
  measure(`${packer}/motor_current`, 'Motor current', ['A', 'A'], offset ? 0.2 : 11.4, offset ? 0.1 : 1.4, [0, 25], 1);
}

const compressor = place(`${energy}/compressor`, 'work_unit', 'plant', 'Compressor');
machineState(compressor, () => 2);
measure(`${compressor}/pressure`, 'Network pressure', BAR, 7.2, 0.25, [0, 12], 1);
measure(`${compressor}/oil_temperature`, 'Oil temperature', CEL, 89.2, 2.5, [0, 120], 1);
measure(`${compressor}/power`, 'Power', ['kW', 'kW'], 44, 6, [0, 75], 1);
const boiler = place(`${energy}/boiler`, 'work_unit', 'plant', 'Steam boiler');
machineState(boiler, () => 2);
measure(`${boiler}/steam_pressure`, 'Steam pressure', BAR, 9.6, 0.3, [0, 16], 1);
measure(`${boiler}/water_level`, 'Water level', PCT, 62, 5, [0, 100], 0);
add(`${boiler}/pressure_sp`, 'Pressure set point', () => 9.5, { unit: 'bar', symbol: 'bar', range: [0, 16], digits: 1, interpolation: 'stepped', write: writable(6, 12), outcome: 'failed' });
const buffer = place(`${energy}/buffer`, 'work_unit', 'plant', 'Buffer tank');
measure(`${buffer}/level`, 'Level', PCT, 92.4, 1.6, [0, 100], 1);
add(`${buffer}/valve`, 'Inlet valve', () => 40, { unit: '%', symbol: '%', range: [0, 100], digits: 0, interpolation: 'stepped', write: writable(0, 100), protocol: 'mqtt' });
const chiller = place(`${energy}/chiller`, 'work_unit', 'plant', 'Chiller', 'Glycol circuit');
measure(`${chiller}/supply_temperature`, 'Supply temperature', CEL, -4.2, 0.4, [-20, 20], 1);
measure(`${chiller}/return_temperature`, 'Return temperature', CEL, 1.1, 0.5, [-20, 20], 1);

place('linde', 'site', 'home', 'Haus Linde');
place('linde/ground', 'area', 'home', 'Ground floor');
place('linde/upper', 'area', 'home', 'Upper floor');
place('linde/cellar', 'area', 'home', 'Cellar');

interface RoomPlan {
  path: string;
  title: string;
  temperature: number;
  lamps?: string[];
  dimmer?: boolean;
  window?: 'open' | 'closed';
  door?: boolean;
  leak?: boolean;
  co2?: boolean;
}

const OPEN = { '0': 'closed', '1': 'open' };
const LEAK = { '0': 'dry', '1': 'wet' };
const home: Extra = { protocol: 'mqtt', stale_after_ms: 120_000, period: 5000 };

function room(plan: RoomPlan): string {
  const path = place(plan.path, 'work_center', 'home', plan.title);
  measure(`${path}/temperature`, 'Temperature', CEL, plan.temperature, 0.6, [0, 40], 1, home);
  measure(`${path}/humidity`, 'Humidity', PCT, 47, 5, [0, 100], 0, home);
  if (plan.co2) measure(`${path}/co2`, 'Carbon dioxide', ['[ppm]', 'ppm'], 720, 120, [400, 2000], 0, home);
  (plan.lamps ?? []).forEach((name, index) => {
    const lamp = place(`${path}/${name.toLowerCase().replaceAll(' ', '_')}`, 'work_unit', 'home', name);
    add(`${lamp}/on`, name, () => index === 0, { ...home, data_type: 'boolean', interpolation: 'stepped', write: writable(null, null), states: { '0': 'off', '1': 'on' } });
  });
  if (plan.dimmer) add(`${path}/brightness`, 'Brightness', () => 65, { ...home, unit: '%', symbol: '%', range: [0, 100], digits: 0, interpolation: 'stepped', write: writable(0, 100) });
  if (plan.window) add(`${path}/window`, 'Window', () => plan.window === 'open', { ...home, data_type: 'boolean', states: OPEN, interpolation: 'stepped' });
  if (plan.door) add(`${path}/door`, 'Front door', () => false, { ...home, data_type: 'boolean', states: OPEN, interpolation: 'stepped' });
  if (plan.leak) add(`${path}/leak`, 'Water leak', () => false, { ...home, data_type: 'boolean', states: LEAK, interpolation: 'stepped' });
  add(`${path}/set_temperature`, 'Wanted temperature', () => 21, { ...home, unit: 'Cel', symbol: '°C', range: [5, 30], digits: 1, interpolation: 'stepped', write: writable(12, 26) });
  return path;
}
room({ path: 'linde/ground/kitchen', title: 'Kitchen', temperature: 21.4, lamps: ['Ceiling lamp', 'Worktop lamp'], window: 'closed', leak: true, co2: true });
room({ path: 'linde/ground/living', title: 'Living room', temperature: 22.1, lamps: ['Floor lamp'], dimmer: true, window: 'open' });
room({ path: 'linde/ground/hall', title: 'Hall', temperature: 19.2, lamps: ['Hall lamp'], door: true });
room({ path: 'linde/upper/bath', title: 'Bathroom', temperature: 23.3, lamps: ['Mirror lamp'], window: 'closed', leak: true });
room({ path: 'linde/upper/bedroom', title: 'Bedroom', temperature: 18.1, lamps: ['Bedside lamp'], window: 'closed', co2: true });
const plantRoom = place('linde/cellar/plant_room', 'work_center', 'home', 'Plant room');
const pump = place(`${plantRoom}/heat_pump`, 'work_unit', 'home', 'Heat pump');
measure(`${pump}/flow_temperature`, 'Flow temperature', CEL, 34.6, 1.2, [10, 60], 1, home);
measure(`${pump}/power`, 'Heat pump power', ['kW', 'kW'], 1.42, 0.4, [0, 6], 2, home);
add(`${pump}/run`, 'Heat pump', () => true, { ...home, data_type: 'boolean', interpolation: 'stepped', write: writable(null, null, true), states: { '0': 'off', '1': 'on' } });
add(`${pump}/defrost`, 'Defrost', () => 1, { ...home, data_type: 'int64', states: { '1': 'press' }, interpolation: 'stepped', write: writable(1, 1), press: 1, outcome: 'unknown' });
const meter = place(`${plantRoom}/meter`, 'work_unit', 'home', 'Electricity meter');
measure(`${meter}/power`, 'Power from the grid', ['W', 'W'], 640, 220, [0, 10_000], 0, home);
add(`${meter}/energy_today`, 'Energy today', (t) => ((t / 3_600_000) % 24) * 0.52, { ...home, unit: 'kW.h', symbol: 'kWh', digits: 2 });
add(`${plantRoom}/leak`, 'Water leak', () => false, { ...home, data_type: 'boolean', states: LEAK, interpolation: 'stepped' });

export interface MockAlarm {
  name: string;
  tag: string;
  condition: string;
  limit: number | null;
  equals: number | null;
  priority: 1 | 2 | 3 | 4;
  message: string;
  cause: string;
  consequence: string;
  action: string;
}

export const alarmDefs: MockAlarm[] = [];
function alarm(tag: string, condition: 'high' | 'low' | 'state' | 'silent', limit: number | null, priority: 1 | 2 | 3 | 4, message: string, cause: string, consequence: string, action: string): void {
  alarmDefs.push({ name: `${tag}:${condition}`, tag, condition, limit: condition === 'state' ? null : limit, equals: condition === 'state' ? limit : null, priority, message, cause, consequence, action });
}
alarm(`${buffer}/level`, 'high', 90, 1, 'Buffer tank level high', 'The outlet pump stands still, or the inlet valve hangs open.', 'The tank overflows in about 12 minutes.', 'Close the inlet valve to 0 %. Check the outlet pump P-12 on site.');
alarm(`${line1}/labeller/state`, 'state', 4, 2, 'Labeller aborted', 'Label web torn, or the guard was opened.', 'Line 1 stops when the accumulation table is full, in 4 minutes.', 'Close the guard, thread the web, reset at the machine.');
alarm(`${compressor}/oil_temperature`, 'high', 86, 3, 'Compressor oil warm', 'Cooler dirty or cooling air blocked.', 'Trips at 105 °C; the network falls below 6 bar.', 'Clean the cooler at the next stop. Look again in an hour.');
alarm(`${line1}/packer/motor_current`, 'high', 12.75, 3, 'Packer motor current high', 'Carton jam or worn bearing.', 'The drive trips after ten minutes.', 'Look for a jam at the infeed.');
alarm(`${line2}/capper/torque`, 'low', 1.62, 4, 'Capping torque low', 'Clutch worn.', 'Caps leak; the lot must be checked.', 'Take five bottles and measure. Adjust head 3.');
alarm('linde/ground/living/window', 'state', 1, 4, 'Window open while heating', 'Somebody is airing the room.', 'The heat pump runs for nothing.', 'Close the window.');
alarm('linde/ground/kitchen/leak', 'state', 1, 1, 'Water in the kitchen', 'A hose or the dishwasher leaks.', 'Damage to floor and ceiling.', 'Close the main valve in the plant room.');
alarm(`${boiler}/water_level`, 'low', 55, 2, 'Boiler water low', 'Feed pump or valve.', 'The boiler locks out at 40 %.', 'Check the feed water tank and pump.');
