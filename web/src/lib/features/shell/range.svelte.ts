// The page's one time range, read from and written to the address bar.

import { clock } from '$lib/api/clock.svelte';
import { bounds, parseRange, rangeQuery, shiftRange, zoomRange, type PresetId, type TimeRange } from '$lib/domain/range';
import { router } from '$lib/router.svelte';

export class PageRange {
  constructor(readonly preset: PresetId) {}

  get value(): TimeRange {
    return parseRange(router.query, this.preset);
  }
  get bounds(): { from: number; to: number } {
    return bounds(this.value, clock.now);
  }
  set(range: TimeRange): void {
    router.set(rangeQuery(range));
  }
  shift(direction: -1 | 1): void {
    this.set(shiftRange(this.value, direction, clock.now));
  }
  zoom(factor: number, at?: number): void {
    this.set(zoomRange(this.value, factor, clock.now, at));
  }
  live(): void {
    const { from, to } = this.bounds;
    this.set({ kind: 'live', span: to - from });
  }
}

/** The range as it travels along from page to page. */
export function carriedRange(): Record<string, string | null> {
  return { span: router.get('span'), from: router.get('from'), to: router.get('to') };
}
