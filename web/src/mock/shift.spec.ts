// The mock has to answer as the server does: the words are those of crates/api/src/routes/logbook.rs, labour.rs and crates/server/src/shift.
import { expect, test } from 'vitest';
import { entries, entry, handover, handovers, labour, present, proposal, span, spans } from '$lib/api/parseShift';
import { MockServer } from './server';

const START = Date.UTC(2026, 10, 27, 9, 0, 0);
const LINE1 = 'works/nord/bottling/line1';
type Told = { status: number; body: Record<string, unknown> };

function mock(user = 'admin'): { server: MockServer; as: (name: string) => void; get: (path: string) => Told; post: (path: string, body: object) => Told } {
  const server = new MockServer(() => START, START);
  const as = (name: string): void => void (server.user = server.users.find((one) => one.name === name) ?? null);
  as(user);
  const ask = (method: string, path: string, body: object = {}): Told => {
    const url = new URL(`/api/mes/${path}`, 'http://node');
    const { status, body: answer } = server.handle(method, url.pathname, url.searchParams, body as Record<string, unknown>);
    return { status, body: (answer ?? {}) as Record<string, unknown> };
  };
  return { server, as, get: (path) => ask('GET', path), post: (path, body) => ask('POST', path, body) };
}
const key = (n: number): string => `0192f0c0-2000-7000-8000-${String(n).padStart(12, '0')}`;
const said = ({ status, body }: Told): string => `${status} ${String(body['detail'])}`;

test('the newest first, page by page, on or below a place, by kind, open or not, by what stands in the text', () => {
  const { get } = mock();
  const first = entries(get('logbook?limit=5').body);
  const second = entries(get(`logbook?limit=5&after=${String(first.next)}`).body);
  expect(first.entries.map((one) => one.number)).toEqual([...first.entries.map((one) => one.number)].sort((a, b) => b - a));
  expect(Math.max(...second.entries.map((one) => one.number))).toBeLessThan(first.next ?? 0);
  const open = entries(get(`logbook?path=${LINE1}&open=true&limit=500`).body).entries;
  expect(open.length).toBeGreaterThan(1);
  expect(open.every((one) => one.open && one.path.startsWith(LINE1))).toBe(true);
  expect(entries(get('logbook?kind=safety').body).entries.every((one) => one.kind === 'safety')).toBe(true);
  expect(entries(get('logbook?text=lot%20c-78').body).entries).toHaveLength(1);
});

test('the same key does it once; with other content it is refused', () => {
  const { get, post } = mock();
  const wish = { key: key(1), path: LINE1, kind: 'note', text: 'once' };
  const made = post('logbook', wish);
  expect([made.status, post('logbook', wish).status]).toEqual([201, 200]);
  expect(entries(get('logbook?text=once').body).entries).toHaveLength(1);
  expect(said(post('logbook', { ...wish, text: 'twice' }))).toBe('409 this key was used for another request');
});

test('an entry is corrected once, by who wrote it or an engineer; both stay', () => {
  const { as, get, post } = mock('operator');
  const wrong = entry(post('logbook', { key: key(1), path: LINE1, kind: 'note', text: 'wrong', pinned: true }).body);
  as('line1');
  const right = entry(post('logbook', { key: key(2), path: LINE1, kind: 'note', text: 'right', corrects: wrong.number }).body);
  expect(entry(get(`logbook/${wrong.number}`).body)).toMatchObject({ open: false, correctedBy: right.number, text: 'wrong' });
  expect(said(post('logbook', { key: key(3), path: LINE1, kind: 'note', text: 'again', corrects: wrong.number }))).toBe(`409 it has been corrected by entry ${right.number}`);
  as('operator');
  expect(post('logbook', { key: key(4), path: LINE1, kind: 'note', text: 'not mine', corrects: right.number }).status).toBe(403);
});

test('a hand-over holds what is open, is confirmed by somebody else, once, and settles what was not kept', () => {
  const { as, get, post } = mock('operator');
  const open = proposal(get(`handover?path=${LINE1}`).body).items.filter((item) => item.kind === 'entry').map((item) => item.entry ?? 0);
  const [kept, settled] = open;
  const made = handover(post('handovers', { key: key(1), path: LINE1, summary: 'all well', keep: [kept] }).body);
  expect(made).toMatchObject({ kept: [kept], confirmed: null });
  expect(said(post(`handovers/${made.number}/confirm`, { key: key(2) }))).toBe('422 who has handed over does not confirm it');
  as('admin');
  expect(handover(post(`handovers/${made.number}/confirm`, { key: key(3), note: 'seen' }).body).confirmed?.note).toBe('seen');
  expect(said(post(`handovers/${made.number}/confirm`, { key: key(4) }))).toBe('409 admin has confirmed it already');
  expect([entry(get(`logbook/${kept}`).body).open, entry(get(`logbook/${settled}`).body).open]).toEqual([true, false]);
  expect(handovers(get(`handovers?state=waiting&path=${LINE1}`).body).handovers.map((one) => one.number)).not.toContain(made.number);
});

test('a viewer reads, and does nothing', () => {
  const { get, post } = mock('viewer');
  expect(get('logbook').status).toBe(200);
  expect([get(`handover?path=${LINE1}`).status, post('logbook', { key: key(1), path: LINE1, kind: 'note', text: 'x' }).status, post('labour/sign-on', { key: key(2), path: LINE1 }).status]).toEqual([403, 403, 403]);
});

test('persons are seen by themselves, by supervisors and by administrators; sums by everybody', () => {
  const { as, get } = mock('viewer');
  const day = `path=${LINE1}&from_ms=${START - 86_400_000}&to_ms=${START}`;
  expect(labour(get(`labour?${day}`).body)).toMatchObject({ persons: [] });
  expect(labour(get(`labour?${day}`).body).people).toBeGreaterThan(0);
  as('operator');
  expect(labour(get(`labour?${day}`).body).persons.map((one) => one.name)).toEqual(['operator']);
  as('line1');
  expect(present(get(`labour/now?path=${LINE1}`).body).places.flatMap((place) => place.persons).map((one) => one.name).sort()).toEqual(['k.brandt', 'operator']);
});

test('nobody attended has no efficiency, and a window is no longer than 92 days', () => {
  const { get } = mock();
  const before = START - 400 * 86_400_000;
  expect(labour(get(`labour?path=${LINE1}&from_ms=${before}&to_ms=${before + 1000}`).body)).toMatchObject({ people: 0, efficiency: null });
  expect(said(get(`labour?path=${LINE1}&from_ms=${before}&to_ms=${START}`))).toBe('400 the window is longer than 92 days');
});

test('a sign-on elsewhere ends the one before; a correction keeps what stood there', () => {
  const { as, get, post } = mock('operator');
  const now = span(post('labour/sign-on', { key: key(1), path: `${LINE1}/filler` }).body);
  const all = spans(get(`labour/spans?path=${LINE1}&from_ms=${START - 86_400_000}&to_ms=${START + 1}`).body).spans;
  expect(all.filter((one) => one.to === null).map((one) => one.number)).toEqual([now.number]);
  expect(post(`labour/spans/${now.number}/correct`, { key: key(2), from_ms: START - 1, to_ms: null, reason: 'x' }).status).toBe(403);
  as('line1');
  const theirs = 1;
  const answer = span(post(`labour/spans/${theirs}/correct`, { key: key(3), from_ms: START - 7_200_000, to_ms: START - 3_600_000, reason: 'left early' }).body);
  expect(answer.changes).toMatchObject([{ byName: 'line1', reason: 'left early' }]);
  expect(post(`labour/spans/${theirs}/correct`, { key: key(4), from_ms: START - 7_200_000, to_ms: START + 3_600_000, reason: 'x' }).status).toBe(422);
});
