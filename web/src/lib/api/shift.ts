// What is asked of the server about the logbook, hand-overs and labour. A wish carries a key of its own, so that a second try after a lost
// answer does it once.

import { ask } from './http';
import { entries, entry, handover, handovers, labour, present, proposal, span, spans } from './parseShift';
import type { Entries, Entry, EntryKind, Handover, Handovers, Labour, Links, Present, Proposal, Span, Written } from './parseShift';

const PAGE = 50;

/** '' and false: whatever it is. */
export interface LogFilter {
  path: string;
  kinds: readonly EntryKind[];
  open: boolean;
  text: string;
}
export const listEntries = (filter: LogFilter, after: number | null, signal?: AbortSignal): Promise<Entries> =>
  ask('/api/mes/logbook', { query: { path: filter.path || null, kind: filter.kinds.join(',') || null, open: filter.open ? 'true' : null, text: filter.text || null, limit: PAGE, after }, read: entries, signal });
export const getEntry = (number: number, signal?: AbortSignal): Promise<Entry> => ask(`/api/mes/logbook/${number}`, { read: entry, signal });

export interface EntryWish {
  path: string;
  kind: Written;
  text: string;
  pinned: boolean;
  /** The entry that it puts right. */
  corrects: number | null;
  links: Links;
}
/** What a wish says, without what it does not say: the server knows a request again by its content. */
export function entryBody(wish: EntryWish): Record<string, unknown> {
  const links = Object.fromEntries(Object.entries(wish.links).filter(([, one]) => one.trim() !== '').map(([name, one]) => [name, one.trim()]));
  return { path: wish.path, kind: wish.kind, text: wish.text.trim(), pinned: wish.pinned, ...(wish.corrects === null ? {} : { corrects: wish.corrects }), ...(Object.keys(links).length ? { links } : {}) };
}
export const writeEntry = (wish: EntryWish, key: string): Promise<Entry> => ask('/api/mes/logbook', { method: 'POST', body: { key, ...entryBody(wish) }, read: entry });

export const getProposal = (path: string, signal?: AbortSignal): Promise<Proposal> => ask('/api/mes/handover', { query: { path }, read: proposal, signal });
export const listHandovers = (path: string, after: number | null, signal?: AbortSignal): Promise<Handovers> => ask('/api/mes/handovers', { query: { path: path || null, limit: 20, after }, read: handovers, signal });
export const getHandover = (number: number, signal?: AbortSignal): Promise<Handover> => ask(`/api/mes/handovers/${number}`, { read: handover, signal });
export const handOver = (wish: { path: string; summary: string; keep: readonly number[] }, key: string): Promise<Handover> => ask('/api/mes/handovers', { method: 'POST', body: { key, path: wish.path, summary: wish.summary.trim(), keep: wish.keep }, read: handover });
export const confirmHandover = (number: number, note: string, key: string): Promise<Handover> => ask(`/api/mes/handovers/${number}/confirm`, { method: 'POST', body: { key, note: note.trim() }, read: handover });

export const getPresent = (path: string, signal?: AbortSignal): Promise<Present> => ask('/api/mes/labour/now', { query: { path }, read: present, signal });
export const signOn = (path: string, key: string): Promise<Span> => ask('/api/mes/labour/sign-on', { method: 'POST', body: { key, path }, read: span });
export const signOff = (key: string): Promise<Span> => ask('/api/mes/labour/sign-off', { method: 'POST', body: { key }, read: span });

interface Window {
  from: number;
  to: number;
}
const windowOf = ({ from, to }: Window): { from_ms: number; to_ms: number } => ({ from_ms: Math.floor(from), to_ms: Math.ceil(to) });
export const getLabour = (path: string, window: Window, signal?: AbortSignal): Promise<Labour> => ask('/api/mes/labour', { query: { path, ...windowOf(window) }, read: labour, signal, timeoutMs: 30_000 });
/** The newest first: one's own, and of those one sees. */
export const listSpans = (path: string, window: Window, signal?: AbortSignal): Promise<{ spans: Span[]; truncated: boolean }> => ask('/api/mes/labour/spans', { query: { path, ...windowOf(window) }, read: spans, signal });
export const correctSpan = (number: number, wish: { from: number; to: number | null; reason: string }, key: string): Promise<Span> =>
  ask(`/api/mes/labour/spans/${number}/correct`, { method: 'POST', body: { key, from_ms: wish.from, to_ms: wish.to, reason: wish.reason.trim() }, read: span });
