import type { WireHeader } from '../transport/delivery.ts';
import type { MessageId } from './message-id.ts';

/** A header's value as users give it: text goes as UTF-8. */
export type HeaderValue = string | Uint8Array;

/** What may be said beside an event's payload. */
export interface AddOptions {
  /** Further headers; names may not begin with `txbox-` or `ce_`, nor be one of the reserved ones (`HEADER_INVALID`). */
  readonly headers?: Readonly<Record<string, HeaderValue>>;
  /** Replaces the key that the event definition computes. `null` = no key: no order is promised. */
  readonly key?: string | Uint8Array | null;
  /** Replaces the generated UUIDv7: any UUID that is unique in this outbox. */
  readonly id?: string;
  /** When it happened, default now. */
  readonly occurredAt?: Date;
  /** What the message belongs to, 1 to 255 characters: a request, a process. A handler's `ctx.add` passes on that of its message. */
  readonly correlationId?: string;
  /** What led to the message, 1 to 255 characters. A handler's `ctx.add` gives the id of its message. */
  readonly causationId?: string;
}

/** A message in its final, encoded form: a row of the outbox without its position (P-T5). */
export interface EncodedMessage {
  readonly id: Buffer;
  readonly topic: string;
  readonly key: Buffer | null;
  readonly type: string;
  readonly aggregateType: string | null;
  readonly aggregateId: string | null;
  readonly sequence: number | null;
  /** The stored block (`encodeHeaders`). */
  readonly headers: Buffer;
  readonly payload: Buffer;
}

/** What a handler is told about the message it handles. */
export interface Message {
  readonly id: MessageId;
  readonly type: string;
  readonly version: number;
  readonly topic: string;
  readonly partition: number;
  readonly offset: bigint;
  readonly key: Buffer | null;
  /** The bytes as they came; `null` = tombstone. */
  readonly value: Buffer | null;
  readonly headers: readonly WireHeader[];
  readonly occurredAt: Date;
  readonly correlationId: string | undefined;
  readonly causationId: string | undefined;
}
