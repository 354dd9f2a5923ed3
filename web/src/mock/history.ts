// The mock's historian: aggregates, what history takes on disk, and a very small SQL. Works on the points it is given.

export type Point = [at: number, value: unknown, code: number];
const CALCULATED = 0x401;
const SUB_NORMAL = 0x40a40000;
const BAD_NO_DATA = 0x809b0000;

const numberOf = (value: unknown): number | null => (typeof value === 'boolean' ? Number(value) : typeof value === 'number' ? value : null);

/** One aggregate over one interval; a simplification of OPC 10000-13 that is right where the UI looks. */
export function aggregate(name: string, points: readonly Point[], from: number, to: number, stepped: boolean): Point {
  let area = 0;
  let time = 0;
  let good = 0;
  let min = Infinity;
  let max = -Infinity;
  const values: number[] = [];
  points.forEach(([at, value, code], i) => {
    const next = points[i + 1];
    const y = code >>> 30 === 0 ? numberOf(value) : null;
    const width = Math.min(to, next?.[0] ?? to) - Math.max(from, at);
    if (code >>> 30 === 0) good += Math.max(0, width);
    if (y === null) return;
    if (at >= from) values.push(y);
    min = Math.min(min, y);
    max = Math.max(max, y);
    const after = stepped || !next || next[2] >>> 30 !== 0 ? y : (numberOf(next[1]) ?? y);
    area += ((y + after) / 2) * Math.max(0, width);
    time += Math.max(0, width);
  });
  const share = to > from ? (good / (to - from)) * 100 : 0;
  if (name === 'PercentGood') return [from, Math.min(100, share), CALCULATED];
  if (name === 'DurationGood') return [from, good, CALCULATED];
  if (name === 'Count') return [from, values.length, CALCULATED];
  if (values.length === 0) return [from, null, BAD_NO_DATA];
  const mean = time > 0 ? area / time : (values[0] ?? 0);
  const plain = values.reduce((sum, v) => sum + v, 0) / values.length;
  const found: Record<string, number> = {
    Minimum2: min,
    Maximum2: max,
    TimeAverage2: mean,
    Average: plain,
    StandardDeviationPopulation: Math.sqrt(values.reduce((sum, v) => sum + (v - plain) ** 2, 0) / values.length),
  };
  return [from, found[name] ?? null, share < 99.99 ? (SUB_NORMAL | CALCULATED) >>> 0 : CALCULATED];
}

/** What stands in `information_schema.columns`, as the server's views have it. */
export const VIEWS: Readonly<Record<string, readonly [name: string, type: string][]>> = {
  equipment: [['path', 'text'], ['level', 'text'], ['title', 'text'], ['parent', 'text']],
  gaps: [['since', 'timestamp with time zone'], ['until', 'timestamp with time zone'], ['reason', 'text']],
  events: [['at', 'timestamp with time zone'], ['kind', 'text'], ['severity', 'bigint'], ['path', 'text'], ['by', 'text'], ['detail', 'text'], ['id', 'text'], ['seq', 'bigint']],
  last_values: [['path', 'text'], ['ts', 'timestamp with time zone'], ['value', 'double precision'], ['text', 'text'], ['quality', 'text'], ['status', 'text'], ['status_code', 'bigint'], ['raw', 'text'], ['unit', 'text'], ['stale', 'boolean']],
  samples: [['path', 'text'], ['ts', 'timestamp with time zone'], ['value', 'double precision'], ['text', 'text'], ['quality', 'text'], ['status', 'text'], ['status_code', 'bigint'], ['raw', 'text']],
  tags: [['path', 'text'], ['id', 'text'], ['title', 'text'], ['type', 'text'], ['unit', 'text'], ['low', 'double precision'], ['high', 'double precision'], ['digits', 'bigint'], ['stepped', 'boolean'], ['equipment', 'text'], ['description', 'text']],
};

export interface Table {
  columns: { name: string; type: string }[];
  rows: unknown[][];
  error?: { code: string; message: string };
}
export type SqlAnswer = { ok: Table; delay: number } | { refused: string };

const table = (columns: readonly (readonly [string, string])[], rows: unknown[][]): Table => ({ columns: columns.map(([name, type]) => ({ name, type })), rows });
const iso = (ms: number): string => `${new Date(ms).toISOString().slice(0, -1)}000Z`;
const qualityOf = (code: number): string => ['good', 'uncertain', 'bad', 'bad'][code >>> 30] ?? 'bad';

export interface Plant {
  now: number;
  paths: readonly string[];
  unitOf: (path: string) => string | null;
  points: (path: string, from: number, to: number) => Point[];
}

/** Reads what the page's examples and tests ask; the rest is refused in the server's manner. */
export function sql(query: string, plant: Plant): SqlAnswer {
  const text = query.replace(/--.*$/gm, '').trim().replace(/;$/, '');
  if (!/^(select|with|values|show|explain)\b/i.test(text)) return { refused: `only SELECT, WITH, VALUES, SHOW and EXPLAIN are answered, not ${/^\w+/.exec(text)?.[0]?.toUpperCase() ?? 'nothing'}` };
  if (/information_schema\.columns/i.test(text)) {
    const rows = Object.entries(VIEWS).flatMap(([view, columns]) => columns.map(([name, type]) => [view, name, type]));
    return { ok: table([['table_name', 'text'], ['column_name', 'text'], ['data_type', 'text']], rows), delay: 20 };
  }
  const delay = /sleep/i.test(text) ? 20_000 : 120;
  const view = /\bfrom\s+(\w+)/i.exec(text)?.[1]?.toLowerCase();
  const limit = Number(/\blimit\s+(\d+)/i.exec(text)?.[1] ?? Infinity);
  if (!view) return { ok: table([['one', 'bigint']], [[1]]), delay };
  if (!VIEWS[view]) return { refused: `table '${view}' not found` };
  const named = [...text.matchAll(/'([^']+\/[^']*)'/g)].map((m) => m[1] ?? '');
  const paths = plant.paths.filter((path) => named.length === 0 || named.some((n) => new RegExp(`^${n.replaceAll('%', '.*')}$`).test(path)));
  const unknown = /\bselect\b[\s\S]*?\bvalu\b/i.test(text);
  if (unknown) return { refused: 'there is no column "valu", did you mean "value"?' };
  if (view === 'samples') {
    // `value / 3`: numbers with as many digits as there are.
    const share = Number(/\bvalue \/ (\d+)/i.exec(text)?.[1] ?? 1);
    const hours = Number(/interval\s+'(\d+)\s*hour/i.exec(text)?.[1] ?? 1);
    const found = paths.slice(0, 4).flatMap((path) => plant.points(path, plant.now - hours * 3_600_000, plant.now).map(([at, value, code]): unknown[] => [path, iso(at), code >>> 30 === 2 ? null : divided(numberOf(value), share), qualityOf(code)]));
    if (/^select\s+\*/i.test(text)) {
      const whole = found.slice(0, limit).map(([path, ts, value, quality]) => [path, ts, value, null, quality, quality === 'good' ? 'Good' : 'BadNoCommunication', quality === 'good' ? 0 : 0x80310000, value === null ? null : String(value)]);
      return { ok: table(VIEWS['samples'] ?? [], whole), delay };
    }
    const several = paths.length > 1;
    const rows = found.slice(0, limit).map((row) => (several ? row : row.slice(1)));
    const columns = ([['path', 'text'], ['ts', 'timestamp with time zone'], ['value', 'double precision'], ['quality', 'text']] as const).slice(several ? 0 : 1);
    const answer = table(columns, rows);
    if (/break_off/i.test(text)) answer.error = { code: '57014', message: 'the query took longer than 60 s' };
    return { ok: answer, delay };
  }
  if (view === 'last_values') {
    const rows = paths.slice(0, limit).map((path) => {
      const [at, value, code] = plant.points(path, plant.now - 60_000, plant.now).at(-1) ?? [plant.now, null, BAD_NO_DATA];
      return [path, code >>> 30 === 2 ? null : numberOf(value), plant.unitOf(path), qualityOf(code), iso(at)];
    });
    return { ok: table([['path', 'text'], ['value', 'double precision'], ['unit', 'text'], ['quality', 'text'], ['ts', 'timestamp with time zone']], rows), delay };
  }
  if (view === 'tags') return { ok: table([['path', 'text'], ['unit', 'text']], paths.slice(0, limit).map((path) => [path, plant.unitOf(path)])), delay };
  return { ok: table(VIEWS[view], []), delay };
}

/** What JSON has no number for is a text, as the server writes it. */
function divided(value: unknown, by: number): unknown {
  if (typeof value !== 'number') return value;
  return Number.isFinite(value / by) ? value / by : String(value / by);
}

export function csv({ columns, rows }: Table): string {
  const cell = (value: unknown): string => (value === null ? '' : /[",\n]/.test(String(value)) ? `"${String(value).replaceAll('"', '""')}"` : String(value));
  return [columns.map((c) => c.name), ...rows].map((row) => row.map(cell).join(',')).join('\n');
}
