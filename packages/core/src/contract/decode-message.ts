import { TxboxError } from '../runtime/error.ts';
import type { Delivery, WireHeader } from '../transport/delivery.ts';
import type { EventDefinition, PayloadOf } from './event.ts';
import { CLOUD_EVENTS_HEADER, HEADER, MAX_CORRELATION } from './headers.ts';
import type { Message } from './message.ts';
import { type MessageId, messageIdFromBytes, messageIdToBytes } from './message-id.ts';
import { validatePayload } from './validate-payload.ts';

const VERSION = /^[1-9]\d{0,9}$/;

/** The first header of that name, which is the one that counts. */
export function headerOf(headers: readonly WireHeader[], name: string): Buffer | undefined {
  for (const [candidate, value] of headers) if (candidate === name) return value;
  return undefined;
}

/** Where the facts of a message stand, by its envelope. */
interface Places {
  readonly id: string;
  readonly type: string;
  readonly version: string;
  readonly occurredAt: string;
  readonly correlationId: string;
  readonly causationId: string;
}

const CLOUD_EVENTS_PLACES: Places = { ...CLOUD_EVENTS_HEADER, occurredAt: CLOUD_EVENTS_HEADER.time };

/**
 * What a delivery says by its headers, in either envelope; the payload stays bytes. Throws `MESSAGE_FOREIGN` when it carries
 * no message id of ours (another producer's), `MESSAGE_UNREADABLE` when it is ours and damaged.
 */
export function decodeMessage(delivery: Delivery): Message {
  const { headers } = delivery;
  // CloudEvents of other producers have no version of ours.
  const cloudEvent = headerOf(headers, HEADER.id) === undefined && headerOf(headers, CLOUD_EVENTS_HEADER.version) !== undefined;
  const places = cloudEvent ? CLOUD_EVENTS_PLACES : HEADER;
  const textOf = (name: string): string | undefined => headerOf(headers, name)?.toString('utf8');
  const id = headerOf(headers, places.id);
  if (id === undefined && !cloudEvent) {
    throw new TxboxError('MESSAGE_FOREIGN', `${placeOf(delivery)} was not produced by txbox: it has no header ${HEADER.id}.`);
  }
  const type = textOf(places.type);
  if (type === undefined || type === '') throw damaged(delivery, `${places.type} is missing`);
  const version = textOf(places.version) ?? 'missing';
  if (!VERSION.test(version)) throw damaged(delivery, `${places.version} is ${JSON.stringify(version)} instead of a whole number`);
  return {
    id: cloudEvent ? uuidOf(delivery, id) : bytesOf(delivery, id as Buffer),
    type,
    version: Number(version),
    topic: delivery.topic,
    partition: delivery.partition,
    offset: delivery.offset,
    key: delivery.key,
    value: delivery.value,
    headers,
    occurredAt: occurredAtOf(delivery, places.occurredAt),
    correlationId: correlationOf(textOf(places.correlationId)),
    causationId: correlationOf(textOf(places.causationId)),
  };
}

/** Producers in other languages may write what `add` would refuse to pass on. */
function correlationOf(text: string | undefined): string | undefined {
  return text !== undefined && text !== '' && text.length <= MAX_CORRELATION ? text : undefined;
}

function bytesOf(delivery: Delivery, id: Buffer): MessageId {
  if (id.length !== 16) throw damaged(delivery, `${HEADER.id} has ${id.length} bytes instead of 16`);
  return messageIdFromBytes(id);
}

function uuidOf(delivery: Delivery, id: Buffer | undefined): MessageId {
  try {
    return messageIdFromBytes(messageIdToBytes(id?.toString('latin1') ?? ''));
  } catch {
    throw damaged(delivery, `${CLOUD_EVENTS_HEADER.id} is ${JSON.stringify(id?.toString('latin1') ?? 'missing')} instead of a UUID`);
  }
}

/**
 * The payload of a message by its event's codec, the steps from older versions, and the schema. A tombstone (`value` is `null`) is `null` and passes neither
 * (P-I12); an empty payload goes through both. Throws `PAYLOAD_NOT_DECODABLE`,
 * `PAYLOAD_INVALID`, or `VERSION_UNSUPPORTED` for a version that the definition does not lead from.
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
  if (message.version !== event.version) value = upcast(event, message, value);
  if (event.schema === undefined) return value as PayloadOf<E>;
  return validatePayload(event.schema, value, `Payload of ${placeOf(message)}, event ${event.name},`) as PayloadOf<E>;
}

/** Through the steps from the message's version to the event's, each from one version to the next. */
function upcast(event: EventDefinition, message: Message, value: unknown): unknown {
  let current = value;
  for (let version = message.version; version !== event.version; version += 1) {
    const step = version < event.version ? event.upcast?.[version] : undefined;
    if (!step) {
      throw new TxboxError(
        'VERSION_UNSUPPORTED',
        `${placeOf(message)} is version ${message.version} of event ${event.name}, and the definition here is version ${event.version}` +
          (message.version > event.version
            ? ': deploy consumers of a new version before its producers.'
            : ` without a step from version ${version}: give it upcast: { ${version}: (payload) => … }.`),
        { details: { event: event.name, version: message.version, supported: event.version } },
      );
    }
    try {
      current = step(current);
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new TxboxError(
        'PAYLOAD_NOT_DECODABLE',
        `Payload of ${placeOf(message)}: the upcast of event ${event.name} from version ${version} threw: ${reason}.`,
        { cause },
      );
    }
  }
  return current;
}

function occurredAtOf(delivery: Delivery, place: string): Date {
  const text = headerOf(delivery.headers, place)?.toString('latin1');
  // Producers in other languages may leave it out; the record's own time is the best that is known.
  const at = new Date(text ?? delivery.timestamp);
  if (Number.isNaN(at.getTime())) throw damaged(delivery, `${place} is ${JSON.stringify(text)} instead of an RFC 3339 time`);
  return at;
}

function damaged(delivery: Delivery, reason: string): TxboxError {
  return new TxboxError('MESSAGE_UNREADABLE', `${placeOf(delivery)} was produced by txbox but is damaged: ${reason}.`);
}

function placeOf(at: { topic: string; partition: number; offset: bigint }): string {
  return `message ${at.topic}/${at.partition}@${at.offset}`;
}
