import type { Clock } from '../runtime/clock.ts';

/** How often what is still waited for after the deadline is interrupted again: its ROLLBACK may hang as well. */
const AGAIN_MS = 1_000;

/** What is done when the time is over, in this order, before and after those who wait are told. */
export interface DeadlinePlan {
  readonly passed: () => void;
  readonly interrupt: () => void;
}

/** The end of the time that a unit may take. */
export class Deadline {
  readonly #over = new AbortController();
  readonly #waiting = new Set<() => void>();
  #passed = false;

  /** When `ms` have gone by, and again every second until `clear`, it does what the plan says. */
  constructor(ms: number, clock: Clock, plan: DeadlinePlan) {
    void this.#run(ms, clock, plan);
  }

  /** Settles as `work` does, or rejects with what `error` makes when the deadline passes first. */
  async race<T>(work: Promise<T>, error: () => unknown): Promise<T> {
    let stop = (): void => undefined;
    const passed = new Promise<never>((_resolve, reject) => {
      stop = () => reject(error() as Error);
    });
    this.#waiting.add(stop);
    if (this.#passed) stop();
    try {
      return await Promise.race([work, passed]);
    } finally {
      this.#waiting.delete(stop);
    }
  }

  clear(): void {
    this.#over.abort();
  }

  async #run(ms: number, clock: Clock, plan: DeadlinePlan): Promise<void> {
    const { signal } = this.#over;
    for (let pauseMs = ms; ; pauseMs = AGAIN_MS) {
      await clock.sleep(pauseMs, signal);
      if (signal.aborted) return;
      this.#passed = true;
      plan.passed();
      for (const stop of this.#waiting) stop();
      plan.interrupt();
    }
  }
}
