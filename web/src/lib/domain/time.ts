// Times and spans as people read them: 24 h, exact, with the date once they are older than a day.

import { formatNumber, MISSING } from './number';

export const SECOND = 1000;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

const formats = new Map<string, Intl.DateTimeFormat>();

function format(locale: string, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const key = locale + JSON.stringify(options);
  let found = formats.get(key);
  if (!found) {
    found = new Intl.DateTimeFormat(locale, options);
    formats.set(key, found);
  }
  return found;
}

const pad = (n: number, width = 2): string => String(n).padStart(width, '0');

/** `06:42:10`, in the browser's zone; with `millis` `06:42:10.512`. */
export function clockTime(ms: number, millis = false): string {
  const d = new Date(ms);
  const text = `${pad(d.getHours())}:${pad(d.getMinutes())}:${pad(d.getSeconds())}`;
  return millis ? `${text}.${pad(d.getMilliseconds(), 3)}` : text;
}

/** `21 Nov`, with the year where it is another one than `now`'s. */
export function shortDate(ms: number, now: number, locale: string): string {
  const other = new Date(ms).getFullYear() !== new Date(now).getFullYear();
  return format(locale, { day: 'numeric', month: 'short', ...(other ? { year: 'numeric' } : {}) }).format(ms);
}

/** `06:42:10`; older than a day (or of another day ahead) with the date before it. */
export function timeText(ms: number | null, now: number, locale: string, millis = false): string {
  if (ms === null || !Number.isFinite(ms)) return MISSING;
  const time = clockTime(ms, millis);
  return Math.abs(now - ms) < DAY ? time : `${shortDate(ms, now, locale)} ${time}`;
}

/** Date and time, always both. */
export function dateTimeText(ms: number, now: number, locale: string): string {
  return `${shortDate(ms, now, locale)} ${clockTime(ms)}`;
}

/** `4 s`, `12 min`, `3 h 20 min`, `2 d 4 h`: a span, rounded down. */
export function spanText(ms: number): string {
  const s = Math.max(0, Math.floor(ms / SECOND));
  if (s < 60) return `${s}\u202fs`;
  const min = Math.floor(s / 60);
  if (min < 60) return `${min}\u202fmin`;
  const h = Math.floor(min / 60);
  if (h < 24) return min % 60 ? `${h}\u202fh ${min % 60}\u202fmin` : `${h}\u202fh`;
  const d = Math.floor(h / 24);
  return h % 24 ? `${d}\u202fd ${h % 24}\u202fh` : `${d}\u202fd`;
}

/** `5 h`, `3 d`: a long span in its largest unit, rounded down. */
export function roughSpan(ms: number): string {
  return spanText(ms - (ms % (ms < DAY ? HOUR : DAY)));
}

/** A span with fractions, for the distance of two cursors: `12.40 s`, `3:05.0 min`. */
export function exactSpan(ms: number, locale: string): string {
  const sign = ms < 0 ? '−' : '';
  const size = Math.abs(ms);
  if (size < MINUTE) return `${sign}${formatNumber(size / SECOND, 2, locale)}\u202fs`;
  if (size < HOUR) return `${sign}${Math.floor(size / MINUTE)}:${pad(Math.floor((size % MINUTE) / SECOND))}\u202fmin`;
  const h = Math.floor(size / HOUR);
  return `${sign}${h}:${pad(Math.floor((size % HOUR) / MINUTE))}:${pad(Math.floor((size % MINUTE) / SECOND))}\u202fh`;
}

/** The browser's zone with its offset: `Europe/Berlin, UTC+1`. */
export function zoneName(at: number): string {
  const minutes = -new Date(at).getTimezoneOffset();
  const sign = minutes < 0 ? '−' : '+';
  const size = Math.abs(minutes);
  const offset = size % 60 ? `${Math.floor(size / 60)}:${pad(size % 60)}` : String(size / 60);
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  return zone && zone !== 'UTC' ? `${zone}, UTC${sign}${offset}` : `UTC${minutes === 0 ? '' : sign + offset}`;
}

/** A time as it is typed: `2026-11-22 06:42:10`, local. */
export function typedTime(ms: number): string {
  const d = new Date(ms);
  return `${d.getFullYear()}-${pad(d.getMonth() + 1)}-${pad(d.getDate())} ${clockTime(ms)}`;
}

/** Reads a typed time: the date may be left out (then it is `now`'s day), and so may the seconds. Null when it is none. */
export function parseTyped(text: string, now: number): number | null {
  const match = /^(?:(\d{4})-(\d{1,2})-(\d{1,2})[ T]+)?(\d{1,2}):(\d{2})(?::(\d{2}))?$/.exec(text.trim());
  if (!match) return null;
  const today = new Date(now);
  const [year, month, day] = match[1] === undefined ? [today.getFullYear(), today.getMonth(), today.getDate()] : [Number(match[1]), Number(match[2]) - 1, Number(match[3])];
  const [hour, minute, second] = [Number(match[4]), Number(match[5]), Number(match[6] ?? 0)];
  const d = new Date(year, month, day, hour, minute, second);
  // The 31st of February or 25:00 would silently become another time.
  const same = d.getMonth() === month && d.getDate() === day && d.getHours() === hour && minute < 60 && second < 60;
  return same ? d.getTime() : null;
}

const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200].map((s) => s * SECOND);

/** Round times of the viewer's clock between two times, at most `most`; labels need seconds where the step is under a minute. */
export function timeTicks(from: number, to: number, most: number): { at: number[]; seconds: boolean } {
  if (!(to > from) || most < 1) return { at: [], seconds: false };
  const step = STEPS.find((s) => (to - from) / s <= most) ?? Math.ceil((to - from) / most / DAY) * DAY;
  const zone = new Date(from).getTimezoneOffset() * MINUTE;
  const at: number[] = [];
  for (let tick = Math.ceil((from - zone) / step) * step + zone; tick <= to && at.length < most; tick += step) at.push(tick);
  return { at, seconds: step < MINUTE };
}

/**
 * What stands at the ticks of a time axis from `from` to `to`: the time of day; where that is not one day, the first tick and each
 * midnight say the date, too.
 */
export function tickTexts(ticks: readonly number[], from: number, to: number, seconds: boolean, now: number, locale: string): string[] {
  const dated = new Date(from).toDateString() !== new Date(to).toDateString() || Math.abs(now - from) >= DAY;
  return ticks.map((at, i) => {
    const time = seconds ? clockTime(at) : clockTime(at).slice(0, 5);
    const midnight = clockTime(at) === '00:00:00';
    if (!dated || (i > 0 && !midnight)) return time;
    return midnight ? shortDate(at, now, locale) : `${shortDate(at, now, locale)} ${time}`;
  });
}

/** A span in words that do not change every second while it grows: whole minutes, below one tens of seconds. */
export function calmSpan(ms: number): string {
  return spanText(ms < MINUTE ? Math.max(10 * SECOND, Math.floor(ms / (10 * SECOND)) * 10 * SECOND) : ms);
}
