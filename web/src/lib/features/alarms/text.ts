// An alarm's value and limit in the words and digits of its tag.

import { plant } from '$lib/api/plant.svelte';
import type { Alarm } from '$lib/api/types';
import { formatNumber, MISSING } from '$lib/domain/number';
import { severityOf } from '$lib/domain/quality';
import { language, t } from '$messages';
import { sayValue } from '$lib/features/value/reading.svelte';

export function alarmValue(a: Alarm): string {
  if (severityOf(a.quality) === 'bad' && a.value === null) return t('quality.bad');
  const tag = plant.tags.get(a.tag);
  if (tag) return sayValue(tag, a.value);
  return a.value === null ? MISSING : typeof a.value === 'number' ? formatNumber(a.value, null, language.tag) : String(a.value);
}

export function alarmLimit(a: Alarm): string {
  if (a.limit === null) return '';
  const number = formatNumber(a.limit, plant.tags.get(a.tag)?.digits ?? null, language.tag);
  return a.condition === 'high' ? `≥ ${number}` : a.condition === 'low' ? `≤ ${number}` : number;
}
