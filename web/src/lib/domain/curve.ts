// A curve as a path in pixels: where the line goes, holds, breaks, and where a lone reading is a dot.

import { firstAfter, valueAt, type Dot } from './series';

/** What a `Path2D` takes of it. */
export type Pencil = Pick<Path2D, 'moveTo' | 'lineTo' | 'arc'>;

export interface View {
  from: number;
  to: number;
  /** Where `from` and the value `lo` lie, and pixels for each ms and each unit (upwards). */
  left: number;
  perMs: number;
  lo: number;
  bottom: number;
  perUnit: number;
}

/**
 * Draws what of `dots` is seen, and one dot beyond each edge: the chart cuts there. `until`: up to then the last value holds;
 * null: it ends with its reading. A value holds until the bad reading or the gap behind it, whether stepped or sloped. `radius` in
 * pixels is that of a reading which no line shows.
 */
export function trace(pencil: Pencil, dots: readonly Dot[], view: View, stepped: boolean, until: number | null, radius: number): void {
  const { from, to, left, perMs, lo, bottom, perUnit } = view;
  let open = false;
  let lone = false;
  let lastX = 0;
  let lastY = 0;
  const end = (x: number): void => {
    if (!open) return;
    if (x - lastX >= 1) pencil.lineTo(x, lastY);
    else if (lone) {
      pencil.moveTo(lastX + radius, lastY);
      pencil.arc(lastX, lastY, radius, 0, 7);
    }
    open = false;
  };
  for (let i = Math.max(0, firstAfter(dots, from) - 1); i < dots.length; i += 1) {
    const dot = dots[i] as Dot;
    const x = left + (dot.x - from) * perMs;
    if (dot.y === null) {
      if (!dot.brief) end(x);
    } else {
      const y = bottom - (dot.y - lo) * perUnit;
      if (open) {
        if (stepped) pencil.lineTo(x, lastY);
        pencil.lineTo(x, y);
        lone = false;
      } else {
        pencil.moveTo(x, y);
        open = lone = true;
      }
      lastX = x;
      lastY = y;
    }
    if (dot.x > to) return;
  }
  end(until === null ? lastX : left + (Math.min(until, to) - from) * perMs);
}

/** Lowest and highest value of what is seen between `from` and `to`; null where nothing is. */
export function seenExtent(dots: readonly Dot[], from: number, to: number, stepped: boolean): { lo: number; hi: number } | null {
  let lo = Infinity;
  let hi = -Infinity;
  const take = (y: number | null): void => {
    if (y === null) return;
    if (y < lo) lo = y;
    if (y > hi) hi = y;
  };
  take(valueAt(dots, from, stepped));
  for (let i = firstAfter(dots, from); i < dots.length; i += 1) {
    const dot = dots[i] as Dot;
    if (dot.x > to) break;
    take(dot.y);
  }
  take(valueAt(dots, to, stepped));
  return lo > hi ? null : { lo, hi };
}
