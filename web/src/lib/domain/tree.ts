// The one tree: sites, lines, machines; houses, rooms, lamps.

import type { Equipment, Tag } from '$lib/api/types';

/** True when `path` is `branch` itself or lies below it; the empty branch is the whole tree. */
export function isUnder(path: string, branch: string): boolean {
  return branch === '' || path === branch || path.startsWith(`${branch}/`);
}

export function leaf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

export function parentPath(path: string): string {
  const cut = path.lastIndexOf('/');
  return cut < 0 ? '' : path.slice(0, cut);
}

export interface Node {
  equipment: Equipment;
  children: Node[];
  depth: number;
}

/** Roots of the equipment that is seen. A branch whose parent is not seen becomes a root. */
export function buildTree(equipment: readonly Equipment[]): Node[] {
  const nodes = new Map<string, Node>();
  for (const e of equipment) nodes.set(e.path, { equipment: e, children: [], depth: 0 });
  const roots: Node[] = [];
  for (const node of nodes.values()) {
    const parent = node.equipment.parent === null ? undefined : nodes.get(node.equipment.parent);
    if (parent && parent !== node) parent.children.push(node);
    else roots.push(node);
  }
  const settle = (list: Node[], depth: number): void => {
    for (const node of list) {
      node.depth = depth;
      settle(node.children, depth + 1);
    }
  };
  settle(roots, 0);
  return roots;
}

/** The way from the root to `path`, itself included; levels without equipment of their own are left out. */
export function ancestry(path: string, known: ReadonlyMap<string, Equipment>): Equipment[] {
  const way: Equipment[] = [];
  let at = path;
  while (at !== '') {
    const e = known.get(at);
    if (e) way.unshift(e);
    at = parentPath(at);
  }
  return way;
}

/** Which tag carries the state word of a machine: one with words for its values, named like a state or counting states. */
export function stateTag(tags: readonly Tag[]): Tag | null {
  const worded = tags.filter((t) => Object.keys(t.states).length > 0 && t.write === null);
  const named = (pattern: RegExp): Tag | undefined => worded.find((t) => pattern.test(leaf(t.path)));
  return named(/(^|[_.-])(state|status|mode)$/i) ?? named(/(^|[_.-])(running|run)$/i) ?? worded.find((t) => t.dataType === 'int64') ?? null;
}

/** The values worth a place on the tile: those with alarms first, then those with a range, in the plant's order. */
export function mainTags(tags: readonly Tag[], alarmed: ReadonlySet<string>, count: number): Tag[] {
  const weight = (t: Tag): number => (alarmed.has(t.path) ? 2 : 0) + (t.range ? 1 : 0);
  return tags
    .filter((t) => t.dataType === 'double' || (t.dataType === 'int64' && Object.keys(t.states).length === 0))
    .map((tag, index) => ({ tag, index }))
    .sort((a, b) => weight(b.tag) - weight(a.tag) || a.index - b.index)
    .slice(0, count)
    .map((entry) => entry.tag);
}
