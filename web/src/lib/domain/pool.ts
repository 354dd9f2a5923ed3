// At most so many at once: a screen of fifty rows asks no fifty questions together.

/** Works one after the other, `most` at a time, in the order in which they were asked for. What is aborted before its turn is not begun. */
export class Pool {
  #waiting: { begin: () => Promise<void>; signal: AbortSignal }[] = [];
  #busy = 0;

  constructor(readonly most: number) {}

  /** `begin` tells its own failure: the pool goes on with the next one. */
  add(begin: () => Promise<void>, signal: AbortSignal): void {
    this.#waiting.push({ begin, signal });
    this.#next();
  }

  #next(): void {
    while (this.#busy < this.most) {
      const turn = this.#waiting.shift();
      if (!turn) return;
      if (turn.signal.aborted) continue;
      this.#busy += 1;
      const done = (): void => {
        this.#busy -= 1;
        this.#next();
      };
      turn.begin().then(done, done);
    }
  }
}
