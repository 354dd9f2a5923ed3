// What is asked of the server about lots, serial units and certificates.

import { ask, askFile } from './http';
import { credential, findings, itemsPage, lot, recall, trace, unit } from './parseTrace';
import type { Arriving, Credential, Disposition, Finding, Item, ItemsPage, Lot, Recall, Trace, Unit } from './parseTrace';

const of = (id: string, what = ''): string => `/api/mes/lots/${encodeURIComponent(id)}${what}`;
/** A whole plant can hang together with one lot. */
const LONG = 60_000;
/** More found at once is no answer; the number is typed on. */
const MOST_FOUND = 25;
/** The most that the server tells at once. */
export const MOST_FINDINGS = 500;

interface Which {
  text?: string;
  number?: string;
  limit: number;
}
export const listItems = (kind: 'units' | 'lots' | 'containers', which: Which, signal?: AbortSignal): Promise<ItemsPage> => ask(`/api/mes/${kind}`, { query: { ...which }, read: itemsPage, signal });
/** Any item, also a unit. */
export const getLot = (id: string, signal?: AbortSignal): Promise<Lot> => ask(of(id), { read: lot, signal });
export const getUnit = (id: string, signal?: AbortSignal): Promise<Unit> => ask(`/api/mes/units/${encodeURIComponent(id)}`, { read: unit, signal });
/** `at` null: whatever was ever in there. */
export const getTrace = (id: string, direction: 'forward' | 'backward', at: number | null, signal?: AbortSignal): Promise<Trace> => ask(of(id, `/trace/${direction}`), { query: { at_ms: at }, read: trace, signal, timeoutMs: LONG });
export const getRecall = (id: string, signal?: AbortSignal): Promise<Recall> => ask(of(id, '/recall'), { read: recall, signal, timeoutMs: LONG });
export const recallFile = (id: string): Promise<Blob> => askFile(of(id, '/recall.csv'), { timeoutMs: LONG });
/** The newest first. */
export const listFindings = (limit: number, signal?: AbortSignal): Promise<Finding[]> => ask('/api/mes/findings', { query: { limit }, read: findings, signal });
export const certificateFile = (number: string): Promise<Blob> => askFile(`/api/mes/certificates/${encodeURIComponent(number)}`);
export const keyFile = (): Promise<Blob> => askFile('/api/mes/certificate-key');
export const labelFile = (id: string, signal?: AbortSignal): Promise<Blob> => askFile(of(id, '/label.svg'), { signal });
/** The key stands for this one decision: after a lost answer the same is sent with it again. */
export const decide = (id: string, state: Disposition, reason: string, key: string): Promise<Lot> => ask(of(id, '/state'), { method: 'POST', body: { key, state, reason }, read: lot });

export interface Receipt {
  material: string;
  /** Empty: it has none. */
  revision: string;
  number: string;
  quantity: number;
  /** Empty: nobody says where. */
  place: string;
  state: Arriving;
}
/** The key stands for this one receipt. */
export const receive = (lotOf: Receipt, key: string): Promise<Lot> =>
  ask('/api/mes/lots', { method: 'POST', body: { ...lotOf, key, revision: lotOf.revision || undefined, place: lotOf.place || undefined }, read: lot });
/** A certificate made anew, of what stands recorded now. */
export const certify = (id: string): Promise<Unit> => ask(`/api/mes/units/${encodeURIComponent(id)}/certificate`, { method: 'POST', read: unit });
/** What a unit connects with: told this once. */
export const identify = (id: string): Promise<Credential> => ask(`/api/mes/units/${encodeURIComponent(id)}/identity`, { method: 'POST', read: credential });

/** What has this number; where nothing has, what begins so. `more`: there are others. */
export async function findItems(text: string, signal?: AbortSignal): Promise<{ items: Item[]; more: boolean }> {
  const both = async (which: Which): Promise<{ items: Item[]; more: boolean }> => {
    const pages = await Promise.all((['units', 'lots', 'containers'] as const).map((kind) => listItems(kind, which, signal)));
    return { items: pages.flatMap((page) => page.items), more: pages.some((page) => page.next !== null) };
  };
  const exact = await both({ number: text, limit: MOST_FOUND });
  return exact.items.length ? exact : both({ text, limit: MOST_FOUND });
}
