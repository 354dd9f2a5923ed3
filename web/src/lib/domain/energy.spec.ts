import { expect, test } from 'vitest';
import { monthOf, slotSum, stepsFor, usualStep } from './energy';
import { DAY, HOUR } from './time';

test('steps that make a picture, and the one that is usual', () => {
  expect(stepsFor(HOUR)).toEqual(['quarter', 'hour']);
  expect(stepsFor(DAY)).toEqual(['quarter', 'hour', 'shift', 'day']);
  expect(stepsFor(60 * DAY)).toEqual(['shift', 'day']);
  expect(stepsFor(360 * DAY)).toEqual(['day']);
  expect([8 * HOUR, DAY, 7 * DAY].map(usualStep)).toEqual(['quarter', 'hour', 'day']);
});

test('nothing heard is no zero', () => {
  expect([slotSum({ kwh: [null, null] }), slotSum({ kwh: [0, null] }), slotSum({ kwh: [1.5, 2] })]).toEqual([null, 0, 3.5]);
});

test('months go back over the turn of a year', () => {
  expect([monthOf(new Date(2026, 0, 31).getTime()), monthOf(new Date(2026, 0, 31).getTime(), -2)]).toEqual(['2026-01', '2025-11']);
});
