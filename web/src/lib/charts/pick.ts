/** Columns of a chart are chosen with the pointer or with the arrow keys. */

/** Which column the pointer is over; `null`: none. `left` is where the time begins in the picture, in px. */
export function columnAt(event: PointerEvent, columns: readonly { from: number; to: number }[], span: { from: number; to: number }, left: number, width: number): number | null {
  const box = (event.currentTarget as Element).getBoundingClientRect();
  const at = span.from + ((event.clientX - box.left - left) / (width - left)) * (span.to - span.from);
  const i = columns.findIndex((c) => at >= c.from && at < c.to);
  return i < 0 ? null : i;
}

/** To which of `count` columns a key leads from the one that is chosen; `undefined`: that key leads nowhere. */
export function columnByKey(key: string, active: number | null, count: number): number | undefined {
  const by = { ArrowLeft: -1, ArrowRight: 1, Home: -count, End: count }[key];
  if (by === undefined || count === 0) return undefined;
  return Math.min(count - 1, Math.max(0, (active ?? (by > 0 ? -1 : count)) + by));
}
