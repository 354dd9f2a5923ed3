import { expect, test } from 'vitest';
import { columnByKey } from './pick';

test('keys go from column to column, to the ends and not beyond', () => {
  expect(columnByKey('ArrowLeft', null, 4)).toBe(3);
  expect(columnByKey('ArrowRight', null, 4)).toBe(0);
  expect(columnByKey('ArrowRight', 3, 4)).toBe(3);
  expect(columnByKey('ArrowLeft', 0, 4)).toBe(0);
  expect(columnByKey('Home', 2, 4)).toBe(0);
  expect(columnByKey('End', 1, 4)).toBe(3);
  expect(columnByKey('ArrowRight', null, 0)).toBeUndefined();
  expect(columnByKey('Enter', 1, 4)).toBeUndefined();
});
