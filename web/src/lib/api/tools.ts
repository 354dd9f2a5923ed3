// What is asked of the server about tools and moulds. Each wish carries a key of its own: sent again after a lost answer, it is done once.

import { ask } from './http';
import { toolDetail, toolsPage, type ToolDetail, type ToolsPage } from './parseTools';

const of = (name: string, deed = ''): string => `/api/mes/tools/${encodeURIComponent(name)}${deed}`;
const PAGE = 500;
/** So many pages are read; that there are more is said. */
const PAGES = 4;

export async function listTools(branch: string, signal?: AbortSignal): Promise<ToolsPage> {
  const all: ToolsPage = { tools: [], next: null };
  for (let read = 0; read < PAGES && (read === 0 || all.next !== null); read += 1) {
    const page = await ask('/api/mes/tools', { query: { machine: branch || null, limit: PAGE, after: all.next }, read: toolsPage, signal });
    all.tools.push(...page.tools);
    all.next = page.next;
  }
  return all;
}
export const getTool = (name: string, signal?: AbortSignal): Promise<ToolDetail> => ask(of(name), { read: toolDetail, signal });
const deed = (name: string, what: string, body: object, key: string): Promise<ToolDetail> => ask(of(name, `/${what}`), { method: 'POST', body: { key, ...body }, read: toolDetail });
export const mountTool = (name: string, machine: string, reason: string, key: string): Promise<ToolDetail> => deed(name, 'mount', { machine, ...(reason ? { reason } : {}) }, key);
/** From the machine that the person saw it on: if it is elsewhere by now, it stays there. */
export const unmountTool = (name: string, machine: string, reason: string, key: string): Promise<ToolDetail> => deed(name, 'unmount', { machine, ...(reason ? { reason } : {}) }, key);
export const renewTool = (name: string, reason: string, key: string): Promise<ToolDetail> => deed(name, 'renew', { reason }, key);
/** What this life had used that was not counted here; null: that measure stays as it is. */
export const sayUsed = (name: string, used: { cycles: number | null; runTime: number | null }, reason: string, key: string): Promise<ToolDetail> =>
  deed(name, 'used', { ...(used.cycles === null ? {} : { cycles: used.cycles }), ...(used.runTime === null ? {} : { run_time_ms: used.runTime }), reason }, key);
