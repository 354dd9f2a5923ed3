import { describe, expect, test } from 'vitest';
import { aggregate, sql, type Plant, type Point } from './history';

const points: Point[] = [[0, 20, 0], [10, 30, 0], [20, null, 0x80310000], [40, 50, 0]];
const one = (name: string, stepped: boolean): unknown => aggregate(name, points, 0, 60, stepped)[1];

describe('the mock’s aggregates', () => {
  test('the mean counts time, and leaves out what is bad', () => {
    // 10 × 20, 10 × 30 and 20 × 50 over 40
    expect(one('TimeAverage2', true)).toBe(37.5);
    expect(one('Average', true)).toBeCloseTo(100 / 3);
  });
  test('share of good data', () => expect(one('PercentGood', true)).toBeCloseTo((40 / 60) * 100));
  test('a figure of incomplete data is uncertain, one of none is bad', () => {
    expect((aggregate('Maximum2', points, 0, 60, true)[2] ?? 0) >>> 30).toBe(1);
    expect(aggregate('Maximum2', [], 0, 60, true)).toEqual([0, null, 0x809b0000]);
  });
});

describe('the mock’s SQL', () => {
  const plant: Plant = { now: 1000, paths: ['a/b', 'a/c'], unitOf: () => 'bar', points: () => [[1, 2, 0], [2, null, 0x80310000]] };
  const ask = (text: string) => {
    const answer = sql(text, plant);
    return 'refused' in answer ? answer.refused : answer.ok;
  };
  test('changes are refused', () => expect(ask('DROP TABLE samples')).toMatch(/only SELECT/));
  test('bad quality has no value', () => expect(ask("SELECT ts, value FROM samples WHERE path = 'a/b'")).toMatchObject({ rows: [[expect.any(String), 2, 'good'], [expect.any(String), null, 'bad']] }));
  test('an unknown view is named', () => expect(ask('SELECT * FROM nothing')).toBe("table 'nothing' not found"));
});
