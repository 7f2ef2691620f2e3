import {
  type Delivery,
  decodeMessage,
  decodePayload,
  isTxboxError,
  type Message,
  messageIdToBytes,
  type TxboxError,
} from '@txbox/core/spi';
import type { Handler, HandlerRegistry } from './handler-registry.ts';

/** What to do about messages that this group cannot read: foreign, damaged, undecodable, not as the schema says. */
export type OnUnknown = 'hold' | 'skip';

/** A message to be handled. */
export interface Work {
  readonly message: Message;
  /** Sixteen bytes. */
  readonly id: Buffer;
  readonly handler: Handler;
  readonly payload: unknown;
}

/** A delivery as it was understood. */
export type Entry =
  | { readonly kind: 'work'; readonly offset: bigint; readonly work: Work }
  /** The same message as an earlier one of its batch. */
  | { readonly kind: 'repeat'; readonly offset: bigint; readonly message: Message }
  /** Nothing to be done: an event without a handler here, or (`error`) an unreadable message that may be passed over. */
  | { readonly kind: 'skip'; readonly offset: bigint; readonly error?: TxboxError }
  /** Unreadable; its lane waits here. */
  | { readonly kind: 'hold'; readonly offset: bigint; readonly message: Message | undefined; readonly error: TxboxError };

/** The part of a batch that goes into one transaction. */
export interface Slice {
  readonly entries: readonly Entry[];
  readonly works: readonly Work[];
  /** Index behind the slice. */
  readonly end: number;
}

/** Understands the deliveries of a batch and finds the repeats among them (P-I1). Total. */
export function readBatch(deliveries: readonly Delivery[], handlers: HandlerRegistry, onUnknown: OnUnknown): Entry[] {
  const seen = new Set<string>();
  return deliveries.map((delivery) => {
    const entry = readDelivery(delivery, handlers, onUnknown);
    if (entry.kind !== 'work') return entry;
    const { message } = entry.work;
    if (seen.has(message.id)) return { kind: 'repeat', offset: delivery.offset, message };
    seen.add(message.id);
    return entry;
  });
}

/** Understands one delivery. Total. */
export function readDelivery(delivery: Delivery, handlers: HandlerRegistry, onUnknown: OnUnknown): Entry {
  const { offset } = delivery;
  let message: Message | undefined;
  try {
    message = decodeMessage(delivery);
    const handler = handlers.find(message.topic, message.type);
    if (!handler) return { kind: 'skip', offset };
    const payload = decodePayload(handler.event, message);
    return { kind: 'work', offset, work: { message, id: messageIdToBytes(message.id), handler, payload } };
  } catch (error) {
    // Everything that a message can have wrong comes as our own error; all else is a defect and must be seen.
    if (!isTxboxError(error)) throw error;
    return onUnknown === 'skip' ? { kind: 'skip', offset, error } : { kind: 'hold', offset, message, error };
  }
}

/**
 * The slice that begins at `start`: at most `size` works and what lies among and right behind them, up to the first
 * entry that holds the lane. Empty when that is the entry at `start`.
 */
export function sliceFrom(entries: readonly Entry[], start: number, size: number): Slice {
  const works: Work[] = [];
  let end = start;
  for (; end < entries.length; end++) {
    const entry = entries[end] as Entry;
    if (entry.kind === 'hold') break;
    if (entry.kind !== 'work') continue;
    if (works.length >= size) break;
    works.push(entry.work);
  }
  return { entries: entries.slice(start, end), works, end };
}
