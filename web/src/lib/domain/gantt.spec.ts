import { expect, test } from 'vitest';
import type { Job, Lane } from '$lib/api/parseOrders';
import { asked, drawn, isMovable, linksOf, LONGEST, nextMachine, pan, plannedLength, rowsOf, rowWindow, SHORTEST, snags, snap, spanOf, STEP, toTime, toX, visible, zoom, type Bar } from './gantt';
import { placesOf } from './orders';
import { DAY, HOUR, MINUTE } from './time';

const job = (more: Partial<Job> = {}): Job => ({
  id: 'j1', number: '1/10', order: '1', operation: '10', title: 'Fill', equipment: 'a', alternatives: ['a', 'c'], quantity: 100, good: 0, scrap: 0, rework: 0,
  state: 'AllowedToStart', substate: 'Waiting', plannedStart: 2 * HOUR, plannedEnd: 3 * HOUR, started: null, ended: null, runTime: HOUR, setup: 0, after: [], skills: [], instructions: [], version: 1, may: [], warnings: [], ...more,
});
const lane = (path: string, more: Partial<Lane> = {}): Lane => ({ path, title: path, closed: [], setups: [], ...more });
const barOf = (one: Job, now: number): Bar => rowsOf([lane('a')], [one], now)[0]?.bars[0] as Bar;
const view = { from: 0, to: 10 * HOUR };

test('times and pixels go there and back', () => {
  expect(toX(5 * HOUR, view, 1000)).toBe(500);
  expect(toTime(toX(1234567, view, 777), view, 777)).toBeCloseTo(1234567);
  expect(toTime(100, view, 0)).not.toBeNaN();
});

test('zoom keeps the time under the finger, and has ends', () => {
  const near = zoom(view, 0.5, 2 * HOUR);
  expect(toX(2 * HOUR, near, 1000)).toBeCloseTo(toX(2 * HOUR, view, 1000));
  expect(near.to - near.from).toBe(5 * HOUR);
  expect(zoom(view, 0.0001, HOUR).to - zoom(view, 0.0001, HOUR).from).toBe(SHORTEST);
  const far = zoom(view, 1e9, HOUR);
  expect(far.to - far.from).toBeCloseTo(LONGEST);
  expect(pan(view, HOUR)).toEqual({ from: HOUR, to: 11 * HOUR });
});

test('what is drawn covers the view wherever it is panned to, and changes only once a span', () => {
  let at = { from: 1_764_000_000_123, to: 1_764_000_000_123 + 7 * HOUR };
  const seen = new Set<number>();
  for (let i = 0; i < 200; i += 1) {
    at = pan(at, 123_456.789);
    const picture = drawn(at);
    expect(at.to - at.from).toBe(7 * HOUR);
    expect(picture.from <= at.from && picture.to >= at.to).toBe(true);
    seen.add(picture.from);
  }
  expect(seen.size).toBeLessThanOrEqual(2);
});

test('a drag ends at whole five minutes of the viewer\u2019s clock', () => {
  const at = new Date(2026, 10, 27, 6, 3, 17).getTime();
  expect(snap(at)).toBe(new Date(2026, 10, 27, 6, 5).getTime());
  expect(snap(snap(at) + STEP)).toBe(snap(at) + STEP);
});

test('a bar has its plan and what was; what runs grows to now, and nothing has a negative length', () => {
  expect(barOf(job(), 9 * HOUR)).toMatchObject({ planned: { from: 2 * HOUR, to: 3 * HOUR }, actual: null });
  expect(barOf(job({ started: HOUR }), 4 * HOUR).actual).toEqual({ from: HOUR, to: 4 * HOUR });
  expect(barOf(job({ started: HOUR, ended: 2 * HOUR }), 4 * HOUR).actual).toEqual({ from: HOUR, to: 2 * HOUR });
  expect(barOf(job({ started: 5 * HOUR }), 4 * HOUR).actual).toEqual({ from: 5 * HOUR, to: 5 * HOUR });
  expect(plannedLength(job({ plannedEnd: null, setup: 10 * MINUTE }))).toBe(HOUR + 10 * MINUTE);
  expect(plannedLength(job({ plannedEnd: HOUR, runTime: 0 }))).toBe(MINUTE);
});

test('each machine has a row, empty or not; a job at an unknown machine gets one at the end, a job without a place none', () => {
  const rows = rowsOf([lane('a'), lane('b')], [job({ id: 'late', plannedStart: 5 * HOUR, plannedEnd: 6 * HOUR }), job(), job({ id: 'x', equipment: 'z' }), job({ id: 'n', equipment: null }), job({ id: 'u', plannedStart: null })], 0);
  expect(rows.map((row) => [row.lane.path, row.bars.map((bar) => bar.job.id).join()])).toEqual([['a', 'j1,late'], ['b', ''], ['z', 'x']]);
});

test('a bar has the set-up that the plan gives it, which may depend on what was made before', () => {
  const [row] = rowsOf([lane('a', { setups: [{ from: 1.5 * HOUR, to: 2 * HOUR, job: 'j1' }] })], [job(), job({ id: 'j2' })], 0);
  expect(row?.bars.map((bar) => bar.setup)).toEqual([{ from: 1.5 * HOUR, to: 2 * HOUR }, null]);
});

test('only rows and bars in sight are drawn', () => {
  expect(rowWindow(0, 400, 40, 50)).toEqual([0, 12]);
  expect(rowWindow(800, 400, 40, 50)).toEqual([18, 32]);
  expect(rowWindow(1900, 400, 40, 50)).toEqual([45, 50]);
  const bars = [0, 1, 2, 3].map((i) => barOf(job({ id: String(i), plannedStart: i * 4 * HOUR, plannedEnd: (i * 4 + 1) * HOUR }), 0));
  expect(visible(bars, { from: 3 * HOUR, to: 8 * HOUR }).map((bar) => bar.job.id)).toEqual(['1', '2']);
  // Planned long ago, and still running.
  expect(visible([barOf(job({ started: 2 * HOUR }), 9 * HOUR)], { from: 8 * HOUR, to: 9 * HOUR })).toHaveLength(1);
});

test('two thousand bars of fifty machines are laid out within a few frames', () => {
  const lanes = Array.from({ length: 50 }, (_, i) => lane(`m${i}`));
  const jobs = Array.from({ length: 2000 }, (_, i) => job({ id: `j${i}`, equipment: `m${i % 50}`, plannedStart: i * MINUTE, plannedEnd: (i + 30) * MINUTE }));
  const before = performance.now();
  const rows = rowsOf(lanes, jobs, 0);
  const shown = rows.slice(...rowWindow(0, 700, 44, 50)).flatMap((row) => visible(row.bars, view));
  expect(performance.now() - before).toBeLessThan(100);
  expect(shown.length).toBeLessThan(400);
});

test('up and down go only to machines on which the job can be made', () => {
  const rows = [lane('a'), lane('b'), lane('c'), lane('d')].map((l) => ({ lane: l }));
  expect(nextMachine(job(), 'a', rows, 1)).toBe('c');
  expect(nextMachine(job(), 'c', rows, 1)).toBe('c');
  expect(nextMachine(job(), 'c', rows, -1)).toBe('a');
  expect(placesOf(job({ equipment: 'z' }))).toEqual(['a', 'c', 'z']);
});

test('what has begun stays where it is', () => {
  expect(isMovable(job())).toBe(true);
  expect(isMovable(job({ state: 'NotAllowedToStart' }))).toBe(true);
  for (const state of ['Running', 'Interrupted', 'Ended', 'Aborted'] as const) expect(isMovable(job({ state }))).toBe(false);
});

test('what stands against a place is told', () => {
  const other = job({ id: 'o', plannedStart: 4 * HOUR, plannedEnd: 5 * HOUR });
  const before = job({ id: 'p', equipment: 'b', plannedStart: HOUR, plannedEnd: 1.5 * HOUR });
  const moved = job({ after: ['p'] });
  const rows = rowsOf([lane('a', { closed: [{ from: 6 * HOUR, to: 7 * HOUR, name: 'off' }] }), lane('b'), lane('c')], [moved, other, before], 0);
  const all = new Map([moved, other, before].map((one): [string, Job] => [one.id, one]));
  const at = (equipment: string, start: number, now = 0, due: number | null = null): string => snags(moved, { equipment, start }, rows, all, now, due).join();
  expect(at('a', 2 * HOUR)).toBe('');
  expect(at('b', 2 * HOUR)).toBe('not_allowed');
  expect(at('a', 3.5 * HOUR)).toBe('overlaps');
  // Touching is no overlap, and neither is a job with itself.
  expect(at('a', 3 * HOUR)).toBe('');
  expect(at('a', 5 * HOUR)).toBe('');
  expect(at('a', 6.5 * HOUR)).toBe('closed');
  expect(at('c', HOUR)).toBe('before_predecessor');
  expect(at('a', 2 * HOUR, 2.5 * HOUR)).toBe('past');
  expect(at('a', 2 * HOUR, 0, 2.5 * HOUR)).toBe('late');
});

test('arrows of an order go from the end of a job to the beginning of the next', () => {
  const rows = rowsOf([lane('a'), lane('b')], [job({ started: 2 * HOUR, ended: 2.5 * HOUR, state: 'Ended', substate: 'Completed' }), job({ id: 'j2', equipment: 'b', after: ['j1'], plannedStart: 4 * HOUR, plannedEnd: 5 * HOUR }), job({ id: 'z', order: '2', after: ['j1'] })], 6 * HOUR);
  expect(linksOf('1', rows)).toEqual([{ from: { row: 0, at: 2.5 * HOUR }, to: { row: 1, at: 4 * HOUR } }]);
});

test('all of it is shown with room around, also when there is nothing', () => {
  const all = spanOf([job(), job({ plannedStart: 20 * HOUR, plannedEnd: 22 * HOUR })], 0);
  expect([all.from < 0, all.to > 22 * HOUR]).toEqual([true, true]);
  expect(spanOf([], HOUR)).toEqual({ from: -3 * HOUR, to: 5 * HOUR });
});

test('what is asked for is never more than the server tells at once, however far somebody zooms out', () => {
  expect(asked(view)).toEqual({ from: -10 * HOUR, to: 20 * HOUR });
  for (const span of [HOUR, 20 * DAY, 31 * DAY, 45 * DAY, LONGEST, 92 * DAY, 120 * DAY]) {
    const shown = { from: 1_764_000_000_000, to: 1_764_000_000_000 + span };
    const wish = asked(shown);
    expect([wish.from <= shown.from, wish.to >= shown.to]).toEqual([true, true]);
    if (span <= LONGEST) expect(Math.round(wish.to) - Math.round(wish.from)).toBeLessThanOrEqual(92 * DAY);
  }
  expect(asked({ from: 0, to: LONGEST }).to).toBe(LONGEST + 16 * DAY - MINUTE);
});

test('all of what lies months apart is what lies around now', () => {
  const now = 200 * DAY;
  const far = (...days: number[]): Job[] => days.map((day) => job({ plannedStart: day * DAY, plannedEnd: day * DAY + HOUR }));
  for (const jobs of [far(10, 390), far(199, 390), far(10, 201)]) {
    const all = spanOf(jobs, now);
    expect(all.to - all.from).toBe(LONGEST);
    expect([all.from <= now, all.to >= now]).toEqual([true, true]);
  }
});
