import { performance } from 'node:perf_hooks';
import { clearTimeout, setTimeout } from 'node:timers';

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
  // Not that of `node:timers/promises`, which makes an error for each wait that ends early.
  sleep: (ms, signal) =>
    new Promise((resolve) => {
      if (signal?.aborted) return resolve();
      const end = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', end);
        resolve();
      };
      const timer = setTimeout(end, ms);
      signal?.addEventListener('abort', end, { once: true });
    }),
};
