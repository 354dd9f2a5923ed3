// The words of an event row.

import { clock } from '$lib/api/clock.svelte';
import { plant } from '$lib/api/plant.svelte';
import type { PlantEvent } from '$lib/api/types';
import { withUnit } from '$lib/domain/number';
import { titleInRoom } from '$lib/domain/rooms';
import { headline, withTimes, withValue } from '$lib/domain/text';
import { timeText } from '$lib/domain/time';
import { language, t, tMaybe } from '$messages';
import { sayValue } from '$lib/features/value/reading.svelte';

/** To the millisecond: the order of events is what this page is for. */
export const whenExact = (ms: number): string => timeText(ms, clock.now, language.tag, true);

/** A text of the server: times in it stand as everywhere else. What a person wrote stays as it is. */
export const told = (event: PlantEvent, text: string): string =>
  event.kind === 'note' ? text : withTimes(text, (ms) => timeText(ms, clock.now, language.tag, ms % 1000 !== 0));

/** The line of an event. A value in it has the digits and words of its tag, as everywhere else. */
export function what(event: PlantEvent): string {
  const tag = plant.tags.get(event.path);
  const value = event.detail['value'];
  if (!tag || (typeof value !== 'number' && typeof value !== 'boolean')) return headline(told(event, event.summary));
  return headline(withValue(event.summary, withUnit(String(value), tag.symbol), sayValue(tag, value)));
}

export function who(event: PlantEvent): string {
  if (event.by.name) return event.by.name;
  if (event.by.kind === 'system') return t('word.system');
  return tMaybe(`principal.${event.by.kind}`) ?? event.by.kind;
}

/** A tag is called after its machine, too: there are many called "State". */
export function where(path: string): string {
  if (!path) return '';
  const tag = plant.tags.get(path);
  if (!tag) return plant.title(path);
  const place = plant.title(tag.equipment);
  return `${place} · ${titleInRoom(tag.title, place)}`;
}
