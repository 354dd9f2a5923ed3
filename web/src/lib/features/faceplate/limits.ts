// A tag's alarm limits as lines and as the band between them.

import { plant } from '$lib/api/plant.svelte';
import type { AlarmDef, Tag } from '$lib/api/types';
import type { LimitLine } from '$lib/ui/LineChart.svelte';
import { formatNumber } from '$lib/domain/number';
import { language } from '$messages';

const limited = (tag: Tag): (AlarmDef & { limit: number })[] =>
  (plant.alarmsOf.get(tag.path) ?? []).filter(
    (a): a is AlarmDef & { limit: number } => a.limit !== null && (a.condition === 'high' || a.condition === 'low'),
  );

export function limitsOf(tag: Tag): LimitLine[] {
  return limited(tag).map((a) => ({
    y: a.limit,
    text: `${a.condition === 'high' ? '≥' : '≤'} ${formatNumber(a.limit, tag.digits, language.tag)}`,
  }));
}

/** Null where no alarm bounds the value. */
export function nominalOf(tag: Tag): [number, number] | null {
  if (!tag.range) return null;
  const all = limited(tag);
  if (all.length === 0) return null;
  const high = all.filter((a) => a.condition === 'high').map((a) => a.limit);
  const low = all.filter((a) => a.condition === 'low').map((a) => a.limit);
  return [Math.max(tag.range[0], ...low), Math.min(tag.range[1], ...high)];
}
