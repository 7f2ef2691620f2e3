import { TxboxError } from '../runtime/error.ts';
import type { Delivery, WireHeader } from '../transport/delivery.ts';
import type { EventDefinition, PayloadOf } from './event.ts';
import { HEADER } from './headers.ts';
import type { Message } from './message.ts';
import { messageIdFromBytes } from './message-id.ts';
import { validatePayload } from './validate-payload.ts';

const VERSION = /^[1-9]\d{0,9}$/;

/** The first header of that name, which is the one that counts. */
export function headerOf(headers: readonly WireHeader[], name: string): Buffer | undefined {
  for (const [candidate, value] of headers) if (candidate === name) return value;
  return undefined;
}

/**
 * What a delivery says by its headers; the payload stays bytes. Throws `MESSAGE_FOREIGN` when it carries no message id
 * (another producer's), `MESSAGE_UNREADABLE` when it is ours and damaged.
 */
export function decodeMessage(delivery: Delivery): Message {
  const id = headerOf(delivery.headers, HEADER.id);
  if (id === undefined) {
    throw new TxboxError('MESSAGE_FOREIGN', `${placeOf(delivery)} was not produced by txbox: it has no header ${HEADER.id}.`);
  }
  if (id.length !== 16) throw damaged(delivery, `${HEADER.id} has ${id.length} bytes instead of 16`);
  const type = headerOf(delivery.headers, HEADER.type)?.toString('utf8');
  if (type === undefined || type === '') throw damaged(delivery, `${HEADER.type} is missing`);
  const version = headerOf(delivery.headers, HEADER.version)?.toString('latin1') ?? 'missing';
  if (!VERSION.test(version)) throw damaged(delivery, `${HEADER.version} is ${JSON.stringify(version)} instead of a whole number`);
  return {
    id: messageIdFromBytes(id),
    type,
    version: Number(version),
    topic: delivery.topic,
    partition: delivery.partition,
    offset: delivery.offset,
    key: delivery.key,
    value: delivery.value,
    headers: delivery.headers,
    occurredAt: occurredAtOf(delivery),
  };
}

/**
 * The payload of a message by its event's codec and schema. A tombstone (`value` is `null`) is `null` and passes neither
 * (P-I12); an empty payload goes through both. Throws `PAYLOAD_NOT_DECODABLE` or `PAYLOAD_INVALID`.
 */
export function decodePayload<E extends EventDefinition>(event: E, message: Message): PayloadOf<E> | null {
  if (message.value === null) return null;
  let value: unknown;
  try {
    value = event.codec.decode(message.value);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new TxboxError('PAYLOAD_NOT_DECODABLE', `Payload of ${placeOf(message)} is not what event ${event.name} expects: ${reason}.`, {
      cause,
    });
  }
  if (event.schema === undefined) return value as PayloadOf<E>;
  return validatePayload(event.schema, value, `Payload of ${placeOf(message)}, event ${event.name},`) as PayloadOf<E>;
}

function occurredAtOf(delivery: Delivery): Date {
  const text = headerOf(delivery.headers, HEADER.occurredAt)?.toString('latin1');
  // Producers in other languages may leave it out; the record's own time is the best that is known.
  const at = new Date(text ?? delivery.timestamp);
  if (Number.isNaN(at.getTime())) throw damaged(delivery, `${HEADER.occurredAt} is ${JSON.stringify(text)} instead of an RFC 3339 time`);
  return at;
}

function damaged(delivery: Delivery, reason: string): TxboxError {
  return new TxboxError('MESSAGE_UNREADABLE', `${placeOf(delivery)} was produced by txbox but is damaged: ${reason}.`);
}

function placeOf(at: { topic: string; partition: number; offset: bigint }): string {
  return `message ${at.topic}/${at.partition}@${at.offset}`;
}
