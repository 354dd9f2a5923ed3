// Saying why machines stood: sends it, keeps each wish's key for a second try, and remembers which reasons were used last.

import { asProblem, type Problem } from '$lib/api/http';
import { clock } from '$lib/api/clock.svelte';
import { correct } from '$lib/api/oee';
import type { Change } from '$lib/api/parseOee';
import { newId } from '$lib/domain/id';
import { rememberUsed } from '$lib/domain/oee';
import { SECOND } from '$lib/domain/time';
import { remember, remembered } from '$messages';

/** A stretch of a unit about which something is said. */
export interface About {
  unit: string;
  from: number;
  to: number;
  /** It has not ended: what is said holds until now, and the rest of it can be told when it is over. */
  goesOn: boolean;
}

type Said = { done: About[]; failed: { about: About; problem: Problem }[] };

const USED = 'andon.reasons';

class Used {
  names = $state.raw<readonly string[]>((remembered(USED) ?? '').split('\n').filter(Boolean));

  add(name: string): void {
    this.names = rememberUsed(this.names, name);
    remember(USED, this.names.join('\n'));
  }
}
export const used = new Used();

/** A correction ends now at the latest, by the server's clock, which this page knows to within a second. */
const UNSURE = SECOND;

function endOf(about: About): number {
  const surely = Math.floor(clock.exact()) - UNSURE;
  // What the server told as over or so far is not later than its now.
  return about.goesOn ? Math.max(about.to, surely) : about.to;
}

/** One dialog's wishes. The same wish again has the same key and the same end, so that an answer that was lost is no second correction. */
export class Saying {
  #sent = new Map<string, { key: string; to: number }>();

  /** One after the other: after a lost answer nothing more is sent, and what is said names what was done, each up to where it was told. */
  async say(all: readonly About[], change: Change, note = ''): Promise<Said> {
    const said: Said = { done: [], failed: [] };
    for (const about of all) {
      const wish = JSON.stringify([about.unit, about.from, about.goesOn ? 'open' : about.to, change, note]);
      const { key, to } = this.#sent.get(wish) ?? { key: newId(), to: endOf(about) };
      this.#sent.set(wish, { key, to });
      try {
        await correct(about.unit, { from: about.from, to }, change, note, key);
        // Done is done: the same again, after it was taken back, is a wish of its own.
        this.#sent.delete(wish);
        said.done.push({ ...about, to });
      } catch (error) {
        said.failed.push({ about, problem: asProblem(error) });
        if (said.failed.at(-1)?.problem.kind === 'offline') break;
      }
    }
    if ('reason' in change && said.done.length) used.add(change.reason);
    return said;
  }
}
