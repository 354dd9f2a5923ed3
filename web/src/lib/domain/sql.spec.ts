import { describe, expect, test } from 'vitest';
import { AnswerReader, cellText, curvesOf, kindOf, MOST_ROWS, parseAsked, remembering, type Cell } from './sql';

const HEAD = '{"columns":[{"name":"ts","type":"timestamp with time zone"},{"name":"value","type":"double precision"}],"rows":[';
const read = (text: string, end: 'whole' | 'cut' | 'broken' = 'whole', chunk = 7) => {
  const reader = new AnswerReader();
  for (let i = 0; i < text.length; i += chunk) if (!reader.feed(text.slice(i, i + chunk))) return reader.finish('cut');
  return reader.finish(end);
};

describe('an answer as it comes', () => {
  test('whole', () => {
    const answer = read(`${HEAD}["a",1],["b",null]]}`);
    expect([answer.end, answer.rows, answer.error]).toEqual(['whole', [['a', 1], ['b', null]], null]);
  });
  test('without rows it is an answer', () => expect(read(`${HEAD}]}`)).toMatchObject({ end: 'whole', rows: [] }));
  test('an error at its end comes with the rows before it', () =>
    expect(read(`${HEAD}["a",1]],"error":{"code":"57014","message":"too long"}}`)).toMatchObject({ rows: [['a', 1]], error: { code: '57014', message: 'too long' } }));
  test('cut off anywhere after the columns, it is read to its last whole row, whatever stands in the texts', () => {
    const text = `${HEAD}["],[\\"{",1],["b\\\\",2],["c]",3]]}`;
    for (let i = HEAD.length; i < text.length; i += 1) {
      const answer = read(text.slice(0, i), 'whole', 3);
      expect(answer.end).toBe('broken');
      expect(answer.rows).toEqual([['],["{', 1], ['b\\', 2], ['c]', 3]].slice(0, answer.rows.length));
    }
  });
  test('more rows than a screen holds are not fetched', () => {
    const answer = read(`${HEAD}${'["a",1],'.repeat(MOST_ROWS + 10)}`, 'whole', 10_000);
    expect([answer.end, answer.rows.length]).toEqual(['cut', MOST_ROWS]);
  });
  test('without columns there is no answer', () => expect(() => read('{"columns":[{"na', 'broken')).toThrow());
  test('whole numbers beyond 2⁵³ keep their digits', () => {
    const answer = read('{"columns":[{"name":"n","type":"bigint"}],"rows":[[9007199254740993],[1]]}');
    // Engines without the source text can only give the number.
    expect(String(answer.rows[0]?.[0])).toMatch(/^900719925474099[23]$/);
    expect(answer.rows[1]).toEqual([1]);
  });
});

test('kinds of columns', () => {
  expect(['bigint', 'double precision', 'numeric', 'timestamp with time zone', 'timestamp without time zone', 'date', 'boolean', 'text', 'interval'].map(kindOf)).toEqual([
    'number', 'number', 'number', 'time', 'local', 'local', 'boolean', 'text', 'text',
  ]);
});

test('cells', () => {
  const now = Date.parse('2026-11-25T12:00:00Z');
  const say = (cell: Cell, kind: Parameters<typeof cellText>[1]): string | null => cellText(cell, kind, now, 'en', { yes: 'yes', no: 'no' });
  expect(say(null, 'text')).toBeNull();
  expect(say(-1234567, 'number')).toBe('−1234567');
  expect(say(3.0182736451827364, 'number')).toBe('3.018273645');
  expect(say('12.50', 'number')).toBe('12.50');
  expect(['Infinity', '-Infinity', 'NaN', '9007199254740993', Infinity].map((cell) => say(cell, 'number'))).toEqual(['∞', '−∞', 'NaN', '9007199254740993', '∞']);
  expect(say('Infinity', 'text')).toBe('Infinity');
  expect(say(true, 'boolean')).toBe('yes');
  expect(say('2026-11-25T00:00:00.000000', 'local')).toBe('2026-11-25 00:00:00');
  expect(say('2026-11-25', 'local')).toBe('2026-11-25');
  expect(say('2026-11-25T10:20:30.250000Z', 'time')).toMatch(/Nov.* \d\d:20:30\.250$/);
  expect(say('no time', 'time')).toBe('no time');
});

describe('curves', () => {
  const columns = [{ name: 'path', type: 'text', kind: 'text' as const }, { name: 'ts', type: 'timestamptz', kind: 'time' as const }, { name: 'value', type: 'double precision', kind: 'number' as const }];
  const at = (s: number): string => new Date(s * 1000).toISOString();
  test('one for each word where times repeat', () => {
    const found = curvesOf({ columns, rows: [['a', at(0), 1], ['a', at(1), 2], ['b', at(0), 3], ['b', at(1), null]] });
    expect(found?.curves.map((c) => [c.name, c.dots.map((d) => d.y)])).toEqual([['a', [1, 2]], ['b', [3, null]]]);
  });
  test('what is no finite number breaks the line', () => {
    const found = curvesOf({ columns, rows: [['a', at(0), 1], ['a', at(1), 'Infinity'], ['a', at(2), 'NaN'], ['a', at(3), 2]] });
    expect(found?.curves[0]?.dots.map((d) => d.y)).toEqual([1, null, null, 2]);
  });
  test('otherwise one for each number, in the order of time', () => {
    const found = curvesOf({ columns, rows: [['a', at(5), 1], ['b', at(1), 2]] });
    expect(found?.curves.map((c) => [c.name, c.dots.map((d) => d.y)])).toEqual([['value', [2, 1]]]);
  });
  test('a null, a number that is none and a bad reading break the line, and what is bad or uncertain says so', () => {
    const told = [...columns, { name: 'quality', type: 'text', kind: 'text' as const }];
    const found = curvesOf({ columns: told, rows: [['a', at(0), 1, 'good'], ['a', at(1), 2, 'bad'], ['a', at(2), 3, 'uncertain'], ['a', at(3), null, 'good'], ['a', at(4), 'Infinity', 'good'], ['a', at(5), 'NaN', 'good'], ['a', at(6), 4, 'good']] });
    expect(found?.curves.map((c) => [c.name, c.dots.map((d) => `${d.y} ${d.q}`)])).toEqual([['value', ['1 good', 'null bad', '3 uncertain', 'null good', 'null good', 'null good', '4 good']]]);
  });
  test('quality is never whose curve it is', () => {
    const told = [{ name: 'quality', type: 'text', kind: 'text' as const }, ...columns];
    const found = curvesOf({ columns: told, rows: [['good', 'a', at(0), 1], ['bad', 'a', at(1), null], ['good', 'b', at(0), 2], ['good', 'b', at(1), 2]] });
    expect(found?.curves.map((c) => c.name)).toEqual(['a', 'b']);
  });
  test('nothing without a time, without numbers or with one moment only', () => {
    expect(curvesOf({ columns: columns.slice(0, 1), rows: [['a'], ['b']] })).toBeNull();
    expect(curvesOf({ columns, rows: [['a', at(1), 1]] })).toBeNull();
    expect(curvesOf({ columns, rows: [['a', at(1), null], ['b', at(2), null]] })).toBeNull();
  });
  test('no more than eight, and how many were left out', () => {
    const rows = Array.from({ length: 20 }, (_, i): Cell[] => [`t${i % 10}`, at(Math.floor(i / 10)), i]);
    const found = curvesOf({ columns, rows });
    expect([found?.curves.length, found?.more]).toEqual([8, 2]);
  });
});

test('queries of this browser: newest first, each once, a few', () => {
  let known = parseAsked('nonsense');
  for (let i = 0; i < 60; i += 1) known = remembering(known, `q${i % 50}`, i);
  expect(known).toHaveLength(40);
  expect(known[0]).toEqual({ text: 'q9', at: 59 });
  expect(new Set(known.map((k) => k.text)).size).toBe(40);
  expect(parseAsked(JSON.stringify([{ text: 1 }, { text: 'a', at: 2 }]))).toEqual([{ text: 'a', at: 2 }]);
});
