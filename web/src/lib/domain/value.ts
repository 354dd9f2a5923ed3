// A live value as a screen may show it: no screen can forget "bad" or "stale", for there is no value without its state.

import type { Live, Scalar, Tag } from '$lib/api/types';
import { formatNumber, MISSING, withUnit } from './number';

export type Shown =
  | { state: 'good'; value: Scalar; at: number }
  /** Uncertain: shown with its value, marked. */
  | { state: 'uncertain'; value: Scalar; at: number; code: number }
  /** Silent for longer than the tag allows, or the link to the server is lost: the last value, hatched. */
  | { state: 'stale'; value: Scalar; at: number; why: 'silent' | 'link' }
  /** Not to be trusted: the last value if there is one, hatched, with the reason. */
  | { state: 'bad'; value: Scalar | null; at: number; code: number }
  | { state: 'none' };

/** `now` is the server's clock; `linkLostAt` is set while the browser has no connection. */
export function show(live: Live, tag: Pick<Tag, 'staleAfterMs'>, now: number, linkLostAt: number | null): Shown {
  if (live.state === 'none') return { state: 'none' };
  if (live.state === 'bad') return { state: 'bad', value: live.value, at: live.at, code: live.code };
  if (linkLostAt !== null) return { state: 'stale', value: live.value, at: live.at, why: 'link' };
  if (tag.staleAfterMs !== null && now - live.received > tag.staleAfterMs) {
    return { state: 'stale', value: live.value, at: live.at, why: 'silent' };
  }
  return live.state === 'uncertain'
    ? { state: 'uncertain', value: live.value, at: live.at, code: live.code }
    : { state: 'good', value: live.value, at: live.at };
}

export function isHatched(shown: Shown): boolean {
  return shown.state === 'stale' || shown.state === 'bad' || shown.state === 'none';
}

/** The word for a whole number or a boolean, if the tag has one. */
export function stateWord(tag: Pick<Tag, 'states'>, value: Scalar): string | null {
  const key = typeof value === 'boolean' ? String(Number(value)) : String(value);
  return tag.states[key] ?? null;
}

export function asNumber(value: Scalar | null): number | null {
  if (typeof value === 'number') return Number.isFinite(value) ? value : null;
  if (typeof value === 'boolean') return value ? 1 : 0;
  return null;
}

/** Whether a value holds until the next one: there is nothing between two states. */
export const isStepped = (tag: Pick<Tag, 'interpolation' | 'dataType' | 'states'>): boolean =>
  tag.interpolation === 'stepped' || tag.dataType === 'boolean' || Object.keys(tag.states).length > 0;

type Formatted = Pick<Tag, 'states' | 'digits' | 'dataType'>;

/** The value without its unit: a word, a number in the tag's digits, or the text. */
export function valueText(tag: Formatted, value: Scalar | null, locale: string, words: { on: string; off: string }): string {
  if (value === null) return MISSING;
  const word = stateWord(tag, value);
  if (word !== null) return word;
  if (typeof value === 'boolean') return value ? words.on : words.off;
  if (typeof value === 'number') return formatNumber(value, tag.dataType === 'int64' ? 0 : tag.digits, locale);
  return value;
}

export function valueWithUnit(
  tag: Formatted & Pick<Tag, 'symbol'>,
  value: Scalar | null,
  locale: string,
  words: { on: string; off: string },
): string {
  const text = valueText(tag, value, locale, words);
  return typeof value === 'number' && stateWord(tag, value) === null ? withUnit(text, tag.symbol) : text;
}
