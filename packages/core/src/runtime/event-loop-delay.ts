import { clearInterval, setInterval } from 'node:timers';
import { type Clock, systemClock } from './clock.ts';

/** How often it is looked, milliseconds. */
const TICK_MS = 100;

/**
 * Tells ten times a second by how many milliseconds this process's event loop was late: what a timer, or an answer from a
 * database, had to wait for code that did not return, or for a process that was paused. Keeps no process alive. Returns what
 * ends it.
 *
 * A timer's own delay is the measure, and not `perf_hooks.monitorEventLoopDelay`: that loses what lies around each of its
 * resets, and without resets it cannot say what happened since the last look.
 */
export function watchEventLoop(onDelay: (delayMs: number) => void, clock: Clock = systemClock): () => void {
  let due = clock.monotonic() + TICK_MS;
  const timer = setInterval(() => {
    const now = clock.monotonic();
    onDelay(Math.max(0, now - due));
    due = now + TICK_MS;
  }, TICK_MS);
  timer.unref();
  return () => clearInterval(timer);
}
