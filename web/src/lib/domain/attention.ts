// Which node of the plant asks for attention first. An order of rows, no figure.

import type { NodeFigures } from '$lib/api/parseOee';
import type { Alarm } from '$lib/api/types';
import { isUnacknowledged } from './alarms';

export interface Asking {
  node: NodeFigures;
  /** The worst alarm at or below it. */
  alarm: Alarm | null;
}

/** How far OEE is below its target; 0 where it is not, or where there is no target. */
const short = ({ oee, target }: NodeFigures): number => (oee === null || target === null ? 0 : Math.max(0, target - oee));
const late = ({ orders }: NodeFigures): number => orders?.late ?? 0;

/** The worst alarm, one that nobody has seen before others of its priority; then late orders; then what misses its target most; then the lowest OEE. What is not counted comes last. */
export function compareAttention(a: Asking, b: Asking): number {
  return (
    (a.alarm?.priority ?? 9) - (b.alarm?.priority ?? 9) ||
    Number(b.alarm !== null && isUnacknowledged(b.alarm)) - Number(a.alarm !== null && isUnacknowledged(a.alarm)) ||
    Math.min(1, late(b.node)) - Math.min(1, late(a.node)) ||
    short(b.node) - short(a.node) ||
    (a.node.oee ?? Infinity) - (b.node.oee ?? Infinity) ||
    a.node.path.localeCompare(b.node.path) ||
    0
  );
}

/** The rows in a known order, while somebody points at them: what is new comes behind, what is gone goes. */
export function heldOrder(shown: readonly string[], sorted: readonly string[]): string[] {
  const there = new Set(sorted);
  const before = new Set(shown);
  return [...shown.filter((path) => there.has(path)), ...sorted.filter((path) => !before.has(path))];
}
