import { expect, test } from 'vitest';
import type { Job, Order } from '$lib/api/parseOrders';
import { after as mockAfter, type State, type Sub } from '../../mock/orders';
import { atStation, blockedBy, cleanScan, columnOf, compareOrders, isScan, jobProgress, keyed, lateBy, matchesOrder, newestFirst, movesOf, orderProgress, pace, placesOf, planLate, scanned, scannedHere, stateKey, unread } from './orders';

const H = 3_600_000;
const job = (more: Partial<Job> = {}): Job => ({
  id: 'j1', number: '4711/10', order: '4711', operation: '10', title: 'Fill', equipment: 'a/filler', alternatives: ['a/filler', 'b/filler'], quantity: 100, good: 0, scrap: 0, rework: 0,
  state: 'AllowedToStart', substate: 'Waiting', plannedStart: 0, plannedEnd: H, started: null, ended: null, runTime: H, setup: 0, after: [], skills: [], instructions: [], version: 1, may: [], warnings: [], ...more,
});
const order = (more: Partial<Order> = {}): Order => ({
  id: 'o1', number: '4711', material: 'LEM', revision: 'A', title: 'Lemonade', unit: 'pcs', quantity: 100, due: 5 * H, priority: 5, state: 'Released', good: 0, scrap: 0, rework: 0, jobs: [job()], created: 0, note: '', version: 1, ...more,
});

test('an order stands in the column that says what can be done with it', () => {
  const at = (state: Order['state'], ...jobs: Job[]): string => columnOf(order({ state, jobs }));
  expect(at('Forecast', job())).toBe('waiting');
  expect(at('Released', job())).toBe('ready');
  expect(at('Running', job({ state: 'Ended', substate: 'Completed' }), job({ state: 'AllowedToStart' }))).toBe('running');
  expect(at('Running', job({ state: 'Interrupted', substate: 'Held' }), job())).toBe('held');
  expect(at('Running', job({ state: 'Interrupted', substate: 'Held' }), job({ state: 'Running', substate: null }))).toBe('running');
  for (const state of ['Completed', 'Closed', 'Cancelled'] as const) expect(at(state, job())).toBe('done');
});

test('late is what is past its due time and not done; a plan is late when it ends after it', () => {
  expect(lateBy(order(), 4 * H)).toBeNull();
  expect(lateBy(order(), 6 * H)).toBe(H);
  expect(lateBy(order({ state: 'Completed' }), 6 * H)).toBeNull();
  expect(lateBy(order({ due: null }), 6 * H)).toBeNull();
  expect(planLate(order({ jobs: [job({ plannedEnd: 7 * H })] }))).toBe(2 * H);
  expect(planLate(order({ jobs: [job({ plannedEnd: 7 * H, state: 'Ended', substate: 'Completed' })] }))).toBeNull();
  expect(planLate(order({ jobs: [] }))).toBeNull();
});

test('progress is against the plan, and never outside 0 to 1', () => {
  expect(jobProgress(job({ good: 25 }), H / 2)).toEqual({ share: 0.25, planned: 0.5 });
  expect(jobProgress(job({ good: 250 }), 9 * H)).toEqual({ share: 1, planned: 1 });
  expect(jobProgress(job({ plannedStart: null }), H)).toEqual({ share: 0, planned: null });
  expect(jobProgress(job({ quantity: 0 }), -H)).toEqual({ share: 0, planned: 0 });
});

test('an order is as far as all its jobs are, by their run time; one that ended short is done', () => {
  const jobs = [job({ state: 'Ended', substate: 'Completed', good: 98 }), job({ id: 'j2', good: 50, runTime: 2 * H, plannedStart: H, plannedEnd: 3 * H }), job({ id: 'j3', plannedStart: 3 * H, plannedEnd: 4 * H })];
  expect(orderProgress(order({ jobs }), 2 * H)).toEqual({ share: 0.5, planned: 0.5 });
  expect(orderProgress(order({ jobs: [...jobs, job({ id: 'j4', plannedStart: null })] }), 2 * H).planned).toBeNull();
  expect(orderProgress(order({ jobs: [], good: 25 }), 0)).toEqual({ share: 0.25, planned: null });
});

test('what blocks an order: an interruption before all, then the jobs before, then the missing release', () => {
  const first = job({ state: 'Ended', substate: 'Completed' });
  const second = job({ id: 'j2', number: '4711/20', operation: '20', after: ['j1'], state: 'NotAllowedToStart' });
  expect(blockedBy(order({ jobs: [job(), second] }))).toEqual([]);
  expect(blockedBy(order({ state: 'Running', jobs: [job({ state: 'Interrupted', substate: 'Held' }), second] })).map((b) => [b.why, b.job.operation])).toEqual([['interrupted', '10']]);
  expect(blockedBy(order({ state: 'Running', jobs: [first, second] })).map((b) => b.why)).toEqual(['not_allowed']);
  const later = job({ id: 'j3', after: ['j9'], state: 'NotAllowedToStart' });
  expect(blockedBy(order({ jobs: [later, job({ id: 'j9' })] })).map((b) => [b.why, b.waitsFor.length])).toEqual([['after', 1]]);
  expect(blockedBy(order({ state: 'Completed', jobs: [second] }))).toEqual([]);
});

test('orders are found by every word, by branch also before a machine is chosen, and when only the plan is late', () => {
  const filter = { text: '', branch: '', column: '' as const, late: false };
  const matches = (o: Order, more: Partial<Parameters<typeof matchesOrder>[1]>): boolean => matchesOrder(o, { ...filter, ...more }, 0);
  expect(matches(order(), { text: 'lemon 471' })).toBe(true);
  expect(matches(order(), { text: 'lemon 99' })).toBe(false);
  expect(matches(order(), { branch: 'b' })).toBe(false);
  expect(matches(order({ jobs: [job({ equipment: null })] }), { branch: 'b' })).toBe(true);
  expect(matches(order({ jobs: [job({ equipment: 'ab/filler' })] }), { branch: 'a' })).toBe(false);
  expect(matches(order(), { late: true })).toBe(false);
  expect(matches(order({ jobs: [job({ plannedEnd: 9 * H })] }), { late: true })).toBe(true);
});

test('orders stand by due time, then priority, then number as people count; what is done comes last, newest first', () => {
  const list = [
    order({ number: '10' }), order({ number: '9' }), order({ number: '8', priority: 9 }), order({ number: 'none', due: null }), order({ number: 'soon', due: 1 }),
    order({ number: 'old', state: 'Closed', jobs: [job({ ended: 1 })] }), order({ number: 'new', state: 'Completed', jobs: [job({ ended: 2 })] }),
  ];
  expect(list.toSorted(compareOrders).map((o) => o.number)).toEqual(['soon', '8', '9', '10', 'none', 'new', 'old']);
});

test('a scan is a job before an order, whatever the scanner adds', () => {
  const all = [order({ jobs: [job(), job({ id: 'j2', number: '4711/20' })] }), order({ id: 'o2', number: 'WO-12', jobs: [] })];
  expect(scanned('4711/20\r', all)).toMatchObject({ kind: 'job', job: { id: 'j2' } });
  expect(scanned(' 4711 ', all)).toMatchObject({ kind: 'order', order: { number: '4711' } });
  expect(scanned('wo-12', all)).toMatchObject({ kind: 'order', order: { number: 'WO-12' } });
  expect(scanned('471', all)).toEqual({ kind: 'none', text: '471' });
  expect(cleanScan('\u00024711\u0003\n')).toBe('4711');
});

test('keys that come as fast as a scanner types are a scan, those of a person are not', () => {
  expect(isScan([0, 8, 16, 24, 32])).toBe(true);
  expect(isScan([0, 180, 340, 520])).toBe(false);
  expect(isScan([0, 10, 20])).toBe(false);
  // A person, then a scanner.
  expect(isScan([0, 200, 900, 908, 917, 925])).toBe(true);
  expect(isScan([0, 8, 16, 24, 600])).toBe(false);
  expect(isScan([])).toBe(false);
});

test('the keypad types, clears and takes back, and has an end', () => {
  const type = (keys: string): string => [...keys].reduce((before, key) => keyed(before, key), '');
  expect(type('12<3')).toBe('13');
  expect(type('007')).toBe('7');
  expect(type('12C')).toBe('');
  expect(type('1234567890123')).toBe('123456789');
  expect(type('1x-2')).toBe('12');
});

test('the pace is told from the second minute on, and the end follows from it', () => {
  const running = job({ state: 'Running', substate: null, started: 0, good: 40, scrap: 10 });
  expect(pace(running, 30_000)).toMatchObject({ actual: null, end: null, wanted: 100 });
  expect(pace(running, H)).toEqual({ actual: 50, wanted: 100, end: H + (60 / 50) * H });
  expect(pace(job({ ...running, state: 'Interrupted', substate: 'Held' }), H).end).toBeNull();
  expect(pace(job({ runTime: 0 }), H)).toEqual({ actual: null, wanted: null, end: null });
});

test('a part of a kilogram is typed with the mark of the language, to the millionth', () => {
  const type = (keys: string): string => [...keys].reduce((before, key) => keyed(before, key, ','), '');
  expect([type('12,5'), type(',25'), type('1,,5,'), type('0,1234567'), type('12,<<3'), type('1,5C')]).toEqual(['12,5', '0,25', '1,5', '0,123456', '13', '']);
  expect(type('1234567890,5')).toBe('123456789,5');
  // Pieces have none.
  expect([...'1,5'].reduce((before, key) => keyed(before, key), '')).toBe('15');
});

test('a number is told from another by its case, and found without it where there is only one', () => {
  const [low, high] = [order({ id: 'a', number: 'wo-1', jobs: [job({ id: 'l', order: 'wo-1', number: 'wo-1/10' })] }), order({ id: 'b', number: 'WO-1', jobs: [job({ id: 'h', order: 'WO-1', number: 'WO-1/10' })] })];
  expect([scanned('WO-1', [low, high]), scanned('wo-1', [high, low])]).toMatchObject([{ order: { id: 'b' } }, { order: { id: 'a' } }]);
  expect(scanned('WO-1/10', [low, high])).toMatchObject({ kind: 'job', job: { id: 'h' } });
  expect(scanned('Wo-1', [high])).toMatchObject({ order: { id: 'b' } });
  const jobs = [...low.jobs, ...high.jobs];
  expect([scannedHere('WO-1/10', jobs)?.id, scannedHere('WO-1', jobs)?.id, scannedHere('wO-1', jobs)?.id, scannedHere('WO-2', jobs)]).toEqual(['h', 'h', 'l', null]);
});

test('an order can be moved by what its jobs know, and by nothing else', () => {
  const before = ['abort', 'prepare'];
  const [waits, may, runs, done] = [job({ may: before }), job({ may: [...before, 'begin'] }), job({ may: ['abort', 'pause', 'stop'] }), job({ may: ['close'] })];
  const over = job({ may: [] });
  const of = (...jobs: Job[]): string => movesOf(order({ jobs })).join();
  expect([of(waits), of(may), of(waits, may), of(may, runs), of(runs), of(done), of(done, over), of(done, may), of(over), of()]).toEqual(['cancel,release', 'cancel,revoke', 'cancel,revoke,release', 'revoke', '', 'close', 'close', 'cancel,revoke', '', '']);
});

test('a job has its places: where it can be done, and where it is', () => {
  expect([placesOf(job()), placesOf(job({ equipment: null })), placesOf(job({ equipment: 'c' }))]).toEqual([['a/filler', 'b/filler'], ['a/filler', 'b/filler'], ['a/filler', 'b/filler', 'c']]);
});

test('at a station the running job is before a held one, and what is over is not next', () => {
  const [run, held, next, ended] = [job({ id: 'r', state: 'Running', substate: null }), job({ id: 'h', state: 'Interrupted', substate: 'Held' }), job({ id: 'n' }), job({ id: 'e', state: 'Ended', substate: 'Completed', ended: 5 })];
  expect(atStation([held, next, run, ended])).toMatchObject({ current: { id: 'r' }, next: [{ id: 'h' }, { id: 'n' }] });
  expect(atStation([next, ended]).current).toBeNull();
  expect(atStation([])).toEqual({ current: null, next: [] });
});

test('only what is not confirmed has to be read; a ledger is newest first, and keeps the order within a millisecond', () => {
  const one = (name: string, seen: boolean): Job['instructions'][number] => ({ name, revision: '1', sha256: name, seen });
  expect(unread(job({ instructions: [one('a', true), one('b', false)] })).map((i) => i.name)).toEqual(['b']);
  const entry = (at: number, reason: string): Parameters<typeof newestFirst>[0][number] => ({ at, kind: 'count', to: null, reason, good: 0, scrap: 0, rework: 0, instruction: null, equipment: null, plannedStart: null, by: null });
  expect(newestFirst([entry(1, 'a'), entry(2, 'b'), entry(2, 'c')]).map((e) => e.reason)).toEqual(['c', 'b', 'a']);
  expect([stateKey('Interrupted', 'Held'), stateKey('Running', null)]).toEqual(['job_state.Interrupted_Held', 'job_state.Running']);
});

// The mock has to obey the same table as crates/mes/src/job.rs: written down here a second time, so that the mock can be wrong.
const TABLE = `
NotAllowedToStart Waiting: start AllowedToStart Waiting; abort Aborted; prepare:Ready NotAllowedToStart Ready
NotAllowedToStart Ready: start AllowedToStart Ready; abort Aborted; prepare:Waiting NotAllowedToStart Waiting; prepare:Loaded NotAllowedToStart Loaded
NotAllowedToStart Loaded: start AllowedToStart Loaded; abort Aborted; prepare:Waiting NotAllowedToStart Waiting; prepare:Ready NotAllowedToStart Ready
AllowedToStart Waiting: revoke NotAllowedToStart Waiting; begin Running; abort Aborted; prepare:Ready AllowedToStart Ready
AllowedToStart Ready: revoke NotAllowedToStart Ready; begin Running; abort Aborted; prepare:Waiting AllowedToStart Waiting; prepare:Loaded AllowedToStart Loaded
AllowedToStart Loaded: revoke NotAllowedToStart Loaded; begin Running; abort Aborted; prepare:Waiting AllowedToStart Waiting; prepare:Ready AllowedToStart Ready
Running: pause:Held Interrupted Held; pause:Suspended Interrupted Suspended; stop Ended Completed; abort Aborted
Interrupted Held: attribute:Suspended Interrupted Suspended; resume Running; stop Ended Completed; abort Aborted
Interrupted Suspended: attribute:Held Interrupted Held; resume Running; stop Ended Completed; abort Aborted
Ended Completed: close Ended Closed
Ended Closed:
Aborted:`;
test('the mock changes jobs by the table and in no other way', () => {
  const triggers = ['start', 'revoke', 'prepare:Waiting', 'prepare:Ready', 'prepare:Loaded', 'begin', 'pause:Held', 'pause:Suspended', 'attribute:Held', 'attribute:Suspended', 'resume', 'stop', 'abort', 'close'];
  for (const line of TABLE.trim().split('\n')) {
    const [from = '', rest = ''] = line.split(/:(?= |$)/);
    const [state, sub = null] = from.split(' ');
    const known = new Map(rest.split(';').map((part) => part.trim()).filter(Boolean).map((part): [string, string] => [part.split(' ')[0] ?? '', part.split(' ').slice(1).join(' ')]));
    for (const trigger of triggers) {
      const [name = '', to = null] = trigger.split(':');
      const next = mockAfter(state as State, sub as Sub, name, to);
      expect([from, trigger, next === null ? undefined : next.filter((word) => word !== null).join(' ')]).toEqual([from, trigger, known.get(trigger)]);
    }
  }
});
