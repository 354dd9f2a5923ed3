import { expect, test } from 'vitest';
import { tags } from './plant';
import { madeUp } from './server';

test('a made-up command fits its tag: of its kind, within its limits and digits, and it changes something', () => {
  const wrong = tags
    .filter((tag) => tag.write && tag.press === undefined)
    .flatMap((tag) => [0, 1, 2, 3].map((i) => ({ tag, ...madeUp(tag, i) })))
    .filter(({ tag, value, before }) => {
      if (typeof value !== typeof tag.value(0) || value === before) return true;
      const { min, max } = tag.write ?? { min: null, max: null };
      return typeof value === 'number' && (value < (min ?? -Infinity) || value > (max ?? Infinity) || Number(value.toFixed(tag.digits ?? 0)) !== value);
    });
  expect(wrong.map(({ tag, value, before }) => [tag.path, value, before])).toEqual([]);
});
