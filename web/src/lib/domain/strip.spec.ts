import { describe, expect, test } from 'vitest';
import type { PlantEvent } from '$lib/api/types';
import { alarmBars, clusters, noteEnd, placeOf, rows, worst } from './strip';

let seq = 0;
const event = (at: number, kind: PlantEvent['kind'], detail: Record<string, unknown> = {}, by = 'system'): PlantEvent => ({
  seq: (seq += 1), id: String(seq), atMs: at, sourceMs: null, kind, path: 'a/b', by: { id: '', kind: by, name: null }, summary: 'x', severity: 0, detail,
});
const alarm = (at: number, from: string, to: string, priority = 2, by = 'system'): PlantEvent => ({ ...event(at, 'alarm', { alarm: 'a/b:high', from, to, priority }, by), severity: to === 'unacknowledged' ? priority : 0 });
const spans = (events: PlantEvent[]): [number, number][] => alarmBars(events, 100, 200).map((b) => [b.from, b.to]);

describe('alarm bars', () => {
  test('from raised to returned; acknowledging in between changes nothing', () =>
    expect(spans([alarm(110, 'normal', 'unacknowledged'), alarm(120, 'unacknowledged', 'acknowledged'), alarm(150, 'acknowledged', 'normal')])).toEqual([[110, 150]]));
  test('what still stands goes on to the end', () => expect(spans([alarm(130, 'normal', 'unacknowledged')])).toEqual([[130, 200]]));
  test('what stood before the range begins at its edge', () => {
    expect(spans([alarm(140, 'unacknowledged', 'returned_to_normal_unacknowledged')])).toEqual([[100, 140]]);
    expect(spans([alarm(140, 'unacknowledged', 'acknowledged'), alarm(160, 'acknowledged', 'normal')])).toEqual([[100, 160]]);
  });
  test('acknowledging what has long returned draws nothing', () => expect(spans([alarm(140, 'returned_to_normal_unacknowledged', 'normal')])).toEqual([]));
  test('raised again is a second bar', () =>
    expect(spans([alarm(110, 'normal', 'unacknowledged'), alarm(120, 'unacknowledged', 'returned_to_normal_unacknowledged'), alarm(150, 'returned_to_normal_unacknowledged', 'unacknowledged')])).toEqual([[110, 120], [150, 200]]));
});

test('marks that would stand on each other share one', () => {
  const events = [event(30, 'command'), event(10, 'command'), event(15, 'user'), event(90, 'command')];
  expect(clusters(events, (at) => at, 10).map((c) => [c.x, c.events.length])).toEqual([[10, 2], [30, 1], [90, 1]]);
});

test('the gravest of a cluster stands for it; one that returned does not', () => {
  expect(worst([alarm(1, 'normal', 'unacknowledged', 3), alarm(2, 'normal', 'unacknowledged', 1)])).toBe(1);
  expect(worst([alarm(1, 'unacknowledged', 'normal', 1)])).toBeNull();
});

test('an acknowledgement is what a person did, a return is the end of a bar', () => {
  const { alarms, others } = rows([alarm(1, 'normal', 'unacknowledged'), alarm(2, 'unacknowledged', 'acknowledged', 2, 'person'), alarm(3, 'acknowledged', 'normal'), event(4, 'command')]);
  expect([alarms.length, others.map((e) => e.atMs)]).toEqual([1, [2, 4]]);
});

test('a note stands where and as long as it is about, not when it was written', () => {
  const note = { ...event(500, 'note', { text: 'x', until: 140_000 }, 'person'), sourceMs: 110 };
  expect([placeOf(note), noteEnd(note), placeOf({ ...note, sourceMs: null })]).toEqual([110, 140, 500]);
  expect(clusters([note, event(112, 'command')], (at) => at, 10).map((c) => c.x)).toEqual([110]);
  expect(rows([note]).notes).toHaveLength(1);
  expect([placeOf({ ...note, kind: 'command' }), noteEnd(event(1, 'note'))]).toEqual([500, null]);
});
