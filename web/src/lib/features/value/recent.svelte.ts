// The last stretch of a tag's curve: history joined with what arrives while the component is on the screen.

import { clock } from '$lib/api/clock.svelte';
import { readHistory, recentHistory } from '$lib/api/history';
import { live } from '$lib/api/live.svelte';
import type { Live, Tag } from '$lib/api/types';
import { knownSince, thin, toDots, trim, type Dot } from '$lib/domain/series';
import { asNumber } from '$lib/domain/value';

export function liveDot(v: Live): Dot | null {
  if (v.state === 'none') return null;
  const y = asNumber(v.value);
  const q = v.state === 'bad' || y === null ? 'bad' : v.state;
  return { x: v.at, y: q === 'bad' ? null : y, q };
}

/** Two dots must not look like a trend. */
const LEAST_MS = 20_000;

/** The server thins over the whole span that it is asked for; where little of it exists, that is asked for alone. */
async function past(path: string, span: number, points: number): Promise<Dot[]> {
  const now = clock.exact();
  const whole = await recentHistory(path, now, span, points);
  const dots = toDots(whole);
  const since = knownSince(dots, now - span);
  if (!whole.thinned || since === null || now - since > span / 2) return dots;
  return toDots(await readHistory(path, since, clock.exact(), points)).filter((d) => d.x >= since);
}

export class Recent {
  dots = $state.raw<readonly Dot[]>([]);
  failed = $state(false);
  #span: number;

  /** Call inside a component: `active` false (out of sight) asks for nothing. */
  constructor(tag: () => Tag | null, span: number, points: number, active: () => boolean = () => true) {
    this.#span = span;
    const wanted = $derived(active() ? (tag()?.path ?? null) : null);
    $effect(() => {
      const path = wanted;
      if (path === null) return;
      let stopped = false;
      let dots: Dot[] = [];
      // Until the past is here, a lone live value would stand for it.
      let loaded = false;
      const load = (): void => {
        past(path, span, points)
          .then((known) => {
            if (stopped) return;
            const last = known.at(-1)?.x ?? 0;
            dots = [...known, ...dots.filter((d) => d.x > last)];
            loaded = true;
            this.dots = dots;
            this.failed = false;
          })
          .catch(() => {
            if (stopped) return;
            loaded = true;
            this.dots = dots;
            this.failed = true;
          });
      };
      load();
      // One a second, thinned with its peaks kept: such a small curve shows no more, and a young one needs all of it.
      const every = Math.min(1000, span / points);
      const leave = live.watch([path]);
      const offValues = live.onValues((values) => {
        for (const [name, value] of values) {
          if (name !== path) continue;
          const dot = liveDot(value);
          const last = dots.at(-1);
          if (!dot || (last && dot.x <= last.x)) continue;
          if (last && dot.x - last.x < every && dot.q === last.q) continue;
          dots = trim([...dots, dot], clock.exact() - span, points * 8);
          if (dots.length > points * 4) dots = thin(dots, points * 2);
          if (loaded) this.dots = dots;
        }
      });
      const offReturn = live.onReturn(load);
      return () => {
        stopped = true;
        leave();
        offValues();
        offReturn();
        this.dots = [];
      };
    });
  }

  /** From when to draw: the whole span once it is there, before that as much as exists, so that the curve fills its room. */
  from(now: number): number {
    const full = now - this.#span;
    const since = knownSince(this.dots, full);
    return since === null ? full : Math.min(since, now - LEAST_MS);
  }
}
