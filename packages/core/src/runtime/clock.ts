import { performance } from 'node:perf_hooks';
import { setTimeout as sleepFor } from 'node:timers/promises';

/** Time as loops see it; tests pass their own. */
export interface Clock {
  /** Wall clock, milliseconds since 1970. */
  now(): number;
  /** Monotonic milliseconds from an arbitrary origin: for time-outs and trust windows. */
  monotonic(): number;
  /** Resolves after `ms`, or at once when the signal aborts. Never rejects and never keeps the process alive after an abort. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

/** The machine's clock. By import, so that fake timers of users' tests, which replace globals, do not stop loops. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  sleep: async (ms, signal) => {
    try {
      await sleepFor(ms, undefined, signal ? { signal } : {});
    } catch {
      // An abort ends the wait early; whoever aborted knows why.
    }
  },
};
