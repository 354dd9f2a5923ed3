// An alarm's value and limit in the words and digits of its tag.

import { plant } from '$lib/api/plant.svelte';
import type { Alarm } from '$lib/api/types';
import { formatNumber, MISSING, withUnit } from '$lib/domain/number';
import { severityOf } from '$lib/domain/quality';
import { language, t } from '$messages';
import { sayValue } from '$lib/features/value/reading.svelte';

export function alarmValue(a: Alarm): string {
  if (severityOf(a.quality) === 'bad' && a.value === null) return t('quality.bad');
  const tag = plant.tags.get(a.tag);
  if (tag) return sayValue(tag, a.value);
  return a.value === null ? MISSING : typeof a.value === 'number' ? formatNumber(a.value, null, language.tag) : String(a.value);
}

/** With its unit where there is room for it. */
export function alarmLimit(a: Alarm, unit = false): string {
  if (a.limit === null) return '';
  const tag = plant.tags.get(a.tag);
  const number = withUnit(formatNumber(a.limit, tag?.digits ?? null, language.tag), unit ? (tag?.symbol ?? null) : null);
  return a.condition === 'high' ? `≥ ${number}` : a.condition === 'low' ? `≤ ${number}` : number;
}
