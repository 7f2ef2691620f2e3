import type { AddOptions, EventDefinition, Message, MessageId, PayloadInputOf, PayloadOf } from '@txbox/core/spi';

/** What a handler is told beside the payload. Flavours add `manager`, `connection` or `database`: the transaction to write the effect in. */
export interface HandlerContext {
  readonly message: Message;
  /** 1 for the first try of this message in this process, one more for every failure since. */
  readonly attempt: number;
  /** Aborted when the effect can no longer commit: the transaction is doomed or over, the lane is lost, the inbox stops without grace. */
  readonly signal: AbortSignal;
  /**
   * Adds an event in the same transaction as the effect, through the outbox of this DataSource, pool or database.
   * Throws `NO_OUTBOX` when there is none, and what `outbox.add` throws.
   */
  add<E extends EventDefinition>(event: E, payload: PayloadInputOf<E>, options?: AddOptions): MessageId;
}

/** Handles one message. What it throws, or rejects with, rolls its effect back. The payload is `null` for a tombstone. */
export type HandlerFunction<E extends EventDefinition, Context extends HandlerContext> = (payload: PayloadOf<E>, ctx: Context) => unknown;
