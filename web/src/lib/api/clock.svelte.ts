// The server's clock, once a second. Ages and ranges are counted by it, so a wrong clock in the browser does no harm.

class Clock {
  /** Server time in ms, renewed each second. */
  now = $state(Date.now());
  #offset = 0;
  #timer: ReturnType<typeof setInterval> | undefined;
  #phase = 0;

  /** Server time in ms, at this very moment. */
  exact(): number {
    return Date.now() + this.#offset;
  }

  /** The server said what time it is. Jitter of the network below half a second is not followed. */
  correct(serverNow: number): void {
    const offset = serverNow - Date.now();
    if (Math.abs(offset - this.#offset) > 500) this.#offset = offset;
    this.now = this.exact();
  }

  /** Starts the second and the one shared 1 Hz blink of the alarm symbols. */
  start(): void {
    if (this.#timer !== undefined) return;
    this.#timer = setInterval(() => {
      this.#phase ^= 1;
      document.documentElement.dataset['blink'] = this.#phase ? 'off' : 'on';
      if (this.#phase === 0) this.now = this.exact();
    }, 500);
  }
}

export const clock = new Clock();
