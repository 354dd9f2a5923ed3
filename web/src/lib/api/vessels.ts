// What is asked of the server about mixing vessels. Each wish carries a key of its own: sent again after a lost answer, it is done once.

import { ask } from './http';
import { vesselDetail, vessels, type VesselDetail, type Vessels } from './parseVessels';

const of = (path: string, deed = ''): string => `/api/mes/vessels/${encodeURIComponent(path)}${deed}`;
const PAGE = 100;

export const listVessels = (signal?: AbortSignal): Promise<Vessels> => ask('/api/mes/vessels', { read: vessels, signal });
/** `at` null: now. */
export const getVessel = (path: string, at: number | null, before: number | null, signal?: AbortSignal): Promise<VesselDetail> => ask(of(path), { query: { at_ms: at, before, limit: PAGE }, read: vesselDetail, signal });
const deed = (path: string, what: string, body: object, key: string): Promise<VesselDetail> => ask(of(path, `/${what}`), { method: 'POST', body: { key, ...body }, read: vesselDetail });
/** `from` null: from outside, or nobody says. */
export const fill = (path: string, wish: { item: string; quantity: number; from: string | null }, key: string): Promise<VesselDetail> => deed(path, 'fill', { item: wish.item, quantity: wish.quantity, ...(wish.from === null ? {} : { from: wish.from }) }, key);
/** Into a lot that is there, or one that is made by it. */
export type Into = { item: string } | { material: string; number: string };
export const draw = (path: string, wish: { quantity: number; into: Into; place: string | null }, key: string): Promise<VesselDetail> => deed(path, 'draw', { quantity: wish.quantity, into: wish.into, ...(wish.place === null ? {} : { place: wish.place }) }, key);
export const emptyVessel = (path: string, reason: string, key: string): Promise<VesselDetail> => deed(path, 'empty', reason ? { reason } : {}, key);
export const setLevel = (path: string, level: number, reason: string, key: string): Promise<VesselDetail> => deed(path, 'level', { level, reason }, key);
