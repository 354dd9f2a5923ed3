import { describe, expect, test } from 'vitest';
import { MockServer } from '../../mock/server';
import { found } from './parseFound';
import { aggregate, alarms, commandResult, connections, history, live, plant, push, session, ShapeError, storage, timeline, values } from './parse';

test('a value is what its quality says', () => {
  expect(live(['a/b', 3, 0, 10, 11])[1]).toEqual({ state: 'good', value: 3, code: 0, at: 10, received: 11 });
  expect(live(['a/b', 3, 0x40940000, 10, 11])[1].state).toBe('uncertain');
  expect(live(['a/b', null, 0x80310000, 10, 11])[1]).toEqual({ state: 'bad', value: null, code: 0x80310000, at: 10, received: 11 });
});
test('good without a value is nothing, not a zero', () => expect(live(['a/b', null, 0, 1, 1])[1]).toEqual({ state: 'none' }));
test('what does not fit is refused with the place', () => {
  expect(() => live(['a/b', 3, 'good', 1, 1])).toThrow(ShapeError);
  expect(() => plant({ equipment: [], tags: [{ path: 7 }] })).toThrow('tag.path is not a text');
  expect(() => commandResult({ outcome: 'maybe' })).toThrow(ShapeError);
});
test('what was found has a state that is known', () => {
  const of = (state: unknown) => found({ nodes: [], values: [{ place: 'a', state, at_ms: 0 }] }).values[0]?.state;
  for (const state of ['proposed', 'same', 'mapped', 'refused', 'gone']) expect(of(state)).toBe(state);
  expect(of('not understood')).toBe('not_understood');
  for (const state of ['taken', '', undefined, 7]) expect(() => of(state)).toThrow('value.state is not proposed | ');
  const server = new MockServer(() => Date.UTC(2026, 0, 1));
  expect(found(server.found()).values.filter((v) => v.state === 'mapped')).toHaveLength(1);
  expect(new Set(found(server.announced()).values.map((v) => v.state)).size).toBe(6);
});
test('a message that a newer server knows is passed over', () => {
  expect(push({ t: 'weather' })).toBeNull();
  expect(push({ t: 'tick', now_ms: 5 })).toEqual({ t: 'tick', now: 5 });
});
test('the mock speaks the agreed words', () => {
  const server = new MockServer(() => Date.UTC(2026, 0, 1));
  server.user = server.users[0] ?? null;
  const get = (path: string): unknown => {
    const url = new URL(path, 'http://x');
    return server.handle('GET', url.pathname, url.searchParams, {}).body;
  };
  expect(plant(get('/api/plant')).tags.length).toBeGreaterThan(50);
  expect(values(get('/api/values')).length).toBeGreaterThan(50);
  expect(alarms(get('/api/alarms')).length).toBeGreaterThan(2);
  expect(timeline(get('/api/timeline?limit=10')).events).toHaveLength(10);
  expect(connections(get('/api/connectors')).clients.length).toBeGreaterThan(1);
  expect(session(get('/api/session')).may.administer).toBe(true);
  expect(storage(get('/api/storage')).points).toBeGreaterThan(0);
  expect(aggregate(get('/api/aggregate?tag=works/nord/bottling/line1/filler/pressure&aggregate=PercentGood&from_ms=0&to_ms=60000')).value).toBeGreaterThan(99);
  expect(history(get('/api/history?tag=works/nord/bottling/line1/filler/pressure&from_ms=0&to_ms=60000&max_points=10')).points.length).toBeGreaterThan(5);
});

test('what is known of damaged files', () => {
  const read = (more: object) => storage({ points: 1, file_bytes: 1, ...more }).damage;
  const file = 'history/a.parquet';
  const told = { file, holds: 'readings', from_ms: 1000, to_ms: 2000, readings: 7, what: 'cut off' };
  expect(read({ damage: [] })).toEqual([]);
  expect(read({ damage: [told, { ...told, holds: 'rollups' }] })).toEqual(
    [false, true].map((rollups) => ({ file, rollups, from: 1000, to: 2000, readings: 7, problem: 'cut off' })),
  );
  expect(() => read({ damage: [{ ...told, file: undefined }] })).toThrow('damage.file');
  const { what: _, holds: __, ...lost } = told;
  expect(storage({ points: 1, file_bytes: 1, given_up: [lost] }).givenUp).toEqual([{ file, from: 1000, to: 2000, readings: 7 }]);
  expect(storage({ points: 1, file_bytes: 1 }).givenUp).toEqual([]);
});

describe('history figures', () => {
  test('an aggregate is the value of its one interval, with its status and how far history is complete', () =>
    expect(aggregate({ values: [[5, 3.25, 0x40a40401]], complete_to_ms: 9 })).toEqual({ value: 3.25, code: 0x40a40401, completeTo: 9 }));
  test('no interval, and a value that is no number, are no value', () => {
    expect(aggregate({ values: [] })).toEqual({ value: null, code: 0x809b0000, completeTo: null });
    expect(aggregate({ values: [[5, null, 0x809b0000]] }).value).toBeNull();
  });
  test('a server without files yet knows no ratios', () => {
    const facts = storage({ points: 0, file_bytes: 0, bytes_per_point: null, write_amplification: null, complete_to_ms: null, damage: [], last_error: null });
    expect(facts).toMatchObject({ bytesPerPoint: null, writeAmplification: null, completeTo: null, damage: [], lastError: null });
  });
  test('limits and sources are read, and a limit without its days is refused', () => {
    const facts = storage({
      points: 1, file_bytes: 2, points_per_s_now: 3.5, merges_waiting: 4, tidied_ms: 5,
      retention: [{ keep_days: 0, default: true, branches: ['a', 7], branches_left_off: 2, tags: 9, points_past: null }],
      sources: [{ kind: 'mqtt', came_to_ms: 6, durable_to_ms: null, behind_ms: 8 }],
    });
    expect(facts).toMatchObject({ rate: { now: 3.5, minute: null, hour: null }, mergesWaiting: 4, tidied: 5 });
    expect(facts.retention).toEqual([{ keepDays: 0, isDefault: true, branches: ['a'], branchesLeftOff: 2, tags: 9, pointsPast: null }]);
    expect(facts.sources).toEqual([{ kind: 'mqtt', name: '', title: '', cameTo: 6, durableTo: null, behindMs: 8 }]);
    expect(() => storage({ points: 1, file_bytes: 2, retention: [{ tags: 1 }] })).toThrow('retention.keep_days is not a number');
  });
  test('what is no storage is refused', () => expect(() => storage({ points: 'many' })).toThrow());
});
