import { expect, test } from 'vitest';
import { calmSpan, clockTime, DAY, exactSpan, HOUR, parseTyped, roughSpan, SECOND, spanText, tickTexts, timeText, timeTicks, typedTime } from './time';

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
test('a long span is said in its biggest unit', () => {
  expect(roughSpan(HOUR)).toBe('1\u202fh');
  expect(roughSpan(23.9 * HOUR)).toBe('23\u202fh');
  expect(roughSpan(75 * HOUR)).toBe('3\u202fd');
});
test('the distance of two cursors keeps its sign', () => {
  expect(exactSpan(12_400, 'en')).toBe('12.40\u202fs');
  expect(exactSpan(12_400, 'de')).toBe('12,40\u202fs');
  expect(exactSpan(-185_000, 'en')).toBe('−3:05\u202fmin');
  expect(exactSpan(3_725_000, 'en')).toBe('1:02:05\u202fh');
});

test('a typed time reads back, may leave out date and seconds, and is never bent into another', () => {
  expect(parseTyped(typedTime(noon), noon)).toBe(noon - 42);
  expect(parseTyped('6:05', noon)).toBe(new Date(2026, 2, 5, 6, 5).getTime());
  for (const wrong of ['', '25:00', '12:61', '2026-02-31 10:00', '10', 'noon']) expect(parseTyped(wrong, noon)).toBeNull();
});
test('ticks stand at round times, with seconds where the step is shorter than a minute', () => {
  const hour = timeTicks(noon - HOUR, noon, 5);
  expect(hour.seconds).toBe(false);
  expect(hour.at.map((t) => clockTime(t))).toEqual(['11:15:00', '11:30:00', '11:45:00', '12:00:00']);
  const short = timeTicks(noon - 30 * SECOND, noon, 4);
  expect(short.seconds).toBe(true);
  expect(short.at.map((t) => clockTime(t))).toEqual(['12:02:40', '12:02:50', '12:03:00']);
  expect(timeTicks(noon, noon, 4).at).toEqual([]);
});
test('a growing span does not tick every second', () => {
  expect(calmSpan(3000)).toBe('10\u202fs');
  expect(calmSpan(48_000)).toBe('40\u202fs');
  expect(calmSpan(4.7 * 60_000)).toBe('4\u202fmin');
  expect(calmSpan(HOUR)).toBe('1\u202fh');
});

test('an axis within a day says times, one over several days the date at its first tick and at each midnight', () => {
  const at = (day: number, hour: number): number => new Date(2026, 2, day, hour).getTime();
  const say = (from: number, to: number, now: number, most = 6): string[] => {
    const ticks = timeTicks(from, to, most);
    return tickTexts(ticks.at, from, to, ticks.seconds, now, 'en-GB');
  };
  expect(say(at(5, 8), at(5, 10), at(5, 12))).toEqual(['08:00', '08:30', '09:00', '09:30', '10:00']);
  expect(say(at(5, 18), at(7, 6), at(7, 6))).toEqual(['5 Mar 18:00', '6 Mar', '06:00', '12:00', '18:00', '7 Mar']);
  expect(say(at(1, 0), at(9, 0), at(9, 0), 4)).toEqual(['2 Mar', '4 Mar', '6 Mar', '8 Mar']);
  // An hour of last week.
  expect(say(at(5, 8), at(5, 9), at(12, 9), 2)[0]).toBe('5 Mar 08:00');
});
