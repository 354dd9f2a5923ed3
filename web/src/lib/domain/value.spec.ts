import { expect, test } from 'vitest';
import type { Live } from '$lib/api/types';
import { isHatched, show, valueText, valueWithUnit } from './value';

const words = { on: 'on', off: 'off' };
const fresh: Live = { state: 'good', value: 3.1, code: 0, at: 1000, received: 1000 };
const tag = { staleAfterMs: 5000 };

test('a value is stale once it has been silent for longer than its tag allows', () => {
  expect(show(fresh, tag, 6000, null).state).toBe('good');
  expect(show(fresh, tag, 6001, null)).toEqual({ state: 'stale', value: 3.1, at: 1000, why: 'silent' });
  expect(show(fresh, { staleAfterMs: null }, 1e9, null).state).toBe('good');
});
test('without a link every value is stale and hatched', () => {
  const shown = show(fresh, tag, 1001, 1000);
  expect(shown).toEqual({ state: 'stale', value: 3.1, at: 1000, why: 'link' });
  expect(isHatched(shown)).toBe(true);
});
test('bad stays bad, with its reason, whatever else holds', () => {
  const bad: Live = { state: 'bad', value: null, code: 0x80310000, at: 1, received: 1 };
  expect(show(bad, tag, 99_999, 5)).toEqual({ state: 'bad', value: null, at: 1, code: 0x80310000 });
});
test('states are words, numbers have digits, nothing is a dash', () => {
  const machine = { states: { '2': 'Running', '1': 'yes' }, digits: null, dataType: 'int64' as const, symbol: null };
  expect(valueText(machine, 2, 'en-GB', words)).toBe('Running');
  expect(valueText(machine, true, 'en-GB', words)).toBe('yes');
  expect(valueText({ ...machine, states: {} }, false, 'en-GB', words)).toBe('off');
  expect(valueText({ states: {}, digits: 2, dataType: 'double' }, null, 'en-GB', words)).toBe('–');
  expect(valueWithUnit({ states: {}, digits: 1, dataType: 'double', symbol: '°C' }, -0.04, 'en-GB', words)).toBe('0.0\u202f°C');
});
