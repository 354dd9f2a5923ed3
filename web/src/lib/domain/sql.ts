// The answer to a query: read as it comes, cut where a screen has enough, and its cells as people read them.

import { shortDate, clockTime } from './time';
import { numberText } from './number';
import type { Dot } from './series';
import type { Severity } from './quality';

export type Cell = string | number | boolean | null;
/** `local` is a time without a zone: shown as it is written. */
export type Kind = 'number' | 'time' | 'local' | 'boolean' | 'text';
export interface ResultColumn {
  name: string;
  /** PostgreSQL's word. */
  type: string;
  kind: Kind;
}
export interface Result {
  columns: ResultColumn[];
  rows: Cell[][];
  /** The server broke off and said why. */
  error: { code: string; message: string } | null;
  /** `cut`: there was more than a screen holds. `broken`: the connection ended in the middle. */
  end: 'whole' | 'cut' | 'broken';
}

export const MOST_ROWS = 50_000;
const MOST_CHARACTERS = 32_000_000;

export function kindOf(type: string): Kind {
  if (/^(smallint|integer|bigint|real|double precision|numeric|decimal)\b/.test(type)) return 'number';
  if (type === 'timestamp with time zone' || type === 'timestamptz') return 'time';
  if (/^(timestamp|date)\b/.test(type)) return 'local';
  return type === 'boolean' ? 'boolean' : 'text';
}

/**
 * Follows `{"columns":[…],"rows":[[…],…]}` while it arrives, only so far as to know where each row ends. An answer that ends
 * anywhere can so be read up to its last whole row.
 */
export class AnswerReader {
  #pieces: string[] = [];
  #length = 0;
  #depth = 0;
  #quoted = false;
  #escaped = false;
  #lists = 0;
  #begin = -1;
  #lastEnd = -1;
  rows = 0;

  /** False: that is enough, the rest need not be fetched. */
  feed(piece: string): boolean {
    const before = this.#length;
    this.#pieces.push(piece);
    this.#length += piece.length;
    for (let i = 0; i < piece.length; i += 1) {
      const c = piece.charCodeAt(i);
      if (this.#quoted) {
        if (this.#escaped) this.#escaped = false;
        else if (c === 92) this.#escaped = true;
        else if (c === 34) this.#quoted = false;
      } else if (c === 34) this.#quoted = true;
      else if (c === 91 || c === 123) {
        this.#depth += 1;
        if (this.#depth === 2 && c === 91) {
          this.#lists += 1;
          // The second list of the outermost object is that of the rows.
          if (this.#lists === 2) this.#begin = before + i + 1;
        }
      } else if (c === 93 || c === 125) {
        this.#depth -= 1;
        if (this.#depth === 2 && c === 93 && this.#begin >= 0) {
          this.rows += 1;
          this.#lastEnd = before + i + 1;
          if (this.rows >= MOST_ROWS) return false;
        }
      }
    }
    return this.#length < MOST_CHARACTERS;
  }

  /** Throws a `SyntaxError` where not even the columns have come. */
  finish(end: Result['end']): Result {
    const whole = end === 'whole' && this.#depth === 0 && this.#begin >= 0;
    const all = this.#pieces.join('');
    const text = whole ? all : this.#begin >= 0 ? `${all.slice(0, Math.max(this.#begin, this.#lastEnd))}]}` : all;
    return toResult(text, whole ? 'whole' : end === 'whole' ? 'broken' : end);
  }
}

function toResult(text: string, end: Result['end']): Result {
  let raw = JSON.parse(text) as { columns: { name: string; type: string }[]; rows: Cell[][]; error?: { code?: string; message?: string } };
  const columns = raw.columns.map(({ name, type }) => ({ name, type, kind: kindOf(type) }));
  const whole = columns.flatMap((c, i) => (c.type === 'bigint' ? [i] : []));
  // Beyond 2⁵³ a browser's number is not the one that was sent: those stay as they were written.
  if (raw.rows.some((row) => whole.some((i) => typeof row[i] === 'number' && !Number.isSafeInteger(row[i])))) raw = JSON.parse(text, asWritten as (this: unknown, key: string, value: unknown) => unknown) as typeof raw;
  return { columns, rows: raw.rows, error: raw.error ? { code: raw.error.code ?? '', message: raw.error.message ?? '' } : null, end };
}
function asWritten(_key: string, value: unknown, context?: { source?: string }): unknown {
  return typeof value === 'number' && Number.isInteger(value) && !Number.isSafeInteger(value) ? (context?.source ?? value) : value;
}

/** The time of a cell in ms; null where it is none. A time without a zone is taken as the viewer's. */
export function timeOf(cell: Cell, kind: Kind): number | null {
  if (typeof cell !== 'string' || (kind !== 'time' && kind !== 'local')) return null;
  // A bare date would be read as UTC.
  const ms = Date.parse(kind === 'local' && !cell.includes('T') ? `${cell.replace(' ', 'T')}${cell.length === 10 ? 'T00:00:00' : ''}` : cell);
  return Number.isFinite(ms) ? ms : null;
}

/** Numbers with ten figures at most; all digits are in the CSV. */
export function cellText(cell: Cell, kind: Kind, now: number, locale: string, words: { yes: string; no: string }): string | null {
  if (cell === null) return null;
  if (kind === 'number') return typeof cell === 'boolean' ? String(cell) : numberText(cell, locale);
  if (kind === 'boolean' && typeof cell === 'boolean') return cell ? words.yes : words.no;
  if (kind === 'time') {
    const at = timeOf(cell, kind);
    return at === null ? String(cell) : `${shortDate(at, now, locale)} ${clockTime(at, at % 1000 !== 0)}`;
  }
  return kind === 'local' ? String(cell).replace('T', ' ').replace(/\.?0+$/, (zeros) => (zeros.startsWith('.') ? '' : zeros)) : String(cell);
}

export interface Curve {
  name: string;
  dots: Dot[];
}
const MOST_CURVES = 8;
/** Columns that tell something about a reading, and not whose it is. */
const ABOUT = new Set(['quality', 'status', 'text', 'raw', 'unit']);

/** The words that the views say of a reading; anything else in such a column says nothing of it. */
function severityIn(cell: Cell | undefined): Severity {
  return cell === 'bad' || cell === 'uncertain' ? cell : 'good';
}

/**
 * What of a result can be drawn over time: its first time column, its numbers, and one curve for each word of its first text column
 * where the same times occur under several words. A null, and a reading of bad quality, breaks the line. Null: nothing.
 */
export function curvesOf({ columns, rows }: Pick<Result, 'columns' | 'rows'>): { curves: Curve[]; more: number; from: number; to: number } | null {
  const time = columns.findIndex((c) => c.kind === 'time');
  const x = time >= 0 ? time : columns.findIndex((c) => c.kind === 'local');
  const numbers = columns.flatMap((c, i) => (c.kind === 'number' && c.name !== 'status_code' ? [i] : []));
  const quality = columns.findIndex((c) => c.kind === 'text' && c.name === 'quality');
  const kind = columns[x]?.kind;
  if (!kind || numbers.length === 0 || rows.length < 2) return null;
  const seen = new Set(rows.map((row) => row[x]));
  const word = seen.size < rows.length ? columns.findIndex((c) => c.kind === 'text' && !ABOUT.has(c.name)) : -1;
  const curves = new Map<string, Curve>();
  let from = Infinity;
  let to = -Infinity;
  for (const row of rows) {
    const at = timeOf(row[x] ?? null, kind);
    if (at === null) continue;
    from = Math.min(from, at);
    to = Math.max(to, at);
    for (const i of numbers) {
      const name = [word >= 0 ? String(row[word] ?? '') : '', word < 0 || numbers.length > 1 ? (columns[i]?.name ?? '') : ''].filter(Boolean).join(' · ');
      let curve = curves.get(name);
      if (!curve) curves.set(name, (curve = { name, dots: [] }));
      const cell = row[i] ?? null;
      const y = cell === null ? null : Number(cell);
      const q = quality < 0 ? 'good' : severityIn(row[quality]);
      // A null without a word about its quality breaks the line: there is no value, and that is no bad reading either.
      curve.dots.push({ x: at, y: y !== null && Number.isFinite(y) && q !== 'bad' ? y : null, q });
    }
  }
  const all = [...curves.values()].filter((c) => c.dots.some((d) => d.y !== null));
  if (all.length === 0 || !(to > from)) return null;
  for (const curve of all) curve.dots.sort((a, b) => a.x - b.x);
  return { curves: all.slice(0, MOST_CURVES), more: Math.max(0, all.length - MOST_CURVES), from, to };
}

export interface Asked {
  text: string;
  at: number;
}
const MOST_ASKED = 40;

/** The queries of this browser, newest first, each once. */
export function remembering(known: readonly Asked[], text: string, at: number): Asked[] {
  return [{ text, at }, ...known.filter((one) => one.text !== text)].slice(0, MOST_ASKED);
}

export function parseAsked(text: string | null): Asked[] {
  try {
    const raw: unknown = JSON.parse(text ?? '[]');
    return (Array.isArray(raw) ? raw : []).filter((one): one is Asked => typeof one?.text === 'string' && typeof one.at === 'number').slice(0, MOST_ASKED);
  } catch {
    return [];
  }
}
