/** The one version with the defect. */
const DEFECTIVE_VERSION = '2.2.4';

const PATCHED: unique symbol = Symbol.for('txbox.kafkajs-idle-timer') as never;

/** What is used of kafkajs's queue of requests, one for each connection. */
interface RequestQueue {
  readonly pending: readonly unknown[];
}

/** The prototype of kafkajs's `RequestQueue`. */
export interface RequestQueuePrototype {
  scheduleCheckPendingRequests(this: RequestQueue): void;
  [PATCHED]?: true;
}

/**
 * Keeps kafkajs 2.2.4 from waking up a thousand times a second for each idle connection: its queue of requests sets
 * itself a timer of at most 1 ms even when nothing waits (tulios/kafkajs issue 1751; four percent of a core with three
 * brokers, and `TimeoutNegativeWarning` on Node 24). A timer is of use only while requests wait; then it is set to
 * the end of a throttle, or to 10 ms, never to less than nothing.
 *
 * Patches the prototype once for the process; other versions are left alone, and their inside is not even
 * loaded. Returns whether it is in place.
 */
export function stopIdleTimer(version: string, load: () => RequestQueuePrototype): boolean {
  if (version !== DEFECTIVE_VERSION) return false;
  const prototype = load();
  if (prototype[PATCHED]) return true;
  const original = prototype.scheduleCheckPendingRequests;
  if (typeof original !== 'function') return false;
  prototype.scheduleCheckPendingRequests = function (this: RequestQueue): void {
    if (this.pending.length > 0) original.call(this);
  };
  Object.defineProperty(prototype, PATCHED, { value: true });
  return true;
}
