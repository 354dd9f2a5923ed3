import { expect, test } from 'vitest';
import { clockTime, DAY, exactSpan, parseTyped, spanText, timeText, typedTime } from './time';

const noon = new Date(2026, 2, 5, 12, 3, 9, 42).getTime();

test('the clock has 24 hours and leading zeros', () => {
  expect(clockTime(noon)).toBe('12:03:09');
  expect(clockTime(noon, true)).toBe('12:03:09.042');
});
test('younger than a day is a time, older carries the date', () => {
  expect(timeText(noon, noon + DAY - 1000, 'en-GB')).toBe('12:03:09');
  expect(timeText(noon, noon + DAY + 1000, 'en-GB')).toBe('5 Mar 12:03:09');
  expect(timeText(noon, noon + 400 * DAY, 'en-GB')).toBe('5 Mar 2026 12:03:09');
});
test('an unknown time is a dash', () => expect(timeText(null, noon, 'en-GB')).toBe('–'));
test('a span is said in its two biggest units', () => {
  expect(spanText(59_999)).toBe('59\u202fs');
  expect(spanText(12 * 60_000)).toBe('12\u202fmin');
  expect(spanText(3 * 3_600_000 + 20 * 60_000)).toBe('3\u202fh 20\u202fmin');
  expect(spanText(2 * DAY + 4 * 3_600_000)).toBe('2\u202fd 4\u202fh');
  expect(spanText(-5)).toBe('0\u202fs');
});
test('the distance of two cursors keeps its sign', () => {
  expect(exactSpan(12_400)).toBe('12.40\u202fs');
  expect(exactSpan(-185_000)).toBe('−3:05\u202fmin');
  expect(exactSpan(3_725_000)).toBe('1:02:05\u202fh');
});

test('a typed time reads back, may leave out date and seconds, and is never bent into another', () => {
  expect(parseTyped(typedTime(noon), noon)).toBe(noon - 42);
  expect(parseTyped('6:05', noon)).toBe(new Date(2026, 2, 5, 6, 5).getTime());
  for (const wrong of ['', '25:00', '12:61', '2026-02-31 10:00', '10', 'noon']) expect(parseTyped(wrong, noon)).toBeNull();
});
