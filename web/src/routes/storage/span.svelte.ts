import { clock } from '$lib/api/clock.svelte';
import { dateTimeText } from '$lib/domain/time';
import { language, t } from '$messages';

/** The first and the last reading of a file, in words. */
export function spanOf({ from, to }: { from: number; to: number }): string {
  const time = (at: number): string => dateTimeText(at, clock.now, language.tag);
  return from === to ? time(from) : t('storage.damaged.span', { from: time(from), to: time(to) });
}
