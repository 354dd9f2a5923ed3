// Every text on the screen goes through `t`. English is in the first bundle, other languages load when asked for.

import { en, type Messages } from './en';

export type Key = keyof Messages;
export type Locale = 'en' | 'de';
export const LOCALES: readonly Locale[] = ['en', 'de'];

type Values = Record<string, string | number>;

class Language {
  locale = $state<Locale>('en');
  texts = $state.raw<Messages>(en);

  /** For numbers and dates: the browser's own variant of the language (en-GB, de-AT), else the bare language. */
  readonly tag = $derived(
    (typeof navigator === 'undefined' ? [] : navigator.languages).find((l) => l.split('-')[0] === this.locale) ?? this.locale,
  );

  async use(locale: Locale): Promise<void> {
    this.texts = locale === 'de' ? (await import('./de')).de : en;
    this.locale = locale;
    document.documentElement.lang = locale;
  }

  /** The stored wish, else the browser's first language that we speak. */
  async begin(): Promise<void> {
    const stored = remembered('andon.locale');
    const wished = [stored, ...navigator.languages.map((l) => l.split('-')[0])];
    const found = wished.map((w) => LOCALES.find((l) => l === w)).find((l) => l !== undefined) ?? 'en';
    if (found !== 'en') await this.use(found);
  }
}

export const language = new Language();

export function remembered(key: string): string | null {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

export function remember(key: string, value: string): void {
  try {
    localStorage.setItem(key, value);
  } catch {
    // Storage may be switched off; the wish then lasts as long as the page.
  }
}

function fill(text: string, values: Values | undefined): string {
  return values ? text.replace(/\{(\w+)\}/g, (whole, name: string) => String(values[name] ?? whole)) : text;
}

export function t(key: Key, values?: Values): string {
  return fill(language.texts[key], values);
}

type Counted = { [K in Key]: K extends `${infer Stem}.one` ? Stem : never }[Key];

/** A text with a count: `<stem>.one` or `<stem>.other`, `{n}` in it. */
export function tn(stem: Counted, n: number, values: Values = {}): string {
  const form = new Intl.PluralRules(language.locale).select(n) === 'one' ? 'one' : 'other';
  return t(`${stem}.${form}` as Key, { n: new Intl.NumberFormat(language.tag).format(n), ...values });
}

/** A text whose key is put together at run time (a state, a role, a quality); null when there is none. */
export function tMaybe(key: string): string | null {
  return (language.texts as unknown as Readonly<Record<string, string | undefined>>)[key] ?? null;
}
