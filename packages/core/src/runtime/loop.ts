import { setImmediate } from 'node:timers';
import { type Clock, systemClock } from './clock.ts';
import { type BackoffOptions, backoffMs } from './retry-policy.ts';

/** What a loop does. */
export interface LoopOptions {
  /**
   * One pass; resolves to the milliseconds until the next one, 0 = at once. `signal` is aborted by `stop`: begin nothing new.
   */
  runOnce(signal: AbortSignal): Promise<number>;
  /** A pass failed for the `failures`-th time in a row; the loop goes on after a back-off. Must not throw. */
  onError(error: unknown, failures: number): void;
  readonly backoff: BackoffOptions;
  /** Default the machine's. */
  readonly clock?: Clock;
}

/** A running loop. */
export interface Loop {
  /** Ends the wait; a wake that comes during a pass is remembered, one during a back-off does not shorten it. */
  wake(): void;
  /** Ends waits and resolves when the pass that runs has ended. May be called twice. */
  stop(): Promise<void>;
}

/** Why a wait ends: given, so that no error is made for it. */
const WOKEN = 'woken';

/** Runs passes until stopped; one failed pass never ends the loop. */
export function startLoop(options: LoopOptions): Loop {
  const clock = options.clock ?? systemClock;
  const stopping = new AbortController();
  let woken = false;
  let wait: AbortController | undefined;

  const sleep = async (ms: number): Promise<void> => {
    // A pass without I/O must still let others run.
    if (ms <= 0) return new Promise((resolve) => setImmediate(resolve));
    if (stopping.signal.aborted) return;
    wait = new AbortController();
    try {
      await clock.sleep(ms, wait.signal);
    } finally {
      wait = undefined;
    }
  };

  const run = async (): Promise<void> => {
    let failures = 0;
    while (!stopping.signal.aborted) {
      woken = false;
      try {
        const delayMs = await options.runOnce(stopping.signal);
        failures = 0;
        await sleep(woken ? 0 : delayMs);
      } catch (error) {
        failures += 1;
        options.onError(error, failures);
        await clock.sleep(backoffMs(options.backoff, failures), stopping.signal);
      }
    }
  };

  const done = run();
  return {
    wake: () => {
      woken = true;
      wait?.abort(WOKEN);
    },
    stop: () => {
      stopping.abort();
      wait?.abort(WOKEN);
      return done;
    },
  };
}
