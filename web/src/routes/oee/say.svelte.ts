// Saying why machines stood: sends it, keeps each wish's key for a second try, and remembers which reasons were used last.

import { asProblem, type Problem } from '$lib/api/http';
import { clock } from '$lib/api/clock.svelte';
import { correct } from '$lib/api/oee';
import type { Change } from '$lib/api/parseOee';
import { newId } from '$lib/domain/id';
import { rememberUsed } from '$lib/domain/oee';
import { remember, remembered } from '$messages';

/** A stretch of a unit about which something is said. */
export interface About {
  unit: string;
  from: number;
  to: number;
  /** It has not ended: what is said holds until it does. */
  goesOn: boolean;
}

export type Said = { done: About[]; failed: { about: About; problem: Problem }[] };

const USED = 'andon.reasons';

class Used {
  names = $state.raw<readonly string[]>((remembered(USED) ?? '').split('\n').filter(Boolean));

  add(name: string): void {
    this.names = rememberUsed(this.names, name);
    remember(USED, this.names.join('\n'));
  }
}
export const used = new Used();

/** One dialog's wishes. The same wish again has the same key, so that an answer that was lost is no second correction. */
export class Saying {
  #keys = new Map<string, string>();

  /** One after the other: after a lost answer nothing more is sent, and what is said names what was done. */
  async say(all: readonly About[], change: Change, note = ''): Promise<Said> {
    const said: Said = { done: [], failed: [] };
    for (const about of all) {
      const wish = JSON.stringify([about.unit, about.from, about.goesOn ? 'open' : about.to, change, note]);
      const key = this.#keys.get(wish) ?? newId();
      this.#keys.set(wish, key);
      try {
        const to = about.goesOn ? Math.max(about.from + 1, clock.exact()) : about.to;
        await correct(about.unit, { from: about.from, to, goesOn: about.goesOn }, change, note, key);
        said.done.push(about);
      } catch (error) {
        said.failed.push({ about, problem: asProblem(error) });
        if (said.failed.at(-1)?.problem.kind === 'offline') break;
      }
    }
    if ('reason' in change && said.done.length) used.add(change.reason);
    return said;
  }
}
