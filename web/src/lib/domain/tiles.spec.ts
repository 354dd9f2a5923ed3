import { describe, expect, test } from 'vitest';
import { columnsFor, tileLayout } from './tiles';

describe('tiles share the room', () => {
  test('four machines a line stand two by two where three would fit', () => {
    expect(columnsFor([4, 4, 4], 3)).toBe(2);
    expect(columnsFor([4, 4, 4], 5)).toBe(4);
  });
  test('where nothing fits better, as many as fit', () => {
    expect(columnsFor([3, 6], 3)).toBe(3);
    expect(columnsFor([5, 5], 3)).toBe(3);
    expect(columnsFor([7], 1)).toBe(1);
  });
  test('never much fewer than fit: one machine a group does not become a column of banners', () => {
    expect(columnsFor([1, 1, 1, 1], 5)).toBe(3);
  });
  test('a phone has one column, a desk two, a wide one four', () => {
    const groups = [4, 4, 4];
    expect(tileLayout({ groups, width: 366, height: 584 })).toEqual({ across: 1, columns: 1, tall: 200, zoom: 1 });
    expect(tileLayout({ groups, width: 772, height: 540 })).toMatchObject({ across: 1, columns: 2, tall: 200 });
    expect(tileLayout({ groups, width: 1412, height: 820 })).toMatchObject({ across: 1, columns: 4, zoom: 1 });
  });
  test('a wall screen is filled: the largest tiles that still show everything', () => {
    const wall = { width: 3332, height: 1940 };
    expect(tileLayout({ ...wall, groups: [4, 4, 4] })).toMatchObject({ across: 1, columns: 4, zoom: 2 });
    const many = tileLayout({ ...wall, groups: [12, 12, 12, 12, 12, 12] });
    expect(many.zoom).toBe(1.35);
    expect(many.across).toBe(2);
  });
  test('tiles grow into free height, and no further than it', () => {
    const one = tileLayout({ groups: [4, 4, 4], width: 1412, height: 900 });
    expect(one.tall).toBeGreaterThan(200);
    expect(3 * (one.tall + 30 + 24)).toBeLessThanOrEqual(903);
  });
  test('an empty plant has a layout, too', () => expect(tileLayout({ groups: [], width: 800, height: 600 }).tall).toBe(200));
});
