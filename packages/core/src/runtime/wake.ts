/**
 * Wake-ups (P-W7): after a commit the writer tells the shards' owner that there is something to read. They only
 * hasten: losing or forging one changes no order and costs at most one poll.
 */

const LISTENERS: unique symbol = Symbol.for('txbox.wake-listeners') as never;
type Listener = (shards: readonly number[]) => void;

// Under a global symbol, so that two loaded copies of the package share it.
function listeners(): Set<Listener> {
  const holder = globalThis as { [LISTENERS]?: Set<Listener> };
  holder[LISTENERS] ??= new Set();
  return holder[LISTENERS];
}

/** Calls `listener` for every wake-up within this process; returns what ends that. */
export function onLocalWake(listener: Listener): () => void {
  listeners().add(listener);
  return () => {
    listeners().delete(listener);
  };
}

/** Whether anybody in this process listens. */
export function isWakeHeard(): boolean {
  return listeners().size > 0;
}

/** Wakes the relays of this process. */
export function wakeLocally(shards: readonly number[]): void {
  for (const listener of listeners()) listener(shards);
}

const MAGIC = Buffer.from('TXW1', 'latin1');
/** The longest datagram that is a wake-up: magic and one byte for each of at most 64 shards. */
const MAX_BYTES = MAGIC.length + 64;

/** The datagram that wakes the owner of these shards. */
export function encodeWake(shards: readonly number[]): Buffer {
  return Buffer.concat([MAGIC, Buffer.from(shards)]);
}

/** The shards a datagram names, or `undefined` when it is no wake-up. Total: hostile bytes cost nothing. */
export function decodeWake(datagram: Uint8Array): number[] | undefined {
  if (datagram.length <= MAGIC.length || datagram.length > MAX_BYTES) return undefined;
  if (!MAGIC.equals(datagram.subarray(0, MAGIC.length))) return undefined;
  return [...datagram.subarray(MAGIC.length)];
}
