import { expect, test } from 'vitest';
import { de } from './de';
import { en } from './en';

const places = (text: string): string[] => [...text.matchAll(/\{(\w+)\}/g)].map((m) => m[1] ?? '').sort();
const keys = Object.keys(en) as (keyof typeof en)[];

test('German says everything that English says', () => {
  expect(Object.keys(de).sort()).toEqual(Object.keys(en).sort());
});

test('each text has the same places to fill in both languages', () => {
  expect(keys.filter((key) => places(de[key]).join() !== places(en[key]).join())).toEqual([]);
});

test('no text is empty', () => {
  expect(keys.filter((key) => en[key].trim() === '' || de[key].trim() === '')).toEqual([]);
});

test('a number before a word is counted: one row, two rows', () => {
  // At least 12 characters: a number that never is 1.
  const loose = keys.filter((key) => !/\.(one|other)$/.test(key) && key !== 'setup.short');
  expect(loose.filter((key) => [en[key], de[key]].some((text) => /\{n\} \p{L}/u.test(text)))).toEqual([]);
});

test('every counted text has both forms', () => {
  const stems = keys.filter((k) => k.endsWith('.one')).map((k) => k.slice(0, -4));
  expect(stems.filter((stem) => !(`${stem}.other` in en))).toEqual([]);
});

test('every key that the screens name exists, and none is left over', () => {
  const files = import.meta.glob('/src/**/*.{svelte,ts}', { query: '?raw', import: 'default', eager: true }) as Record<string, string>;
  const code = Object.entries(files)
    .filter(([name]) => !name.includes('/messages/') && !name.includes('/mock/') && !name.endsWith('.spec.ts'))
    .map(([, text]) => text)
    .join('\n');
  const named = new Set([...code.matchAll(/'([a-z_]+(?:\.[a-z0-9_]+)+)'/g)].map((m) => m[1] ?? ''));
  const patterns = [...code.matchAll(/`([a-z_]+(?:\.[a-z_]+)*)\.\$\{/g)].map((m) => `${m[1]}.`);
  const stems = [...code.matchAll(/tn\('([a-z_.]+)'/g)].map((m) => `${m[1]}.`);
  const unused = keys.filter((key) => !named.has(key) && ![...patterns, ...stems].some((p) => key.startsWith(p)));
  expect(unused).toEqual([]);
});
