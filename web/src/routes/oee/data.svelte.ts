// What the page knows: read together, so that the pictures agree with each other, and again while the range ends now.

import { SvelteMap } from 'svelte/reactivity';
import { clock } from '$lib/api/clock.svelte';
import { asProblem, isAbort, type Problem } from '$lib/api/http';
import { live } from '$lib/api/live.svelte';
import { readCorrections, readKpis, readMachines, readPieces, readReasons, readSeries, readStops, type Span, type Step } from '$lib/api/oee';
import type { Kpis, Machine, Piece, Reason, Slot, Stops } from '$lib/api/parseOee';
import { commonBranch, type UnitCorrection } from '$lib/domain/oee';
import { DAY, SECOND } from '$lib/domain/time';
import { isUnder } from '$lib/domain/tree';

/** So many units have a lane; a branch with more says so. */
export const MOST_LANES = 12;
/** States and stops are asked for over at most so long. */
export const LONGEST_STRIP = 32 * DAY;
/** What changes slowly, or is known from what came since, is asked for this often. */
const SLOW = 20 * SECOND;

interface Question {
  /** '' for the branch that holds all machines. */
  path: string;
  span: () => Span;
  /** A change of this asks for everything anew. */
  key: string;
  step: Step;
}

interface Known {
  pieces: readonly Piece[];
  readTo: number;
  /** What the machine was when it was read, and when that was. */
  was: string;
  at: number;
  key: string;
}

const NONE: Stops = { stops: [], of: 0 };

export class OeeData {
  machines = $state.raw<readonly Machine[] | null>(null);
  kpis = $state.raw<Kpis | null>(null);
  stops = $state.raw<Stops>(NONE);
  slots = $state.raw<readonly Slot[]>([]);
  reasons = $state.raw<readonly Reason[]>([]);
  corrections = $state.raw<readonly UnitCorrection[]>([]);
  readonly pieces = new SvelteMap<string, { pieces: readonly Piece[]; readTo: number }>();
  problem = $state.raw<Problem | null>(null);
  readAt = $state<number | null>(null);
  /** The span that is shown: it moves with the answers, not with the clock. */
  span = $state.raw<Span>({ from: 0, to: 1 });
  #answered = $state('');
  #known = new Map<string, Known>();
  #slowAt = 0;
  #slowKey = '';

  readonly empty = $derived(this.machines !== null && this.machines.length === 0);

  /** Where the machines have no branch in common, the first plant: KPIs are those of a branch. */
  scope(path: string): string {
    return path || commonBranch(this.machines ?? []) || (this.machines?.[0]?.path.split('/')[0] ?? '');
  }
  units(path: string): readonly Machine[] {
    const scope = this.scope(path);
    return (this.machines ?? []).filter((m) => isUnder(m.path, scope));
  }
  /** What is on the screen is not the answer to the question, or no longer known to be. */
  stale(key: string): boolean {
    return this.problem !== null || live.lostSince !== null || this.#answered !== key;
  }

  /** Somebody said something: what was read before is not to be trusted. */
  forget(): void {
    this.#known.clear();
    this.#slowAt = 0;
  }

  async load(question: Question, signal: AbortSignal): Promise<void> {
    const span = question.span();
    try {
      const { machines } = await readMachines('', signal);
      if (signal.aborted) return;
      this.machines = machines;
      const scope = this.scope(question.path);
      if (this.units(question.path).length > 0) {
        const slow = this.#slowKey !== question.key + question.step || Date.now() - this.#slowAt > SLOW ? this.#readSlow(scope, span, question.step, signal) : Promise.resolve();
        const [kpis, stops] = await Promise.all([readKpis(scope, span, signal), span.to - span.from > LONGEST_STRIP ? NONE : readStops(scope, span, signal), slow, this.#readPieces(question, span, signal)]);
        if (signal.aborted) return;
        this.kpis = kpis;
        this.stops = stops;
        if (this.#slowKey !== question.key + question.step) this.#slowAt = Date.now();
        this.#slowKey = question.key + question.step;
      } else {
        this.kpis = null;
        this.stops = NONE;
      }
      this.span = span;
      this.problem = null;
      this.readAt = clock.exact();
      this.#answered = question.key;
    } catch (error) {
      if (isAbort(error) || signal.aborted) return;
      this.problem = asProblem(error);
    }
  }

  async #readSlow(scope: string, span: Span, step: Step, signal: AbortSignal): Promise<void> {
    const units = this.units(scope).slice(0, MOST_LANES);
    const ofUnit = async ({ path }: Machine): Promise<UnitCorrection[]> => (await readCorrections(path, span, signal)).map((one) => ({ ...one, unit: path }));
    const [slots, corrections, reasons] = await Promise.all([readSeries(scope, span, step, signal), Promise.all(units.map(ofUnit)), this.reasons.length ? this.reasons : readReasons(signal)]);
    if (signal.aborted) return;
    this.slots = slots;
    this.corrections = corrections.flat();
    this.reasons = reasons;
    this.#slowAt = Date.now();
  }

  /** The strips: a unit is asked about again when it has changed, and now and then. Between that its last state goes on. */
  async #readPieces(question: Question, span: Span, signal: AbortSignal): Promise<void> {
    if (span.to - span.from > LONGEST_STRIP) {
      this.pieces.clear();
      return;
    }
    const work = this.units(question.path)
      .slice(0, MOST_LANES)
      .map(async (machine) => {
        const was = `${machine.state} ${machine.element} ${machine.sinceMs} ${machine.reason}`;
        const known = this.#known.get(machine.path);
        const stays = known && known.was === was && known.key === question.key && Date.now() - known.at < SLOW;
        if (stays) {
          this.pieces.set(machine.path, { pieces: known.pieces, readTo: known.readTo });
          return;
        }
        const pieces = await readPieces(machine.path, span, signal);
        if (signal.aborted) return;
        this.#known.set(machine.path, { pieces, readTo: span.to, was, at: Date.now(), key: question.key });
        this.pieces.set(machine.path, { pieces, readTo: span.to });
      });
    await Promise.all(work);
  }
}
