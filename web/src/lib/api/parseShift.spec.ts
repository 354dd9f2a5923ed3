import { expect, test } from 'vitest';
import { entries, handover, labour, present, proposal, span } from './parseShift';
import { entryBody } from './shift';

const entry = { number: 41, path: 'w/l', kind: 'quality', text: 'Caps sit loose.', at_ms: 5, by: 'u', by_name: null, shift: null, pinned: true, open: true, corrects: null, corrected_by: null, links: { order: '4711' }, handover: false };
const hours = { attendance_ms: 0, working_ms: 0, worker_efficiency: null };

test('links that are missing are none, and so is who is known no more', () => {
  const { entries: [one], next } = entries({ entries: [entry], next: null });
  expect(one).toMatchObject({ byName: null, shift: null, links: { order: '4711', machine: '', alarm: '' }, corrects: null });
  expect(next).toBe(null);
});

test('a kind that nobody agreed on is refused', () => {
  expect(() => entries({ entries: [{ ...entry, kind: 'gossip' }], next: null })).toThrow('entry.kind');
  expect(() => proposal({ path: 'w', now_ms: 1, shift: null, from_ms: 1, items: [{ kind: 'cow', path: 'w', title: '', since_ms: 1 }], truncated: false })).toThrow('item.kind');
});

test('a hand-over that waits has nobody who took it over', () => {
  const raw = { number: 7, path: 'w', shift: null, summary: 's', at_ms: 1, by: 'u', by_name: 'mara', items: [], truncated: false, kept: [3], state: 'waiting', confirmed_at_ms: null, confirmed_by: null, confirmed_by_name: null, note: '' };
  expect(handover(raw)).toMatchObject({ confirmed: null, kept: [3] });
  expect(handover({ ...raw, state: 'confirmed', confirmed_at_ms: 9, confirmed_by: 'v', confirmed_by_name: null, note: 'seen' }).confirmed).toEqual({ at: 9, by: 'v', byName: null, note: 'seen' });
});

test('nobody attended is no 0 %', () => {
  const raw = { path: 'w', from_ms: 0, to_ms: 1, now_ms: 1, people: 0, ...hours, places: [], persons: [], truncated: false };
  expect(labour(raw).efficiency).toBe(null);
  expect(labour({ ...raw, attendance_ms: 10, worker_efficiency: 0 }).efficiency).toBe(0);
});

test('a sign-on keeps what stood there before', () => {
  const raw = { number: 1, person: 'p', name: 'A', path: 'w', from_ms: 1, to_ms: null, ended: null, ends_by_ms: 9, corrections: [{ at_ms: 5, by: 'b', by_name: 'B', was_from_ms: 2, was_to_ms: null, reason: 'forgot' }] };
  expect(span(raw).changes).toEqual([{ at: 5, byName: 'B', wasFrom: 2, wasTo: null, reason: 'forgot' }]);
  expect(() => span({ ...raw, ended: 'tired' })).toThrow('span.ended');
  expect(present({ now_ms: 1, places: [{ path: 'w', people: 3, persons: [] }], me: null })).toMatchObject({ places: [{ people: 3, persons: [] }], me: null });
});

test('a wish says only what it says: the server knows it again by that', () => {
  const none = { order: '', job: '', alarm: '', maintenance: '', machine: '' };
  expect(entryBody({ path: 'w', kind: 'note', text: ' a ', pinned: false, corrects: null, links: none })).toEqual({ path: 'w', kind: 'note', text: 'a', pinned: false });
  expect(entryBody({ path: 'w', kind: 'note', text: 'a', pinned: true, corrects: 4, links: { ...none, order: ' 4711 ' } })).toEqual({ path: 'w', kind: 'note', text: 'a', pinned: true, corrects: 4, links: { order: '4711' } });
});
