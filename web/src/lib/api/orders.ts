// What is asked of the server about orders and jobs. A trigger carries the version that was looked at and a key of its own, so that a
// second try after a lost answer does it once.

import { newId } from '$lib/domain/id';
import { ask, asProblem, type Problem } from './http';
import { instructionText, job as readJob, jobs, ledger, materials, order as readOrder, orders, proposal, reasons, schedule } from './parseOrders';
import type { Entry, InstructionText, Job, Material, Order, Placing, Proposal, Reason, Schedule } from './parseOrders';

export type Trigger = 'begin' | 'pause' | 'resume' | 'stop' | 'abort' | 'close' | 'prepare';
export interface More {
  reason?: string;
  why?: 'Held' | 'Suspended';
  prepared?: 'Waiting' | 'Ready' | 'Loaded';
  equipment?: string;
}
export interface Count {
  good?: number;
  scrap?: number;
  rework?: number;
  reason?: string;
}

/** What became of a wish: done, or somebody was faster, or it was refused. */
export type Came = { was: 'done'; job: Job } | { was: 'overtaken'; job: Job; last: Entry | null } | { was: 'refused'; problem: Problem };

const at = (id: string, what: string): string => `/api/mes/jobs/${encodeURIComponent(id)}/${what}`;
const ofOrder = (number: string, what = ''): string => `/api/mes/orders/${encodeURIComponent(number)}${what}`;

export const listOrders = async (signal?: AbortSignal): Promise<{ orders: Order[]; next: string | null }> => {
  const all: Order[] = [];
  let after: string | null = null;
  // More than this is no list that a person reads; what is left out is said.
  for (let page = 0; page < 5; page += 1) {
    const answer: { orders: Order[]; next: string | null } = await ask('/api/mes/orders', { query: { limit: 500, after }, read: orders, signal });
    all.push(...answer.orders);
    after = answer.next;
    if (after === null) break;
  }
  return { orders: all, next: after };
};
export const getOrder = (number: string): Promise<Order> => ask(ofOrder(number), { read: readOrder });
export const listMaterials = (): Promise<Material[]> => ask('/api/mes/materials', { read: materials });
export const listReasons = (): Promise<Reason[]> => ask('/api/mes/reasons', { read: reasons });
export const listJobs = (equipment: string): Promise<Job[]> => ask('/api/mes/jobs', { query: { equipment }, read: jobs });
export const getLedger = (id: string): Promise<Entry[]> => ask(at(id, 'ledger'), { read: ledger });
export const getInstruction = (name: string, revision: string): Promise<InstructionText> => ask(`/api/mes/instructions/${encodeURIComponent(name)}`, { query: { revision }, read: instructionText });
export const getSchedule = (from: number, to: number): Promise<Schedule> => ask('/api/mes/schedule', { query: { from_ms: Math.round(from), to_ms: Math.round(to) }, read: schedule, timeoutMs: 30_000 });

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

async function came(before: Job, doing: Promise<Job>): Promise<Came> {
  try {
    return { was: 'done', job: await doing };
  } catch (error) {
    const problem = asProblem(error);
    const current = currentOf(problem);
    if (!current || current.version === before.version) return { was: 'refused', problem };
    const entries = await getLedger(current.id).catch(() => []);
    return { was: 'overtaken', job: current, last: entries.reduce<Entry | null>((last, entry) => (last === null || entry.at >= last.at ? entry : last), null) };
  }
}

export const trigger = (job: Job, what: Trigger, more: More = {}, key = newId()): Promise<Came> =>
  came(job, ask(at(job.id, what), { method: 'POST', body: { version: job.version, key, ...more }, read: readJob }));
export const count = (job: Job, amounts: Count, key = newId()): Promise<Came> => came(job, ask(at(job.id, 'counts'), { method: 'POST', body: { key, ...amounts }, read: readJob }));
export const confirmSeen = (job: Job, text: InstructionText): Promise<void> => ask(at(job.id, 'seen'), { method: 'POST', body: { instruction: text.name, revision: text.revision, sha256: text.sha256 } });
export const placeJob = (job: Job, to: Pick<Placing, 'equipment' | 'start'>): Promise<Came> =>
  came(job, ask(at(job.id, 'plan'), { method: 'POST', body: { version: job.version, equipment: to.equipment, planned_start_ms: to.start }, read: readJob }));
export const makePlan = (dryRun: boolean, seed: number): Promise<Proposal> => ask('/api/mes/schedule/plan', { method: 'POST', body: { dry_run: dryRun, seed }, read: proposal, timeoutMs: 120_000 });
