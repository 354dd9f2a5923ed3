// The mock has to answer as the server does: the words are those of crates/api/src/routes/orders.rs and crates/server/src/mes/orders.
import { expect, test } from 'vitest';
import { DAY, HOUR } from '$lib/domain/time';
import { jobs as readJobs, ledger as readLedger, order as readOrder, orders as readOrders, proposal, schedule } from '$lib/api/parseOrders';
import { INSTRUCTIONS } from './ordersPlant';
import { MockServer } from './server';

const START = Date.UTC(2026, 10, 27, 9, 0, 0);
const L2 = 'works/nord/bottling/line2';
type Told = { status: number; body: Record<string, unknown> };

function mock(user = 'admin'): { server: MockServer; get: (path: string) => Told; post: (path: string, body: object) => Told } {
  const server = new MockServer(() => START, START);
  server.user = server.users.find((one) => one.name === user) ?? null;
  const ask = (method: string, path: string, body: object = {}): Told => {
    const url = new URL(`/api/mes/${path}`, 'http://node');
    const { status, body: answer } = server.handle(method, url.pathname, url.searchParams, body as Record<string, unknown>);
    return { status, body: (answer ?? {}) as Record<string, unknown> };
  };
  return { server, get: (path) => ask('GET', path), post: (path, body) => ask('POST', path, body) };
}
/** A key as a node takes it. */
const key = (n: number): string => `0192f0c0-2000-7000-8000-${String(n).padStart(12, '0')}`;
const said = ({ status, body }: Told): string => `${status} ${String(body['detail'])}`;

test('a work unit is told its open jobs, and those of which nobody has decided where', () => {
  const { get } = mock();
  const at = (path: string): string[] => readJobs(get(`jobs?equipment=${path}`).body).jobs.map((job) => `${job.number} ${job.state} ${job.equipment === null}`);
  expect(at(`${L2}/labeller`)).toEqual(['4713/20 AllowedToStart false', '4714/20 AllowedToStart false', '4716/20 AllowedToStart false', '4721/20 NotAllowedToStart true', '4722/10 AllowedToStart true']);
  expect(at('works/nord/bottling/line1/labeller')).toContain('4722/10 AllowedToStart true');
  expect(readJobs(get('jobs').body).jobs.filter((job) => job.ended !== null)).toEqual([]);
});

test('a job without a place begins where somebody says, and not without', () => {
  const { get, post } = mock();
  expect(post('jobs/o4722-10/seen', { instruction: 'mixing', sha256: '5eed0f91'.repeat(8) }).status).toBe(204);
  const begin = (more: object): string => said(post('jobs/o4722-10/begin', { version: 2, key: key(1), ...more }));
  expect(begin({})).toBe('422 job 4722/10 can be done on works/nord/bottling/line1/labeller, works/nord/bottling/line2/labeller: say on which');
  expect(begin({ equipment: `${L2}/packer` })).toBe('422 job 4722/10 cannot be done on works/nord/bottling/line2/packer, but on works/nord/bottling/line1/labeller, works/nord/bottling/line2/labeller');
  expect(begin({ equipment: 'works/nord/bottling/line1/labeller' })).toMatch(/^409 job 4709\/20 stands on works\/nord\/bottling\/line1\/labeller since .*; stop it there first; 4709\/20 stands on .* put there by Erika Sommer$/);
  expect(post('jobs/o4722-10/begin', { version: 2, key: key(2), equipment: `${L2}/labeller` }).body).toMatchObject({ equipment: `${L2}/labeller`, state: 'Running', may: ['abort', 'pause', 'stop'] });
  expect(readJobs(get(`jobs?equipment=${L2}/labeller`).body).jobs[0]?.number).toBe('4713/20');
});

test('a key does a thing once, and not another thing', () => {
  const { post } = mock();
  const scrap = (n: number): Told => post('jobs/o4711-10/counts', { key: key(1), scrap: n, reason: 'Mechanical/Jam' });
  expect([scrap(2).body['scrap'], scrap(2).body['scrap']]).toEqual([33, 33]);
  expect(said(scrap(3))).toBe(`409 something else was asked with the key ${key(1)}`);
  expect(said(post('jobs/o4711-10/counts', { key: key(2), scrap: 1 }))).toBe('422 scrap without a reason: say why');
});

test('who lacks a skill is told which, and nobody is named', () => {
  const { body, status } = mock().post('jobs/o4716-10/begin', { version: 3, key: key(1) });
  expect({ status, ...body }).toMatchObject({ status: 403, detail: 'the operator is not qualified: pressure', remedy: 'let somebody begin it who is qualified, or let an administrator enter the skill with the person' });
  expect(Object.keys(body).sort()).toEqual(['detail', 'remedy', 'status', 'title', 'type']);
});

test('making, changing and planning needs an engineer at every place; operating an operator at one', () => {
  const order = { number: 'A1', material: 'WATER-10', quantity: 5 };
  const plan = (user: string): Told => mock(user).post('schedule/plan', { dry_run: true });
  for (const [user, where] of [['operator', 'line1'], ['line1', 'line2']] as const) {
    const { post } = mock(user);
    const no = `403 not allowed: Configure on "works/nord/bottling/${where}/filler" needs the role Engineer there`;
    expect([said(post('orders', order)), said(post('orders/4720/release', { version: 1 }))]).toEqual([no, no]);
  }
  // What somebody may not plan stays, and is not told.
  expect(said(plan('operator'))).toBe('403 not allowed: Configure on "" needs the role Engineer there');
  expect(proposal(plan('line1').body)).toMatchObject({ changes: [], late: [], unmet: [] });
  expect(proposal(plan('admin').body).changes.length).toBeGreaterThan(5);
  const { post } = mock('line1');
  // Within the branch it may be moved, to the other line not.
  const to = (path: string): string => said(post('jobs/o4720-10/plan', { version: 3, equipment: `works/nord/bottling/${path}/filler`, planned_start_ms: START + 9 * HOUR }));
  expect([to('line2'), to('line1')]).toEqual(['403 not allowed: Configure on "works/nord/bottling/line2/filler" needs the role Engineer there', '200 undefined']);
  expect(mock('operator').post('jobs/o4711-10/counts', { key: key(1), good: 1 }).status).toBe(200);
  expect(said(mock('viewer').post('jobs/o4711-10/counts', { key: key(1), good: 1 }))).toContain('403 not allowed: Operate on');
});

test('a plan over more than 92 days is refused', () => {
  const { get } = mock();
  const over = (span: number): Told => get(`schedule?from_ms=${START}&to_ms=${START + span}`);
  expect(said(over(92 * DAY + 1))).toBe('400 the window is longer than 92 days');
  expect(new Set(schedule(over(92 * DAY).body).lanes.flatMap((lane) => lane.closed.map((closed) => closed.name)))).toEqual(new Set(['off']));
});

test('a job stays where a person has put it, also when it is planned anew, and what that breaks is told', () => {
  const { get, post } = mock();
  const plan = proposal(post('schedule/plan', { dry_run: true }).body);
  expect(plan.unmet).toEqual([expect.stringMatching(/^job 4711\/20 lies before what comes before it; it could begin at 2026-11-27T\d\d:\d\d:\d\dZ$/)]);
  expect(plan.changes.map((change) => change.job)).not.toContain('o4711-20');
  const night = new Date(START).setHours(23, 0, 0, 0);
  expect(post('jobs/o4720-10/plan', { version: 3, equipment: 'works/nord/bottling/line1/filler', planned_start_ms: night }).body['planned_start_ms']).toBe(night);
  expect(proposal(post('schedule/plan', { dry_run: false }).body).changes.map((change) => change.job)).not.toContain('o4720-10');
  expect(readOrder(get('orders/4720').body).jobs[0]?.plannedStart).toBe(night);
});

test('an order is released with all its jobs, and listed by state, the newest first', () => {
  const { get, post } = mock();
  expect(readOrder(post('orders/4720/release', { version: 1 }).body).jobs.map((job) => job.state)).toEqual(['AllowedToStart', 'AllowedToStart', 'AllowedToStart']);
  expect(said(post('orders/4711/cancel', { version: 1 }))).toBe('409 job 4711/10 is Running: stop it or abort it at its equipment first, then cancel the order');
  expect(readOrders(get('orders?state=Completed,Closed,Cancelled').body)).toMatchObject({ orders: [{ number: '4702' }, { number: '4708' }], next: null });
  expect(readOrders(get('orders?limit=2').body)).toMatchObject({ orders: [{ number: '4702' }, { number: '4708' }], next: 'o4708' });
  expect(said(get('orders?state=Open'))).toBe('400 "Open" is not known as "state"');
});

test('an instruction is told in the newest revision, or in the one that is asked for', () => {
  const { server, get } = mock();
  server.orders.revise('changeover-cola');
  const told = (query: string): unknown => get(`instructions/changeover-cola${query}`).body['revision'];
  expect([told(''), told('?revision=7'), told('?revision=')]).toEqual(['8', '7', undefined]);
});

test('what a node would not read is not read: an unknown field, one that is missing, half a millisecond, a key that is none', () => {
  const { get, post } = mock();
  const begin = (more: object): number => post('jobs/o4714-10/begin', { version: 3, key: key(1), ...more }).status;
  expect([begin({ who: 'erika' }), begin({ key: 'k' }), begin({ key: undefined }), begin({ version: 3.5 })]).toEqual([422, 422, 422, 422]);
  expect(post('jobs/o4720-10/plan', { version: 3, equipment: `${L2}/filler`, planned_start_ms: START + 0.5 }).status).toBe(422);
  expect([get('schedule?from_ms=0.5&to_ms=9').status, get(`schedule?from_ms=${START}&to_ms=${START + HOUR}&by=line`).status, get('jobs?at=x').status]).toEqual([400, 400, 400]);
  expect(begin({})).toBe(200);
});

test('a state that does not know a trigger says what it has, as a node does', () => {
  const { post } = mock();
  const ask = (job: string, deed: string, more: object = {}): string => said(post(`jobs/${job}/${deed}`, { version: 3, key: key(1), ...more }));
  expect(ask('o4711-10', 'resume')).toBe('409 a job order that is Running has no "resume"; it has stop, abort, hold, suspend');
  expect(ask('o4711-10', 'pause')).toBe('422 nobody has said where the cause is');
  expect(ask('o4711-10', 'fly')).toBe('404 this address is not known here');
  expect(ask('o4709-20', 'pause', { why: 'Held' })).toBe('409 a job order that is Interrupted (Held) has no "attribute to the machine"; it has resume, stop, abort, attribute to its neighbours');
  expect(post('jobs/o4709-20/pause', { version: 3, key: key(2), why: 'Suspended' }).body).toMatchObject({ substate: 'Suspended', may: ['abort', 'pause', 'resume', 'stop'] });
  expect(ask('o4711-10', 'attribute', { why: 'Held' })).toBe('404 this address is not known here');
  expect(ask('o4702-10', 'close')).toBe('409 a job order that is Ended (Closed) has no "close"; nothing leads out of that state');
});

test('a ledger says of each entry where the job was, and who; what has no revision has none', () => {
  const { get } = mock();
  const entries = get('jobs/o4709-20/ledger').body['entries'] as Record<string, unknown>[];
  expect(entries.map((entry) => [entry['kind'], entry['equipment'], entry['planned_start_ms']])).toEqual(['release', 'begin', 'count', 'pause'].map((kind) => [kind, 'works/nord/bottling/line1/labeller', null]));
  expect(Object.keys(entries[0] ?? {}).sort()).toEqual(['at_ms', 'by', 'by_name', 'equipment', 'good', 'instruction', 'kind', 'planned_start_ms', 'reason', 'rework', 'scrap', 'state', 'substate']);
  expect(get('orders/4722').body['revision']).toBeNull();
});

test('an instruction is confirmed for one job, by one person', () => {
  const { server, get, post } = mock();
  const seen = (job: string): unknown => readJobs(get('jobs').body).jobs.find((one) => one.id === job)?.instructions.map((one) => one.seen);
  const { name, revision, sha256 } = INSTRUCTIONS[1] ?? { name: '', revision: '', sha256: '' };
  expect(post('jobs/o4713-10/seen', { instruction: name, revision, sha256 }).status).toBe(204);
  expect(seen('o4713-10')).toEqual([false, true]);
  server.user = server.users.find((one) => one.name === 'operator') ?? null;
  expect(seen('o4713-10')).toEqual([false, false]);
  expect(post('jobs/o4713-10/seen', { instruction: name, revision: '', sha256 }).status).toBe(409);
});

test('a count is put right by another, as long as people’s counts do not fall below zero', () => {
  const { post } = mock();
  const count = (n: number, good: number): Told => post('jobs/o4711-10/counts', { key: key(n), good });
  expect(said(count(1, -1))).toBe('422 -1 good would leave less than none: 0 were counted so far');
  expect([count(2, 10).body['good'], count(3, -4).body['good']]).toEqual([5350, 5346]);
  expect(said(count(4, -7))).toBe('422 -7 good would leave less than none: 6 were counted so far');
});

test('who begins a job is told when nothing was made before it', () => {
  const { server, get, post } = mock();
  const begun = post('jobs/o4713-20/begin', { version: 3, key: key(1), equipment: `${L2}/labeller` });
  expect(begun.body['warnings']).toEqual(['job 4713/10, which comes before, is AllowedToStart (Ready) and has made nothing yet']);
  expect(readJobs(get('jobs').body).jobs.filter((job) => job.warnings.length)).toEqual([]);
  // To begin elsewhere than it stands in the plan needs the right at both.
  server.user = { id: 'u9', name: 'one', enabled: true, grants: [{ role: 'operator', branch: `${L2}/filler` }], last_login_ms: null };
  expect(said(post('jobs/o4720-10/begin', { version: 3, key: key(2), equipment: `${L2}/filler` }))).toBe('403 not allowed: Operate on "works/nord/bottling/line1/filler" needs the role Operator there');
});

test('of a number that is taken only that is said; the same order again is made once, but not released by it', () => {
  const { post } = mock();
  const again = { number: '4720', material: 'LEM-05', quantity: 8000, due_ms: Math.floor(START / 300_000) * 300_000 + 30 * HOUR };
  expect(post('orders', again).status).toBe(200);
  expect(said(post('orders', { ...again, release: true }))).toBe('409 the order 4720 is there, and is not released');
  const taken = post('orders', { ...again, quantity: 1 });
  expect([said(taken), (taken.body['current'] as { number: string }).number]).toEqual(['409 the number 4720 is taken', '4720']);
});

test('a ledger is told from its end, page by page', () => {
  const { get, post } = mock();
  for (let i = 1; i <= 5; i += 1) post('jobs/o4711-10/counts', { key: key(i), good: i });
  const page = (query: string): { good: number[]; next: number | null } => {
    const { entries, next } = readLedger(get(`jobs/o4711-10/ledger${query}`).body);
    return { good: entries.map((entry) => entry.good), next };
  };
  const newest = page('?limit=3');
  expect(newest.good).toEqual([3, 4, 5]);
  expect(page(`?limit=3&after=${newest.next}`).good).toEqual([0, 1, 2]);
  expect(page('').next).toBeNull();
  expect(said(get('jobs/o4711-10/ledger?limit=0'))).toBe('400 "limit" is 0, and must be from 1 to 10000');
});
