// What the mock makes: materials with their operations, instructions, skills, reasons, and the orders of this shift.

import type { MockJob, MockLane, MockOrder, State, Sub } from './orders';

const MIN = 60_000;
const HOUR = 60 * MIN;
const LINE1 = 'works/nord/bottling/line1';
const LINE2 = 'works/nord/bottling/line2';

interface MockOperation {
  name: string;
  title: string;
  equipment: string[];
  run_ms: number;
  setup_ms: number;
  skills: string[];
  instructions: string[];
}
const both = (machine: string): string[] => [`${LINE1}/${machine}`, `${LINE2}/${machine}`];
const op = (name: string, title: string, equipment: string[], run_ms: number, setup_min: number, more: { skills?: string[]; instructions?: string[] } = {}): MockOperation => ({ name, title, equipment, run_ms, setup_ms: setup_min * MIN, skills: more.skills ?? [], instructions: more.instructions ?? [] });
const bottled = (instructions: string[] = [], skills: string[] = []): MockOperation[] => [
  op('10', 'Fill and cap', both('filler'), 900, 10, { instructions, skills }),
  op('20', 'Label', both('labeller'), 800, 5),
  op('30', 'Pack', both('packer'), 700, 5),
];

export const MATERIALS: { name: string; revision: string; title: string; unit: string; operations: MockOperation[] }[] = [
  { name: 'LEM-05', revision: 'C', title: 'Lemonade 0.5 l', unit: 'pcs', operations: bottled() },
  { name: 'COLA-05', revision: 'B', title: 'Cola 0.5 l', unit: 'pcs', operations: bottled(['changeover-cola', 'rinse']) },
  { name: 'WATER-10', revision: 'A', title: 'Still water 1.0 l', unit: 'pcs', operations: bottled() },
  { name: 'CIDER-033', revision: 'A', title: 'Cider 0.33 l, counter-pressure', unit: 'pcs', operations: bottled([], ['pressure']) },
  { name: 'GLUE-2', revision: '', title: 'Label glue, mixed', unit: 'kg', operations: [op('10', 'Mix and fill', both('labeller'), 90_000, 0, { instructions: ['mixing'] })] },
  { name: 'CAP-28', revision: '', title: 'Screw cap 28 mm', unit: 'pcs', operations: [] },
  // Of the heat pumps, which are not made by work orders here.
  { name: 'HP-16', revision: 'C', title: 'Heat pump 16 kW', unit: 'pcs', operations: [] },
  { name: 'EV-20', revision: '', title: 'Expansion valve', unit: 'pcs', operations: [] },
  { name: 'ST-08', revision: '', title: 'Valve steel', unit: 'kg', operations: [] },
];

export interface MockInstruction {
  name: string;
  revision: string;
  title: string;
  sha256: string;
  steps: { title: string; text: string }[];
}
export const INSTRUCTIONS: MockInstruction[] = [
  {
    name: 'changeover-cola', revision: '7', title: 'Changeover to Cola', sha256: '7c0ffee1'.repeat(8),
    steps: [
      { title: 'Empty the filler', text: 'Close the syrup valve. Run until the level glass is empty.\nDrain the bowl into the tank marked “rework”.' },
      { title: 'Change the format parts', text: 'Starwheel and guide for 0.5 l: the parts with the blue mark.\nTurn by hand for one full turn before the guard is closed.' },
      { title: 'Check the first ten', text: 'Weigh ten bottles: each 512 to 520 g.\nEnter what is out of these limits as scrap, reason “Set-up”.' },
    ],
  },
  { name: 'rinse', revision: '3', title: 'Rinse with water', sha256: 'a1b2c3d4'.repeat(8), steps: [{ title: 'Rinse with water', text: 'Rinse for three minutes with water of at least 60 °C. The conductivity at the outlet falls below 50 µS/cm.' }] },
  // One that has no revision.
  { name: 'mixing', revision: '', title: 'Mixing glue', sha256: '5eed0f91'.repeat(8), steps: [{ title: 'Wear the gloves', text: 'Gloves and goggles. Stir for five minutes; the temperature stays below 40 °C.' }] },
];
/** `who`: by what name they log in. */
export const SKILLS = [{ name: 'pressure', who: ['erika', 'jonas'] }];

type Element = 'delay' | 'idle' | 'setup' | 'planned_down';
const reason = (name: string, counts_as: Element, action = ''): { name: string; counts_as: Element; cause: string; action: string } => ({ name, counts_as, cause: counts_as === 'idle' || counts_as === 'planned_down' ? 'outside' : 'inside', action });
/** By name, as a node tells them. */
export const REASONS = [
  reason('Electrical/Drive fault', 'delay', 'Read the code at the drive.'),
  reason('Electrical/Sensor dirty', 'delay', 'Wipe it.'),
  reason('Material/Glue empty', 'delay'),
  reason('Material/Missing', 'idle', 'Call the warehouse: 220.'),
  reason('Material/No bottles', 'delay'),
  reason('Material/No caps', 'delay'),
  reason('Material/Out of specification', 'delay', 'Lock the pallet, call quality: 231.'),
  reason('Mechanical/Bearing', 'delay', 'Call maintenance.'),
  reason('Mechanical/Breakage', 'delay', 'Sweep the table, call maintenance.'),
  reason('Mechanical/Guard open', 'delay'),
  reason('Mechanical/Jam', 'delay', 'Clear the infeed, reset at the machine.'),
  reason('Mechanical/Label web torn', 'delay', 'Thread the web.'),
  reason('Mechanical/Wear', 'delay'),
  reason('People/Meeting', 'planned_down'),
  reason('People/No operator', 'delay'),
  reason('Planned/Maintenance', 'planned_down'),
  reason('Planning/No order', 'idle'),
  reason('Set-up/Adjusting', 'setup'),
  reason('Set-up/Change of product', 'setup'),
  reason('Set-up/Cleaning', 'setup'),
  reason('Set-up/First parts', 'setup'),
];

/** The machines of the plan; `many`: fifty of a larger hall instead. */
export function madePlant(many: number): MockLane[] {
  if (many > 0) return Array.from({ length: 50 }, (_, i) => ({ path: `works/nord/hall/m${String(i + 1).padStart(2, '0')}`, title: `Machine ${i + 1}` }));
  return [LINE1, LINE2].flatMap((line, i) => ['filler', 'labeller', 'packer'].map((machine) => ({ path: `${line}/${machine}`, title: `${machine.charAt(0).toUpperCase()}${machine.slice(1)} ${i + 1}` })));
}

/** A new order with its jobs, none released. */
export function orderOf(id: string, number: string, materialName: string, quantity: number, due: number | null, more: { priority?: number; note?: string; created: number }): MockOrder {
  const material = MATERIALS.find((m) => m.name === materialName);
  const jobs: MockJob[] = [];
  for (const op of material?.operations ?? []) {
    const before = jobs.at(-1);
    jobs.push({
      id: `${id}-${op.name}`, number: `${number}/${op.name}`, order: number, operation: op.name, title: op.title, equipment: op.equipment.length === 1 ? (op.equipment[0] ?? null) : null, alternatives: [...op.equipment], quantity, good: 0, scrap: 0, rework: 0,
      state: 'NotAllowedToStart', substate: 'Waiting', planned_start_ms: null, planned_end_ms: null, started_ms: null, ended_ms: null, run_time_ms: Math.round(quantity * op.run_ms), setup_ms: op.setup_ms,
      after: before ? [before.id] : [], skills: [...op.skills], instructions: [...op.instructions], version: 1, pinned: false, ledger: [],
    });
  }
  return { id, number, material: materialName, revision: material?.revision ?? '', title: material?.title ?? materialName, unit: material?.unit ?? 'pcs', quantity, due_ms: due, priority: more.priority ?? 5, state: 'Forecast', created_ms: more.created, source: 'person', note: more.note ?? '', version: 1, jobs };
}

/** Puts a job where it is on the machine and in time. */
function put(job: MockJob | undefined, equipment: string, start: number, state: State, sub: Sub, more: Partial<MockJob> = {}): void {
  if (!job) return;
  Object.assign(job, { equipment, planned_start_ms: start, planned_end_ms: start + job.setup_ms + job.run_time_ms, state, substate: sub, version: 3, ...more });
  if (state !== 'NotAllowedToStart') job.ledger.push({ at_ms: start - 4 * HOUR, kind: 'release', state: 'AllowedToStart', substate: 'Waiting', by_name: 'k.brandt' });
  if (job.started_ms !== null) job.ledger.push({ at_ms: job.started_ms, kind: 'begin', state: 'Running', substate: null, by_name: 'Erika Sommer' });
  if (job.scrap > 0 && job.started_ms !== null) job.ledger.push({ at_ms: job.started_ms + 21 * MIN, kind: 'count', scrap: job.scrap, reason: 'Set-up/First parts', by_name: 'Erika Sommer' });
  if (state === 'Interrupted' && job.started_ms !== null) job.ledger.push({ at_ms: job.started_ms + 40 * MIN, kind: 'pause', state, substate: sub, reason: job.operation === '30' ? 'People/No operator' : 'Mechanical/Jam', by_name: 'Jonas Weber' });
  if (job.ended_ms !== null) job.ledger.push({ at_ms: job.ended_ms, kind: 'stop', state: 'Ended', substate: 'Completed', by_name: 'Erika Sommer' });
}

export function madeOrders(start: number, lanes: readonly MockLane[], many: number): MockOrder[] {
  if (many > 0) return manyOrders(start, lanes, many);
  const t = Math.floor(start / (5 * MIN)) * 5 * MIN;
  const of = (number: string, material: string, quantity: number, due: number | null, state: MockOrder['state'], more: { priority?: number; note?: string } = {}): MockOrder => ({ ...orderOf(`o${number}`, number, material, quantity, due, { created: t - 26 * HOUR, ...more }), state });
  const [A, B] = [LINE1, LINE2];
  const done = of('4708', 'LEM-05', 6000, t - 2 * HOUR, 'Completed');
  done.jobs.forEach((job, i) => put(job, `${A}/${['filler', 'labeller', 'packer'][i]}`, t - (6 - i) * HOUR, 'Ended', 'Completed', { started_ms: t - (6 - i) * HOUR + 4 * MIN, ended_ms: t - (4 - i * 0.6) * HOUR, good: 6004 - i * 2, scrap: i ? 0 : 22 }));
  const closed = of('4702', 'WATER-10', 4000, t - 20 * HOUR, 'Closed');
  closed.jobs.forEach((job, i) => put(job, `${B}/${['filler', 'labeller', 'packer'][i]}`, t - (25 - i) * HOUR, 'Ended', 'Closed', { started_ms: t - (25 - i) * HOUR, ended_ms: t - (24 - i) * HOUR, good: 4000 }));

  const running = of('4711', 'LEM-05', 12_000, t + 5 * HOUR, 'Running', { note: 'Customer collects at the ramp 3' });
  put(running.jobs[0], `${A}/filler`, t - 95 * MIN, 'Running', null, { started_ms: t - 88 * MIN, good: 5340, scrap: 31 });
  // Somebody has put it where it lies before what comes before it.
  put(running.jobs[1], `${A}/labeller`, t + 80 * MIN, 'AllowedToStart', 'Waiting', { pinned: true });
  put(running.jobs[2], `${A}/packer`, t + 270 * MIN, 'AllowedToStart', 'Waiting');

  const held = of('4709', 'WATER-10', 5000, t + 40 * MIN, 'Running', { priority: 8 });
  put(held.jobs[0], `${A}/filler`, t - 190 * MIN, 'Ended', 'Completed', { started_ms: t - 186 * MIN, ended_ms: t - 104 * MIN, good: 5003, scrap: 12 });
  put(held.jobs[1], `${A}/labeller`, t - 55 * MIN, 'Interrupted', 'Held', { started_ms: t - 51 * MIN, good: 1830, scrap: 64 });
  put(held.jobs[2], `${A}/packer`, t + 20 * MIN, 'AllowedToStart', 'Waiting');

  // The packers are behind: they still pack what was filled before.
  const packing = of('4706', 'LEM-05', 9000, t + 3 * HOUR, 'Running');
  packing.jobs.forEach((job, i) => i < 2 && put(job, `${A}/${['filler', 'labeller'][i]}`, t - (11 - 2 * i) * HOUR, 'Ended', 'Completed', { started_ms: t - (11 - 2 * i) * HOUR, ended_ms: t - (8.6 - 2 * i) * HOUR, good: 9002 - i }));
  put(packing.jobs[2], `${A}/packer`, t - 100 * MIN, 'Running', null, { started_ms: t - 98 * MIN, good: 7810, scrap: 9 });
  const waiting = of('4710', 'LEM-05', 4000, t + 4 * HOUR, 'Running');
  waiting.jobs.forEach((job, i) => i < 2 && put(job, `${B}/${['filler', 'labeller'][i]}`, t - (3.4 - i) * HOUR, 'Ended', 'Completed', { started_ms: t - (3.4 - i) * HOUR, ended_ms: t - (2.2 - i) * HOUR, good: 4001 - i }));
  put(waiting.jobs[2], `${B}/packer`, t - 80 * MIN, 'Interrupted', 'Held', { started_ms: t - 77 * MIN, good: 1650, scrap: 4 });

  const cola = of('4713', 'COLA-05', 3000, t + 6 * HOUR, 'Released');
  put(cola.jobs[0], `${B}/filler`, t + 10 * MIN, 'AllowedToStart', 'Ready');
  put(cola.jobs[1], `${B}/labeller`, t + 70 * MIN, 'AllowedToStart', 'Waiting');
  put(cola.jobs[2], `${B}/packer`, t + 130 * MIN, 'AllowedToStart', 'Waiting');
  const water = of('4714', 'WATER-10', 2400, t - 70 * MIN, 'Released', { priority: 9 });
  put(water.jobs[0], `${B}/filler`, t + 80 * MIN, 'AllowedToStart', 'Waiting');
  put(water.jobs[1], `${B}/labeller`, t + 140 * MIN, 'AllowedToStart', 'Waiting');
  put(water.jobs[2], `${B}/packer`, t + 190 * MIN, 'AllowedToStart', 'Waiting');
  const cider = of('4716', 'CIDER-033', 1800, t + 9 * HOUR, 'Released');
  put(cider.jobs[0], `${B}/filler`, t + 3 * HOUR, 'AllowedToStart', 'Waiting');
  put(cider.jobs[1], `${B}/labeller`, t + 4 * HOUR, 'AllowedToStart', 'Waiting');
  put(cider.jobs[2], `${B}/packer`, t + 4.6 * HOUR, 'AllowedToStart', 'Waiting');
  const forecast = of('4720', 'LEM-05', 8000, t + 30 * HOUR, 'Forecast');
  forecast.jobs.forEach((job, i) => put(job, `${A}/${['filler', 'labeller', 'packer'][i]}`, t + (6 + 2.2 * i) * HOUR, 'NotAllowedToStart', 'Waiting'));
  const plain = of('4721', 'WATER-10', 500, null, 'Forecast');
  // Nobody has decided where: each labeller could.
  const glue = of('4722', 'GLUE-2', 12.5, null, 'Released');
  for (const job of glue.jobs) Object.assign(job, { state: 'AllowedToStart', version: 2 });
  return [running, held, packing, waiting, cola, water, cider, forecast, plain, glue, done, closed];
}

/** One job per order, `many` of them, one after the other on the fifty machines. */
function manyOrders(start: number, lanes: readonly MockLane[], many: number): MockOrder[] {
  const free = lanes.map(() => start - 12 * HOUR);
  return Array.from({ length: many }, (_, i) => {
    const order = orderOf(`m${i}`, String(10_000 + i), 'LEM-05', 600 + (i % 7) * 300, start + (i / many) * 30 * HOUR, { created: start });
    const job = order.jobs[0];
    order.jobs.splice(1);
    const lane = i % lanes.length;
    const at = free[lane] ?? start;
    if (job) {
      job.alternatives = [lanes[lane]?.path ?? '', lanes[(lane + 1) % lanes.length]?.path ?? ''];
      const over = at + job.setup_ms + job.run_time_ms < start;
      put(job, lanes[lane]?.path ?? '', at, over ? 'Ended' : 'AllowedToStart', over ? 'Completed' : 'Waiting', over ? { started_ms: at, ended_ms: at + job.run_time_ms, good: job.quantity } : {});
      free[lane] = (job.planned_end_ms ?? at) + 5 * MIN;
      order.state = over ? 'Completed' : 'Released';
    }
    return order;
  });
}
