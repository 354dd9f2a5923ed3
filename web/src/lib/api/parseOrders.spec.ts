import { expect, test } from 'vitest';
import { instructionText, job, jobs, ledger, order, proposal, schedule } from './parseOrders';

const raw = { id: 'j', number: '1/10', order: '1', quantity: 5, state: 'AllowedToStart', substate: 'Ready', version: 2, may: ['begin', 7] };

test('a job without a place has none, and knows what its state knows', () => {
  expect(job(raw)).toMatchObject({ equipment: null, substate: 'Ready', may: ['begin'], plannedStart: null, instructions: [] });
  expect(job({ ...raw, state: 'Running', substate: null }).substate).toBeNull();
  expect(() => job({ ...raw, substate: 'Lost' })).toThrow('job.substate');
});

test('a plan tells what cannot be met', () => {
  const plan = proposal({ rule: 'r', lateness_weighted_h: 0, changes: [], late: [{ order: '1', by_ms: 5 }], unmet: ['job 1/10 lies over 2/10; move one of them'] });
  expect(plan).toMatchObject({ gap: null, late: [{ order: '1', by: 5, cause: '' }], unmet: ['job 1/10 lies over 2/10; move one of them'] });
  expect(proposal({}).unmet).toEqual([]);
});

test('what the server has no word for is refused: an order comes into being without an entry in a ledger', () => {
  expect(() => ledger({ entries: [{ at_ms: 1, kind: 'create' }] })).toThrow('ledger[].kind');
  expect(ledger({ entries: [{ at_ms: 1, kind: 'count', scrap: 2 }], next: 7 })).toMatchObject({ entries: [{ to: null, scrap: 2 }], next: 7 });
});

test('a plan over a window: lanes with their closed times and set-ups', () => {
  expect(schedule({ jobs: [raw], equipment: [{ path: 'a/b', closed: [{ from_ms: 1, to_ms: 2, name: 'break' }], setups: [{ from_ms: 3, to_ms: 4, job: 'j' }] }] }).lanes).toEqual([{ path: 'a/b', title: 'a/b', closed: [{ from: 1, to: 2, name: 'break' }], setups: [{ from: 3, to: 4, job: 'j' }] }]);
  expect(() => schedule({ jobs: [], equipment: [{ path: 'a', closed: [{ from_ms: 1 }] }] })).toThrow('closed[].to_ms');
});

test('an instruction without steps is one step, and an order without a title is called by its material', () => {
  expect(instructionText({ name: 'rinse', sha256: 'x', text: 'Rinse.' }).steps).toEqual([{ title: 'rinse', text: 'Rinse.' }]);
  expect(order({ id: 'o', number: '1', material: 'M', quantity: 1, state: 'Forecast', version: 1 })).toMatchObject({ title: 'M', due: null, jobs: [] });
});

test('a list that was cut short says so, and a job that has begun what should be known of it', () => {
  expect([jobs({ jobs: [raw] }).truncated, jobs({ jobs: [raw], truncated: true }).truncated, schedule({ jobs: [], equipment: [], truncated: true }).truncated]).toEqual([false, true, true]);
  expect([job(raw).warnings, job({ ...raw, warnings: ['nothing was made before'] }).warnings]).toEqual([[], ['nothing was made before']]);
});
