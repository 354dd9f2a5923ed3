// Payloads and rates of MQTT topics, in words.

import { formatNumber, MISSING, THIN } from './number';
import { spanText } from './time';

/** JSON with an indent of two, where the text is JSON; else the text as it is. Numbers keep their digits: the text is not read and written anew. */
export function pretty(text: string): string {
  try {
    JSON.parse(text);
  } catch {
    return text;
  }
  let out = '';
  let depth = 0;
  let inText = false;
  for (let i = 0; i < text.length; i += 1) {
    const c = text.charAt(i);
    if (inText) {
      out += c;
      if (c === '\\') {
        i += 1;
        out += text.charAt(i);
      } else if (c === '"') inText = false;
      continue;
    }
    if (/\s/.test(c)) continue;
    if (c === '"') inText = true;
    if (c === '}' || c === ']') {
      depth -= 1;
      if (!/[{[]$/.test(out)) out += `\n${'  '.repeat(depth)}`;
    } else if (/[{[]$/.test(out)) out += `\n${'  '.repeat(depth)}`;
    out += c;
    if (c === '{' || c === '[') depth += 1;
    if (c === ',') out += `\n${'  '.repeat(depth)}`;
    if (c === ':') out += ' ';
  }
  return out;
}

/** Bytes in base64 as rows of sixteen: hexadecimal, and what can be read of them. */
export function hexDump(base64: string): string {
  const bytes = [...atob(base64)].map((c) => c.charCodeAt(0));
  const rows: string[] = [];
  for (let at = 0; at < bytes.length; at += 16) {
    const row = bytes.slice(at, at + 16);
    const hex = row.map((b) => b.toString(16).padStart(2, '0')).join(' ');
    const plain = row.map((b) => (b >= 0x20 && b < 0x7f ? String.fromCharCode(b) : '·')).join('');
    rows.push(`${at.toString(16).padStart(4, '0')}  ${hex.padEnd(47)}  ${plain}`);
  }
  return rows.join('\n');
}

/** So many per second; what is rarer per minute, hour or day. Three figures at most, with its unit. */
export function rateText(perSecond: number | null, locale: string): string {
  if (perSecond === null || !Number.isFinite(perSecond)) return MISSING;
  const steps: [number, string][] = [[1, 's'], [60, 'min'], [3600, 'h'], [86_400, 'd']];
  const [factor, unit] = steps.find(([f]) => perSecond * f >= 0.95) ?? [86_400, 'd'];
  const size = perSecond * factor;
  if (size === 0) return MISSING;
  if (size < 0.05) return `<${THIN}0.1/d`;
  const digits = size >= 99.95 || Math.abs(size - Math.round(size)) < 0.05 ? 0 : 1;
  return `${formatNumber(size, digits, locale)}/${unit}`;
}

/** An interval with as many figures as mean something: `250 ms`, `1.5 s`, `10 s`, `4 min`. */
export function intervalText(ms: number | null, locale: string): string {
  if (ms === null || !Number.isFinite(ms)) return MISSING;
  if (ms < 1000) return `${formatNumber(ms, ms < 10 ? 1 : 0, locale)}${THIN}ms`;
  if (ms < 9950) return `${formatNumber(ms / 1000, 1, locale)}${THIN}s`;
  return spanText(ms + 500);
}
