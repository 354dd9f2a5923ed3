// What is asked of the server about what lies where. Each wish carries a key of its own: sent again after a lost answer, it is done once.

import { ask } from './http';
import { container, movesPage, places, stockPage, type Container, type MovesPage, type Places, type StockPage } from './parseStock';
import { lot, unit, type Item, type Lot, type Unit } from './parseTrace';

const PAGE = 100;
const of = (what: string, id: string, deed = ''): string => `/api/mes/${what}/${encodeURIComponent(id)}${deed}`;

export const listPlaces = (signal?: AbortSignal): Promise<Places> => ask('/api/mes/stock', { read: places, signal });
export const stockIn = (place: string, after: string | null, signal?: AbortSignal): Promise<StockPage> => ask('/api/mes/stock', { query: { place, after, limit: PAGE }, read: stockPage, signal });
export const movesOf = (item: string, after: string | null, signal?: AbortSignal): Promise<MovesPage> => ask('/api/mes/moves', { query: { item, after, limit: PAGE }, read: movesPage, signal });
export const getContainer = (id: string, after: string | null, signal?: AbortSignal): Promise<Container> => ask(of('containers', id), { query: { after }, read: container, signal });

/** What is carried or packed as a whole has no quantity. */
export const isWhole = (item: Pick<Item, 'kind'>): boolean => item.kind === 'unit' || item.kind === 'container';

/** `from` null: from outside; `to` null: to outside. */
export interface Carrying {
  quantity: number | null;
  from: string | null;
  to: string | null;
}
const said = <T extends object>(wish: T): object => Object.fromEntries(Object.entries(wish).filter(([, value]) => value !== null));
export const carry = (id: string, wish: Carrying, key: string): Promise<Lot> => ask(of('lots', id, '/move'), { method: 'POST', body: { key, ...said(wish) }, read: lot });
export const makeContainer = (wish: { material: string; number: string; place: string | null }, key: string): Promise<Container> => ask('/api/mes/containers', { method: 'POST', body: { key, ...said(wish) }, read: container });
export const pack = (into: string, wish: { item: string; quantity: number | null }, key: string): Promise<Container> => ask(of('containers', into, '/pack'), { method: 'POST', body: { key, ...said(wish) }, read: container });
/** `quantity` null: all that lies in there. */
export const unpack = (outOf: string, wish: { item: string; quantity: number | null }, key: string): Promise<Container> => ask(of('containers', outOf, '/unpack'), { method: 'POST', body: { key, ...said(wish) }, read: container });
export const exchange = (id: string, wish: { part: string; position: string; put_in_ms: number; with: string | null; reason: string }, key: string): Promise<Unit> => ask(of('units', id, '/exchange'), { method: 'POST', body: { key, ...said(wish) }, read: unit });
