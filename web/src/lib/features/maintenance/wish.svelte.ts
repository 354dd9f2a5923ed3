// A wish to the server about maintenance. Its key is made when it is first wished: sent again after a lost answer, it is done once.

import { live } from '$lib/api/live.svelte';
import { came, type Came } from '$lib/api/maintenance';
import { newId } from '$lib/domain/id';
import { problemText } from '$lib/features/orders/words';
import { when } from '$lib/features/value/reading.svelte';
import { t } from '$messages';

export class Wishing<T> {
  busy = $state(false);
  /** Why the last wish was not done; '': it was, or nothing was wished. */
  refused = $state('');
  /** The last wish, of which nobody knows whether it was done: the same again is what can be sent. */
  unsure = $state.raw<{ what: string; again: () => Promise<void> } | null>(null);
  /** Why nothing can be sent now; null: it can. */
  readonly blocked = $derived(live.lostSince === null ? null : t('link.lost_command', { time: when(live.lostSince) }));

  constructor(readonly ondone: (what: T) => void, readonly onrefused: (told: Extract<Came<T>, { was: 'refused' }>) => void = () => undefined) {}

  /** `what`: in words. Nothing is sent while something is on its way, or the link is lost. */
  async wish(what: string, doing: (key: string) => Promise<T>, key = newId()): Promise<void> {
    if (this.busy || this.blocked !== null) return;
    this.busy = true;
    this.refused = '';
    const told = await came(doing(key));
    this.busy = false;
    this.unsure = told.was === 'unknown' ? { what, again: () => this.wish(what, doing, key) } : null;
    if (told.was === 'done') this.ondone(told.what);
    else if (told.was === 'refused') {
      this.refused = problemText(told.problem);
      this.onrefused(told);
    }
  }
}
