// What is asked of the server about orders and jobs. A trigger carries the version that was looked at and a key of its own, so that a
// second try after a lost answer does it once.

import { newId } from '$lib/domain/id';
import { ask, asProblem, type Problem } from './http';
import { instructionText, job as readJob, jobs, ledger, materials, order as readOrder, orders, proposal, schedule } from './parseOrders';
import type { Deed, Entry, InstructionText, Job, Jobs, Ledger, Material, Order, Placing, Proposal, Schedule } from './parseOrders';

type Trigger = 'begin' | 'pause' | 'resume' | 'stop';
interface More {
  reason?: string;
  why?: 'Held' | 'Suspended';
  equipment?: string;
}
interface Count {
  good?: number;
  scrap?: number;
  rework?: number;
  reason?: string;
}

/** What made another version of a job. */
type Change = Entry & { kind: Exclude<Deed, 'count' | 'seen'> };
/** What became of a wish: done, or somebody was faster (`last`: with that), or it was refused. */
export type Came = { was: 'done'; job: Job } | { was: 'overtaken'; job: Job; last: Change | null } | { was: 'refused'; problem: Problem };

const at = (id: string, what: string): string => `/api/mes/jobs/${encodeURIComponent(id)}/${what}`;
const ofOrder = (number: string, what = ''): string => `/api/mes/orders/${encodeURIComponent(number)}${what}`;

/** What a list of orders holds: all that are open, and the newest of those that are over. `more`: there are others of a sort. */
export interface Orders {
  orders: Order[];
  more: { open: boolean; over: boolean };
}
const PAGE = 500;
/** So many pages of open orders are no list that a person reads; what is left out is said. */
const MOST_PAGES = 5;
const NEWEST_OVER = 100;

/** `branch`: those with a job at or below it only. */
export const listOrders = async (signal?: AbortSignal, branch = ''): Promise<Orders> => {
  const read = (state: string, limit: number, after: string | null): Promise<{ orders: Order[]; next: string | null }> => ask('/api/mes/orders', { query: { state, limit, after, branch: branch || null }, read: orders, signal });
  const open: Order[] = [];
  let after: string | null = null;
  for (let page = 0; page < MOST_PAGES; page += 1) {
    const answer = await read('Forecast,Released,Running', PAGE, after);
    open.push(...answer.orders);
    after = answer.next;
    if (after === null) break;
  }
  // Asked last: one that ends meanwhile stands in both answers, and not in none. The later one holds.
  const over = await read('Completed,Closed,Cancelled', NEWEST_OVER, null);
  const known = new Map([...open, ...over.orders].map((one): [string, Order] => [one.id, one]));
  return { orders: [...known.values()], more: { open: after !== null, over: over.next !== null } };
};
export const getOrder = (number: string, signal?: AbortSignal): Promise<Order> => ask(ofOrder(number), { read: readOrder, signal });
export const listMaterials = (): Promise<Material[]> => ask('/api/mes/materials', { read: materials });
/** Those that have not ended: of a work unit, and those that can be done there of which nobody has decided where. */
export const listJobs = (equipment: string, signal?: AbortSignal): Promise<Jobs> => ask('/api/mes/jobs', { query: { equipment }, read: jobs, signal });
/** The newest of what happened to a job; `after`: those before, as the answer before says. */
export const getLedger = (id: string, after: number | null = null): Promise<Ledger> => ask(at(id, 'ledger'), { query: { after }, read: ledger });
/** `revision` null: the newest; '': the one that has none. */
export const getInstruction = (name: string, revision: string | null): Promise<InstructionText> => ask(`/api/mes/instructions/${encodeURIComponent(name)}`, { query: { revision }, read: instructionText });
export const getSchedule = (from: number, to: number, signal?: AbortSignal): Promise<Schedule> => ask('/api/mes/schedule', { query: { from_ms: Math.max(0, Math.round(from)), to_ms: Math.round(to) }, read: schedule, signal, timeoutMs: 30_000 });

export interface NewOrder {
  number: string;
  material: string;
  revision: string;
  quantity: number;
  due: number | null;
  priority: number;
  note: string;
  release: boolean;
}
export const createOrder = (wish: NewOrder): Promise<Order> =>
  ask('/api/mes/orders', {
    method: 'POST',
    body: { number: wish.number, material: wish.material, quantity: wish.quantity, priority: wish.priority, release: wish.release, ...(wish.revision ? { revision: wish.revision } : {}), ...(wish.due === null ? {} : { due_ms: wish.due }), ...(wish.note ? { note: wish.note } : {}) },
    read: readOrder,
  });
export const moveOrder = (o: Order, what: 'release' | 'revoke' | 'cancel' | 'close', reason: string): Promise<Order> => ask(ofOrder(o.number, `/${what}`), { method: 'POST', body: { version: o.version, ...(reason ? { reason } : {}) }, read: readOrder });

/** The job as it stands now, out of a refusal that brings it. */
function currentOf(problem: Problem): Job | null {
  try {
    return problem.kind === 'conflict' ? readJob(problem.more['current']) : null;
  } catch {
    return null;
  }
}

/** Counting and reading make no other version of a job: two may count at once. */
const changes = (entry: Entry): entry is Change => entry.kind !== 'count' && entry.kind !== 'seen';

async function came(before: Job, doing: Promise<Job>): Promise<Came> {
  try {
    return { was: 'done', job: await doing };
  } catch (error) {
    const problem = asProblem(error);
    const current = currentOf(problem);
    if (!current || current.version === before.version) return { was: 'refused', problem };
    const told = await getLedger(current.id).catch(() => null);
    return { was: 'overtaken', job: current, last: told?.entries.filter(changes).at(-1) ?? null };
  }
}

export const trigger = (job: Job, what: Trigger, more: More = {}, key = newId()): Promise<Came> =>
  came(job, ask(at(job.id, what), { method: 'POST', body: { version: job.version, key, ...more }, read: readJob }));
export const count = (job: Job, amounts: Count, key = newId()): Promise<Came> => came(job, ask(at(job.id, 'counts'), { method: 'POST', body: { key, ...amounts }, read: readJob }));
export const confirmSeen = (job: Job, text: InstructionText): Promise<void> => ask(at(job.id, 'seen'), { method: 'POST', body: { instruction: text.name, revision: text.revision, sha256: text.sha256 } });
export const placeJob = (job: Job, to: Pick<Placing, 'equipment' | 'start'>): Promise<Came> =>
  came(job, ask(at(job.id, 'plan'), { method: 'POST', body: { version: job.version, equipment: to.equipment, planned_start_ms: to.start }, read: readJob }));
export const makePlan = (dryRun: boolean, seed: number): Promise<Proposal> => ask('/api/mes/schedule/plan', { method: 'POST', body: { dry_run: dryRun, seed }, read: proposal, timeoutMs: 120_000 });
