// Numbers as people read them: the viewer's language, the tag's digits, a real minus sign, a thin space before the unit.

/** Narrow no-break space: thin, and a value never parts from its unit at a line's end. */
export const THIN = '\u202f';
export const MINUS = '\u2212';
export const MISSING = '\u2013';

const formats = new Map<string, Intl.NumberFormat>();

function format(locale: string, digits: number): Intl.NumberFormat {
  const key = `${locale}|${digits}`;
  let found = formats.get(key);
  if (!found) {
    // `negative` rather than `auto`: a value that rounds to zero is shown as 0.0, never as −0.0.
    found = new Intl.NumberFormat(locale, {
      minimumFractionDigits: digits,
      maximumFractionDigits: digits,
      signDisplay: 'negative',
    });
    formats.set(key, found);
  }
  return found;
}

/** Digits after the point for a value whose tag names none: about four figures that mean something. */
export function guessDigits(value: number): number {
  const size = Math.abs(value);
  if (Number.isInteger(value)) return 0;
  if (size >= 1000) return 0;
  if (size >= 100) return 1;
  if (size >= 10) return 2;
  return 3;
}

export function formatNumber(value: number | null | undefined, digits: number | null, locale: string): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return MISSING;
  const text = format(locale, digits ?? guessDigits(value)).format(value);
  return text.replace('-', MINUS);
}

const wholeFormats = new Map<string, Intl.NumberFormat>();
/** A number with all its digits, at most six behind the mark, and none added: as a person wrote it. */
export function exactNumber(value: number, locale: string): string {
  let found = wholeFormats.get(locale);
  if (!found) wholeFormats.set(locale, (found = new Intl.NumberFormat(locale, { maximumFractionDigits: 6, signDisplay: 'negative' })));
  return found.format(value).replace('-', MINUS);
}

/** What JSON has no number for, as it is written there instead. */
const BEYOND: Readonly<Record<string, string>> = { Infinity: '\u221e', '-Infinity': `${MINUS}\u221e`, NaN: 'NaN' };

const plainFormats = new Map<string, Intl.NumberFormat>();
/**
 * A number of which no tag says the digits: ten figures at most, without thousands marks, so that a column of identifiers stays one.
 * A text is a number that a browser cannot hold: it stays as it was written, but for `Infinity`, `-Infinity` and `NaN`.
 */
export function numberText(value: number | string, locale: string): string {
  if (typeof value === 'string' || !Number.isFinite(value)) return BEYOND[value] ?? String(value);
  let found = plainFormats.get(locale);
  if (!found) plainFormats.set(locale, (found = new Intl.NumberFormat(locale, { maximumSignificantDigits: 10, useGrouping: false, signDisplay: 'negative' })));
  if (Number.isInteger(value)) return String(value).replace('-', MINUS);
  return found.format(value).replace('-', MINUS);
}

export function withUnit(text: string, symbol: string | null): string {
  return symbol ? `${text}${THIN}${symbol}` : text;
}

const BYTES = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'] as const;

/** Bytes as disks are sold: powers of a thousand, three figures. Number and unit apart, for a tile. */
export function bytesParts(bytes: number, locale: string): { text: string; unit: string } {
  let size = bytes;
  let step = 0;
  // 999.6 kB would be written as 1000: it is the next unit's.
  while (Math.abs(size) >= 999.5 && step < BYTES.length - 1) {
    size /= 1000;
    step += 1;
  }
  const digits = step === 0 || Math.abs(size) >= 99.95 ? 0 : Math.abs(size) >= 9.995 ? 1 : 2;
  return { text: formatNumber(size, digits, locale), unit: BYTES[step] ?? 'B' };
}

export type Parsed = { ok: true; value: number } | { ok: false; why: 'empty' | 'not-a-number' | 'ambiguous' };

/** What stands before the digits of a fraction. */
export const decimalMark = (locale: string): string => separators(locale).decimal;

function separators(locale: string): { decimal: string; group: string } {
  const parts = new Intl.NumberFormat(locale).formatToParts(12345.6);
  const find = (type: string): string => parts.find((part) => part.type === type)?.value ?? '';
  return { decimal: find('decimal') || '.', group: find('group') };
}

/**
 * Reads what a person typed. One point or one comma is the decimal mark; thousands marks are not taken.
 * "1,250" where the comma usually groups thousands could mean two numbers, and a machine would be sent one of
 * them: it is refused as ambiguous instead of guessed.
 */
export function parseNumber(text: string, locale: string): Parsed {
  const plain = text.replace(/[\s\u00a0\u202f\u2009]/g, '').replace(MINUS, '-');
  if (plain === '') return { ok: false, why: 'empty' };
  if (!/^[+-]?(\d+([.,]\d*)?|[.,]\d+)$/.test(plain)) return { ok: false, why: 'not-a-number' };
  const mark = /[.,]/.exec(plain)?.[0];
  const { group } = separators(locale);
  if (mark !== undefined && mark === group && /[.,]\d{3}$/.test(plain)) return { ok: false, why: 'ambiguous' };
  return { ok: true, value: Number(plain.replace(',', '.')) };
}

/** A number as it stands in an input field: no thousands marks, the language's decimal mark. */
export function toField(value: number, digits: number | null, locale: string): string {
  const text = value.toFixed(Math.min(digits ?? guessDigits(value), 9));
  return text.replace('.', separators(locale).decimal);
}
