import { expect, test } from 'vitest';
import { hexDump, intervalText, pretty, rateText } from './payload';

test('JSON is indented and its numbers keep their digits', () => {
  expect(pretty('{"a":1.50,"b":[1,{"c":"x, {y}: \\"z\\""}],"d":{},"e":[]}')).toBe(
    '{\n  "a": 1.50,\n  "b": [\n    1,\n    {\n      "c": "x, {y}: \\"z\\""\n    }\n  ],\n  "d": {},\n  "e": []\n}',
  );
  expect(pretty('12345678901234567890')).toBe('12345678901234567890');
  expect(pretty('not json {')).toBe('not json {');
});

test('what was indented once stays as it is', () => {
  const once = pretty('[{"a":[[]],"b":null}]');
  expect(pretty(once)).toBe(once);
});

test('bytes are shown in rows', () => {
  expect(hexDump(btoa('\x00AB\xff'))).toBe(`0000  ${'00 41 42 ff'.padEnd(47)}  ·AB·`);
});

test('a rate has the unit in which it is a number that can be read', () => {
  for (const [perSecond, text] of [
    [1234.4, '1,234/s'], [12.34, '12.3/s'], [1, '1/s'], [0.999, '1/s'], [0.5, '30/min'], [1 / 60, '1/min'], [1 / 600, '6/h'], [1 / 3600, '1/h'], [1 / 86_400, '1/d'], [1e-9, '<\u202f0.1/d'], [0, '–'], [null, '–'],
  ] as const) {
    expect(rateText(perSecond, 'en-GB')).toBe(text);
  }
});

test('an interval has as many figures as mean something', () => {
  for (const [ms, text] of [[2.5, '2.5\u202fms'], [250, '250\u202fms'], [1500, '1.5\u202fs'], [9999, '10\u202fs'], [60_000, '1\u202fmin'], [null, '–']] as const) {
    expect(intervalText(ms, 'en-GB')).toBe(text);
  }
});
