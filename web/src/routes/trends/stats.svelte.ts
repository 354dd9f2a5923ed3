// What the pen table says of a stretch: asked of the server, one aggregate each, so that a report and this page agree.

import { readAggregate } from '$lib/api/history';
import { asProblem, isAbort, type Problem } from '$lib/api/http';
import type { Aggregate } from '$lib/api/types';
import { goodShare } from '$lib/domain/share';
import type { Pen } from './data.svelte';

/** Of a tag that does not say how long it may be silent, so long after its last reading nothing is missed yet. In ms. */
const PATIENCE = 60_000;

/** By their names in OPC 10000-13. Minimum, maximum and the time-weighted mean count the borders of the stretch in. */
export const FIGURES = {
  min: 'Minimum2',
  mean: 'TimeAverage2',
  max: 'Maximum2',
  deviation: 'StandardDeviationPopulation',
  good: 'PercentGood',
  goodFor: 'DurationGood',
} as const;
export type Figure = keyof typeof FIGURES;

export class Stats {
  figures = $state.raw<Readonly<Partial<Record<Figure, Aggregate>>>>({});
  problem = $state.raw<Problem | null>(null);
  /** Data ends before the stretch does. */
  endsEarly = false;
  /** The figures belong to another stretch than the one asked for. */
  old = $state(false);
  loading = false;
  #stop: AbortController | null = null;

  constructor(readonly pen: Pen) {}

  get completeTo(): number | null {
    return this.figures.good?.completeTo ?? null;
  }

  /** `from` and `to` are times of the plant, without the shift of a ghost. */
  async load(from: number, to: number): Promise<void> {
    this.#stop?.abort();
    const stop = new AbortController();
    this.#stop = stop;
    this.loading = true;
    // Words have no mean; how much of them is known is still worth saying.
    const wanted: Figure[] = [...(this.pen.numeric ? (['min', 'mean', 'max', 'deviation'] as const) : []), 'good', 'goodFor'];
    try {
      const { path, stepped } = this.pen;
      const answers = await Promise.all(wanted.map(async (name): Promise<[Figure, Aggregate]> => [name, await readAggregate(path, FIGURES[name], from, to, stepped, stop.signal)]));
      if (stop.signal.aborted) return;
      const figures: Partial<Record<Figure, Aggregate>> = Object.fromEntries(answers);
      const { good, goodFor } = figures;
      // After its last reading nothing is known of a tag: that is not good, and the other figures are of a part only.
      if (good && goodFor) {
        const share = goodShare(goodFor.value, good.value, Math.min(to, good.completeTo ?? to) - from, this.pen.tag.staleAfterMs ?? PATIENCE);
        this.endsEarly = share !== null && good.value !== null && share < good.value;
        good.value = share;
      }
      this.figures = figures;
      this.problem = null;
      this.old = false;
    } catch (error) {
      if (isAbort(error) || stop.signal.aborted) return;
      this.figures = {};
      this.problem = asProblem(error);
    }
    this.loading = false;
  }

  close(): void {
    this.#stop?.abort();
  }
}
