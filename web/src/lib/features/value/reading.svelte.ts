// What a screen says about one tag right now: text, unit, hatching, and the word that explains it.

import { clock } from '$lib/api/clock.svelte';
import { live } from '$lib/api/live.svelte';
import type { Scalar, Tag } from '$lib/api/types';
import { qualityKey } from '$lib/domain/quality';
import { HOUR, roughSpan, timeText } from '$lib/domain/time';
import { isHatched, show, stateWord, valueText, valueWithUnit, type Shown } from '$lib/domain/value';
import { language, t, tMaybe } from '$messages';

export interface Reading {
  shown: Shown;
  hatched: boolean;
  text: string;
  /** Null where the text is a word. */
  symbol: string | null;
  /** Why and since when, for a value that is not simply good; null for a good one. */
  note: string | null;
  /** When, and how long ago, for a good value that is older than an hour. That may be as it should: it is said, not marked. */
  age: string | null;
}

const words = (): { on: string; off: string } => ({ on: t('word.on'), off: t('word.off') });

export function when(ms: number | null): string {
  return timeText(ms, clock.now, language.tag);
}

export function qualityWords(code: number): string {
  return tMaybe(qualityKey(code)) ?? t('quality.bad');
}

export function sayValue(tag: Tag, value: Scalar | null): string {
  return valueWithUnit(tag, value, language.tag, words());
}

function noteOf(shown: Shown): string | null {
  switch (shown.state) {
    case 'good':
      return null;
    case 'none':
      return t('value.none');
    case 'stale':
      return t(shown.why === 'link' ? 'value.link_since' : 'value.stale_since', { time: when(shown.at) });
    case 'bad':
    case 'uncertain':
      return t('value.bad_since', { reason: qualityWords(shown.code), time: when(shown.at) });
  }
}

function ageOf(shown: Shown): string | null {
  if (shown.state !== 'good' || clock.now - shown.at < HOUR) return null;
  return t('value.age', { time: when(shown.at), span: roughSpan(clock.now - shown.at) });
}

export function read(tag: Tag): Reading {
  const shown = show(live.value(tag.path), tag, clock.now, live.lostSince);
  const value = shown.state === 'none' ? null : shown.value;
  return {
    shown,
    hatched: isHatched(shown),
    text: valueText(tag, value, language.tag, words()),
    symbol: typeof value === 'number' && stateWord(tag, value) === null ? tag.symbol : null,
    note: noteOf(shown),
    age: ageOf(shown),
  };
}
