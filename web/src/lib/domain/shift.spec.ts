import { expect, test } from 'vitest';
import type { Entry, Item, Span } from '$lib/api/parseShift';
import { appended, correctBar, firstPlace, isOwn, itemKey, jobStateKey, keptOf, lasted, renewed, standing, tooLongBy } from './shift';

const entry = (number: number, more: Partial<Entry> = {}): Entry => ({ number, path: 'w/l', kind: 'note', text: `n${number}`, at: number, by: 'a', byName: 'A', shift: null, pinned: false, open: false, corrects: null, correctedBy: null, links: { order: '', job: '', alarm: '', maintenance: '', machine: '' }, ...more });
const numbers = (list: readonly Entry[]): number[] => list.map((one) => one.number);
const span = (more: Partial<Span> = {}): Span => ({ number: 1, person: 'a', name: 'A', path: 'w/l', from: 1000, to: null, ended: null, endsBy: 9000, changes: [], ...more });

test('what is new waits; what is shown keeps its place and tells its newest state', () => {
  const shown = [entry(5), entry(4, { open: true }), entry(3)];
  const { rows, waiting, joined } = renewed(shown, { entries: [entry(7), entry(6), entry(5, { correctedBy: 7 }), entry(4, { open: true })], next: 4 }, false);
  expect(numbers(rows)).toEqual([5, 4, 3]);
  expect(rows[0]?.correctedBy).toBe(7);
  expect(numbers(waiting)).toEqual([7, 6]);
  expect(joined).toBe(true);
});

test('a page that does not reach down to what is shown leaves a gap', () => {
  expect(renewed([entry(5)], { entries: [entry(9), entry(8)], next: 8 }, false).joined).toBe(false);
  expect(renewed([entry(5)], { entries: [entry(9), entry(5)], next: 5 }, false).joined).toBe(true);
});

test('of what is open only: what the page does not name any more is open no more, as far as it reaches', () => {
  const shown = [entry(5, { open: true }), entry(4, { open: true }), entry(2, { open: true })];
  expect(renewed(shown, { entries: [entry(5, { open: true }), entry(3, { open: true })], next: 3 }, true).rows.map((one) => one.open)).toEqual([true, false, true]);
  expect(renewed(shown, { entries: [entry(5, { open: true })], next: null }, true).rows.map((one) => one.open)).toEqual([true, false, false]);
  // Without that question, being left out of a page says nothing.
  expect(renewed(shown, { entries: [entry(5)], next: null }, false).rows.map((one) => one.open)).toEqual([false, true, true]);
});

test('a page of older ones is put after, and nothing stands twice', () => {
  expect(numbers(appended([entry(5), entry(4)], [entry(4), entry(3)]))).toEqual([5, 4, 3]);
});

test('who may correct an entry, and which', () => {
  expect(correctBar(entry(1), 'a', false)).toBe(null);
  expect(correctBar(entry(1), 'b', false)).toBe('right');
  expect(correctBar(entry(1), 'b', true)).toBe(null);
  expect(correctBar(entry(1, { correctedBy: 2 }), 'a', true)).toBe('corrected');
  expect(correctBar(entry(1, { kind: 'handover' }), 'a', true)).toBe('handover');
});

test('who wrote a hand-over does not confirm it, but where nobody logs in anybody does', () => {
  const handover = { number: 1, path: 'w', shift: null, summary: '', at: 1, by: 'a', byName: null, items: [], truncated: false, kept: [], confirmed: null };
  expect(isOwn(handover, { id: 'a', kind: 'person' })).toBe(true);
  expect(isOwn(handover, { id: 'b', kind: 'person' })).toBe(false);
  expect(isOwn(handover, { id: 'a', kind: 'anonymous' })).toBe(false);
});

test('a state in the server’s words becomes a key of ours', () => {
  expect(jobStateKey('Running')).toBe('job_state.Running');
  expect(jobStateKey('Interrupted (Held)')).toBe('job_state.Interrupted_Held');
  expect(jobStateKey('what is this?')).toBe('');
});

test('only entries that are open still are kept open', () => {
  const item = (kind: Item['kind'], number: number | null): Item => ({ kind, path: 'w', title: '', since: 1, state: null, job: null, order: null, alarm: null, entry: number });
  expect(keptOf([item('entry', 4), item('entry', 6), item('handover', 9)], [6, 8, 9])).toEqual([6]);
  expect(itemKey(item('entry', 4))).not.toBe(itemKey(item('handover', 4)));
});

test('texts are measured in bytes, without blanks around them', () => {
  expect(tooLongBy('abc', 3)).toBe(0);
  expect(tooLongBy('  abc \n', 3)).toBe(0);
  expect(tooLongBy('äbc', 3)).toBe(1);
});

test('without a place in the address: the highest where one may act, else the highest', () => {
  expect(firstPlace(['w', 'w/l', 'w/l/m'], (path) => path.startsWith('w/l'))).toBe('w/l');
  expect(firstPlace(['w', 'w/l'], () => false)).toBe('w');
  expect(firstPlace([], () => true)).toBe('');
});

test('a sign-on that nobody ended lasts up to its rule, and not beyond', () => {
  expect(lasted(span(), 5000)).toBe(4000);
  expect(lasted(span(), 20_000)).toBe(8000);
  expect(lasted(span({ to: 2500 }), 20_000)).toBe(1500);
});

test('where one is signed on, seen from a place', () => {
  expect(standing(null, 'w/l', 5000)).toBe('off');
  expect(standing(span(), 'w/l', 5000)).toBe('here');
  expect(standing(span(), 'w', 5000)).toBe('below');
  expect(standing(span(), 'w/l/m', 5000)).toBe('elsewhere');
  expect(standing(span(), 'w/l', 9000)).toBe('off');
});
