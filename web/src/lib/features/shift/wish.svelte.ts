// Something that a person types and sends. It outlives a server that is away, a closed dialog and a page loaded anew; and after a lost
// answer the very same can be sent again, once.

import { asProblem, type Problem } from '$lib/api/http';
import { live } from '$lib/api/live.svelte';
import { access } from '$lib/api/session.svelte';
import { newId } from '$lib/domain/id';
import { problemText } from '$lib/features/orders/words';
import { when } from '$lib/features/value/reading.svelte';
import { t } from '$messages';

/** Whether it was done is not known: no answer, none that can be read, or one of a server in trouble. */
export const isLost = (problem: Problem): boolean => ['offline', 'server', 'shape'].includes(problem.kind);

/** Why nothing can be sent to this place now; null: it can. */
export function blockedAt(path: string): string | null {
  if (live.lostSince !== null) return t('link.lost_command', { time: when(live.lostSince) });
  return access.may('operate', path) ? null : t('write.no_right');
}

interface Kept<T> {
  value: T;
  key: string;
  unsure: boolean;
}

function remembered<T>(name: string): Kept<T> | null {
  try {
    const kept = sessionStorage.getItem(name);
    return kept === null ? null : (JSON.parse(kept) as Kept<T>);
  } catch {
    return null;
  }
}

/** In a component. `name`: what is typed, and for what; another person's is another. `empty`: as it is before anything is typed. */
export class Wish<T extends object> {
  value = $state() as T;
  busy = $state(false);
  /** The last try came back with this. */
  problem = $state.raw<Problem | null>(null);
  /** Whether the last try was taken is not known: only the very same may be sent, or it is thrown away. */
  unsure = $state(false);
  /** What is said of the last try; '': it was taken, or none was made. */
  readonly said = $derived(this.unsure ? `${this.problem ? problemText(this.problem) : ''} ${t('shift.unsure')}`.trim() : this.problem ? problemText(this.problem) : '');
  #key = newId();
  readonly #name: string;
  readonly #empty: string;
  readonly #typed: (value: T) => boolean;

  constructor(name: string, empty: T, typed: (value: T) => boolean) {
    this.#name = `andon.typed.${access.session?.user.id ?? ''}.${name}`;
    this.#empty = JSON.stringify(empty);
    const kept = remembered<T>(this.#name);
    this.value = kept?.value ?? empty;
    if (kept) this.#key = kept.key;
    this.unsure = kept?.unsure ?? false;
    this.#typed = typed;
    $effect(() => this.#keep(this.unsure));
  }

  #keep(unsure: boolean): void {
    const text = JSON.stringify({ value: this.value, key: this.#key, unsure } satisfies Kept<T>);
    try {
      if (unsure || this.#typed(this.value)) sessionStorage.setItem(this.#name, text);
      else sessionStorage.removeItem(this.#name);
    } catch {
      // Storage may be switched off; it then lasts as long as the page.
    }
  }

  /** Sends it; null when it was not taken, or nobody knows: then `said` says which. */
  async send<R>(doing: (value: T, key: string) => Promise<R>): Promise<R | null> {
    if (this.busy) return null;
    this.busy = true;
    // The page may be closed while it is on its way.
    this.#keep(true);
    try {
      const answer = await doing($state.snapshot(this.value) as T, this.#key);
      this.clear();
      return answer;
    } catch (error) {
      const problem = asProblem(error);
      this.problem = problem;
      this.unsure = isLost(problem);
      // What was refused may be changed, and is another request then.
      if (!this.unsure) this.#key = newId();
      this.#keep(this.unsure);
      return null;
    } finally {
      this.busy = false;
    }
  }

  /** Throws away what was typed, or has been sent. */
  clear(): void {
    this.value = JSON.parse(this.#empty) as T;
    this.#key = newId();
    this.problem = null;
    this.unsure = false;
    this.#keep(false);
  }
}
