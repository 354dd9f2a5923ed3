import { expect, test } from 'vitest';
import type { Link, Reached, Trace } from '$lib/api/parseTrace';
import { branches, fileName, findingsOf, isOverdrawn, measuredText } from './trace';

const item = (id: string, depth: number): Reached => ({ id, depth, kind: 'lot', material: 'M', revision: null, number: id, quantity: null, remaining: null, state: 'Released', place: null, made: 0 });
const link = (from: string, to: string, at: number): Link => ({ from, to, at, quantity: 1, position: '', removed: null, equipment: null });
const told = (trace: Trace, forward: boolean, most = 100): string[] => branches(trace, forward, most).rows.map((row) => `${'>'.repeat(row.level)}${row.item.id}${row.again ? ' again' : ''}`);

/** A lot in two others, both in one unit, which is in a box. */
const diamond: Trace = { items: [item('lot', 0), item('a', 1), item('b', 1), item('unit', 2), item('box', 3)], links: [link('lot', 'b', 2), link('lot', 'a', 1), link('a', 'unit', 3), link('b', 'unit', 3), link('unit', 'box', 9)], cut: null };

test('the tree goes down in order of time; what is reached twice has two lines, and what follows of it one', () => {
  expect(told(diamond, true)).toEqual(['lot', '>a', '>>unit', '>>>box', '>b', '>>unit again']);
});

test('backward, it is the same from the other end', () => {
  const { links } = diamond;
  expect(told({ items: [item('unit', 0), item('a', 1), item('b', 1), item('lot', 2)], links: links.slice(0, 4), cut: null }, false)).toEqual(['unit', '>a', '>>lot', '>b', '>>lot']);
});

test('no more lines than can be shown, and the others are counted', () => {
  const { rows, left } = branches(diamond, true, 4);
  expect([rows.length, left]).toEqual([4, 2]);
  expect(branches({ items: [], links: [], cut: null }, true, 4)).toEqual({ rows: [], left: 0 });
});

test('a chain of ten thousand and a ring come to an end', () => {
  const ids = Array.from({ length: 10_000 }, (_, i) => String(i));
  const chain: Trace = { items: ids.map((id, i) => item(id, i)), links: ids.slice(1).map((id, i) => link(String(i), id, i)), cut: null };
  expect(branches(chain, true, 20_000).rows.at(-1)?.level).toBe(9999);
  expect(told({ items: [item('a', 0), item('b', 1)], links: [link('a', 'b', 1), link('b', 'a', 2)], cut: null }, true)).toEqual(['a', '>b', '>>a again']);
});

test('findings of an item are those about it and those about what went into it', () => {
  const one = (number: number, about: string | null, other: string | null) => ({ number, what: 'x', at: 0, item: about, other, text: '' });
  expect(findingsOf([one(1, 'a', null), one(2, null, 'a'), one(3, 'b', 'c')], 'a').map((found) => found.number)).toEqual([1, 2]);
});

test('measured values keep the digits that were said, in the language of the viewer', () => {
  const say = (value: number | string | boolean, locale = 'en'): string => measuredText(value, locale, { yes: 'yes', no: 'no' });
  expect([say(12.4), say(0.42), say(3), say(-0.5), say('dry'), say(true), say(12.4, 'de'), say(1e-12)]).toEqual(['12.4', '0.42', '3', '−0.5', 'dry', 'yes', '12,4', '0.000000000001']);
});

test('a file is named as the server names it, and less than nothing left is overdrawn', () => {
  expect(fileName('CP25/0004711 ä', 'json')).toBe('CP25_0004711__.json');
  expect([isOverdrawn({ remaining: -1 }), isOverdrawn({ remaining: 0 }), isOverdrawn({ remaining: null })]).toEqual([true, false, false]);
});
