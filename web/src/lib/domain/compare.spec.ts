import { expect, test } from 'vitest';
import { earlierText, parseEarlier } from './compare';
import { DAY, HOUR } from './time';

test('a shift is read and written in the unit that says it', () => {
  for (const [text, shift] of [['1h', HOUR], ['8h', 8 * HOUR], ['1d', DAY], ['7d', 7 * DAY], ['90m', 1.5 * HOUR], ['61s', 61_000]] as const) {
    expect(parseEarlier(text)).toBe(shift);
    expect(earlierText(shift)).toBe(text);
  }
});

test('what is no shift, or goes nowhere, compares with nothing', () => {
  for (const text of [null, '', '0h', '-1h', '1w', 'yesterday', '99999d']) expect(parseEarlier(text)).toBeNull();
});
