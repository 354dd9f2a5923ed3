// Every pair of the tokens in app.css keeps its contrast (WCAG 2.2, 1.4.3 and 1.4.11): text 4.5, edges and symbols 3.

import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';

const css = readFileSync(new URL('../../app.css', import.meta.url), 'utf8');

function block(selector: string): Map<string, string> {
  const start = css.indexOf(`${selector} {`);
  const body = css.slice(start, css.indexOf('}', start));
  return new Map([...body.matchAll(/--([\w-]+):\s*(#[0-9a-f]{6});/g)].map((m) => [m[1] ?? '', m[2] ?? '']));
}

const light = block(':root');
const dark = new Map([...light, ...block(":root[data-theme='dark']")]);

function luminance(hex: string): number {
  const [r = 0, g = 0, b = 0] = [1, 3, 5].map((i) => {
    const c = parseInt(hex.slice(i, i + 2), 16) / 255;
    return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}
function contrast(a: string, b: string): number {
  const [hi = 0, lo = 0] = [luminance(a), luminance(b)].sort((x, y) => y - x);
  return (hi + 0.05) / (lo + 0.05);
}

const GROUNDS = ['bg', 'surface', 'raised', 'sunken'];
const TEXTS = ['text', 'text-2', 'text-3', 'pv', 'sp'];
const EDGES = ['line-strong', 'accent', 'focus', 'p1', 'p2', 'p3', 'p4', 'pen-1', 'pen-2', 'pen-3', 'pen-4'];
const ON: [string, string][] = [
  ['on-accent', 'accent'], ['p1-on', 'p1-fill'], ['p2-on', 'p2-fill'], ['p3-on', 'p3-fill'], ['p4-on', 'p4-fill'], ['text', 'accent-2'], ['text-2', 'accent-2'], ['accent', 'accent-2'],
];

describe.each([
  ['light', light],
  ['dark', dark],
])('%s', (_theme, tokens) => {
  const colour = (name: string): string => {
    const found = tokens.get(name);
    if (!found) throw new Error(`no token --${name}`);
    return found;
  };
  test.each(GROUNDS.flatMap((g) => TEXTS.map((t): [string, string] => [t, g])))('text --%s can be read on --%s', (text, ground) => {
    expect(contrast(colour(text), colour(ground))).toBeGreaterThanOrEqual(4.5);
  });
  test.each(GROUNDS.flatMap((g) => EDGES.map((e): [string, string] => [e, g])))('edge --%s can be seen on --%s', (edge, ground) => {
    expect(contrast(colour(edge), colour(ground))).toBeGreaterThanOrEqual(3);
  });
  test.each(ON)('--%s can be read on --%s', (text, ground) => {
    expect(contrast(colour(text), colour(ground))).toBeGreaterThanOrEqual(4.5);
  });
});

test('hatching is drawn with what can be seen on every ground', () => {
  const used = [...(/--hatch:([^;]*);/.exec(css)?.[1] ?? '').matchAll(/var\(--([\w-]+)\)/g)].map((m) => m[1] ?? '');
  expect(used.length).toBeGreaterThan(0);
  expect(EDGES).toEqual(expect.arrayContaining(used));
});

test('app.css is the only file with colours in it', () => {
  const files = import.meta.glob('/src/**/*.{svelte,ts,css}', { query: '?raw', import: 'default', eager: true }) as Record<string, string>;
  const guilty = Object.entries(files)
    .filter(([name]) => !name.endsWith('/app.css') && !name.endsWith('.spec.ts'))
    .filter(([, text]) => /(?<![&\w])#[0-9a-fA-F]{3}(?:[0-9a-fA-F]{3})?\b|\brgba?\(|\bhsla?\(|\boklch\(/.test(text))
    .map(([name]) => name);
  expect(guilty).toEqual([]);
});
