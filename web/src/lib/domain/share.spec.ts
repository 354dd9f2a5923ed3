import { expect, test } from 'vitest';
import { goodShare } from './share';

test('time behind the last reading is not good, but for the wait for the next one', () => {
  // Half an hour of good data in an hour; then silence.
  expect(goodShare(1_800_000, 100, 3_600_000, 60_000)).toBe(50);
  // The next reading is due in a moment.
  expect(goodShare(3_595_000, 100, 3_600_000, 60_000)).toBe(100);
  // Half of it was bad before it fell silent.
  expect(goodShare(900_000, 50, 3_600_000, 60_000)).toBe(25);
  // Data goes on to the end: what the server says.
  expect(goodShare(3_348_000, 93, 3_600_000, 60_000)).toBe(93);
});

test('nothing good is none, and nothing known is nothing', () => {
  expect(goodShare(0, 0, 3_600_000, 60_000)).toBe(0);
  expect(goodShare(null, 100, 3_600_000, 60_000)).toBeNull();
  expect(goodShare(10, null, 3_600_000, 60_000)).toBeNull();
});
