// The order in which tools are looked at: what is at its end first.

import type { Tool } from '$lib/api/parseTools';

const RANK = { end: 0, warn: 1, ok: 2, no_life: 3 } as const;

/** What is at its end first, then what is nearest to it, then by name; what has no life last. */
export const compareTools = (a: Tool, b: Tool): number => RANK[a.state] - RANK[b.state] || (b.share ?? 0) - (a.share ?? 0) || a.name.localeCompare(b.name);

/** Whether it may be mounted at this machine. */
export const fits = (tool: Pick<Tool, 'machines'>, machine: string): boolean => tool.machines.length === 0 || tool.machines.includes(machine);
