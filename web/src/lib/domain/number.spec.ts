import { describe, expect, test } from 'vitest';
import { bytesParts, exactNumber, formatNumber, MISSING, parseNumber, THIN, toField, withUnit } from './number';

test('a number has the digits of its tag and the marks of the language', () => {
  expect(formatNumber(1234.5, 2, 'en-GB')).toBe('1,234.50');
  expect(formatNumber(1234.5, 2, 'de-DE')).toBe('1.234,50');
});
test('a negative number has a real minus sign', () => expect(formatNumber(-3.2, 1, 'en-GB')).toBe('−3.2'));
test('a value that rounds to zero has no minus sign', () => {
  expect(formatNumber(-0, 1, 'en-GB')).toBe('0.0');
  expect(formatNumber(-0.04, 1, 'en-GB')).toBe('0.0');
});
test('what is missing or not finite is a dash, never a zero', () => {
  for (const nothing of [null, undefined, NaN, Infinity]) expect(formatNumber(nothing, 1, 'en-GB')).toBe(MISSING);
});
test('a thin space stands before the unit', () => expect(withUnit('3.10', 'bar')).toBe(`3.10${THIN}bar`));

describe('typing a number', () => {
  const value = (text: string, locale = 'en-GB'): unknown => {
    const parsed = parseNumber(text, locale);
    return parsed.ok ? parsed.value : parsed.why;
  };
  test('point and comma are both decimal marks', () => {
    expect(value('3.10')).toBe(3.1);
    expect(value('3,1')).toBe(3.1);
    expect(value('3,10', 'de-DE')).toBe(3.1);
    expect(value(' −2.5 ')).toBe(-2.5);
  });
  test('what could be a thousands mark is refused, not guessed', () => {
    expect(value('1,250')).toBe('ambiguous');
    expect(value('1.250', 'de-DE')).toBe('ambiguous');
    expect(value('1.250')).toBe(1.25);
  });
  test('anything else is not a number', () => {
    for (const text of ['abc', '1.2.3', '1,2,3', '1e5', '--1', '0x10', '.']) expect(value(text)).toBe('not-a-number');
    expect(value('  ')).toBe('empty');
  });
  test('what stands in the field reads back as the same value', () => {
    for (const locale of ['en-GB', 'de-DE']) expect(value(toField(1234.56, 2, locale), locale)).toBe(1234.56);
  });
});

test('bytes have three figures and the unit that keeps them short', () => {
  const say = (n: number): string => Object.values(bytesParts(n, 'en')).join(' ');
  expect([0, 999, 1000, 74_400, 999_600, 287_358_100, 2.1e12].map(say)).toEqual(['0 B', '999 B', '1.00 kB', '74.4 kB', '1.00 MB', '287 MB', '2.10 TB']);
});

test('an amount keeps the digits that it was given, and gets none', () => {
  expect([0.25, 12.5, 3000, 1234.5, -0.000001, 12.5 - 0.2, 0].map((n) => exactNumber(n, 'en'))).toEqual(['0.25', '12.5', '3,000', '1,234.5', '−0.000001', '12.3', '0']);
  expect(exactNumber(1234.5, 'de')).toBe('1.234,5');
});
