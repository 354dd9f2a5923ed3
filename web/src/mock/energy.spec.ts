// What the mock tells of energy is what the page reads, and its numbers agree with each other.
import { expect, test } from 'vitest';
import { energy, peaks } from '$lib/api/parseEnergy';
import { slotSum } from '$lib/domain/energy';
import { MockEnergy } from './energy';

const NOW = new Date(2026, 10, 27, 12, 0).getTime();
const HOUR = 3_600_000;
const mock = new MockEnergy(NOW, () => NOW, () => true);
const get = (path: string, more: Record<string, string> = {}): { status: number; body?: unknown } => mock.handle('GET', '/api/mes/energy', new URLSearchParams({ path, from_ms: String(NOW - 24 * HOUR), to_ms: String(NOW + HOUR), step: 'hour', ...more })) ?? { status: 0 };

test('slots, carriers and costs add up; what is to come is left out', () => {
  const told = energy(get('works/nord/bottling').body);
  expect([told.to, told.carriers.map((one) => one.carrier)]).toEqual([NOW, ['electricity', 'steam']]);
  const close = (a: number, b: number): void => expect(Math.abs(a - b)).toBeLessThan(1e-6);
  close(told.slots.reduce((sum, slot) => sum + (slotSum(slot) ?? 0), 0), told.kwh ?? 0);
  close(told.carriers.reduce((sum, one) => sum + one.kwh, 0), told.kwh ?? 0);
  close(told.carriers.flatMap((one) => one.costs).reduce((sum, one) => sum + one.cost, 0), told.costs[0]?.cost ?? 0);
  expect(told.unmetered).toEqual(['works/nord/bottling/line1/packer']);
});

test('no meter is no zero, too many steps are refused, and what is not there is said', () => {
  expect(energy(get('works/nord/bottling/line1/packer').body)).toMatchObject({ kwh: null, perItem: null, carriers: [], costs: [] });
  expect(get('works', { from_ms: String(NOW - 300 * 24 * HOUR) }).status).toBe(422);
  expect(get('nowhere').status).toBe(404);
});

test('peaks of a month, the highest first, and what they cost', () => {
  const told = peaks(mock.handle('GET', '/api/mes/energy/peaks', new URLSearchParams({ path: 'works', month: '2026-11' }))?.body);
  const kw = told.carriers[0]?.peaks.map((one) => one.kw) ?? [];
  expect(kw).toEqual(kw.toSorted((a, b) => b - a));
  expect(told.demand[0]?.cost).toBeCloseTo((kw[0] ?? 0) * 11.5);
});
