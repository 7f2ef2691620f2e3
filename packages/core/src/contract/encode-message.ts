import { isUtf8 } from 'node:buffer';
import { TxboxError } from '../runtime/error.ts';
import type { WireHeader } from '../transport/delivery.ts';
import { type EventDefinition, noEventBecause } from './event.ts';
import { encodeHeaders, HeaderBlockWriter, headersOf } from './header-block.ts';
import { CLOUD_EVENTS_HEADER, HEADER, isReservedHeader, MAX_CORRELATION } from './headers.ts';
import type { AddOptions, EncodedMessage, HeaderValue } from './message.ts';
import { messageIdFromBytes, messageIdToBytes, newMessageIdBytes } from './message-id.ts';
import { currentTraceContext } from './trace-context.ts';
import { validatePayload } from './validate-payload.ts';

const MAX_KEY_BYTES = 255;
const MAX_AGGREGATE_ID = 255;
/** What the column `headers` (BLOB) holds. */
const MAX_HEADER_BYTES = 65_535;
const ADD_OPTIONS: ReadonlySet<string> = new Set<keyof AddOptions>(['headers', 'key', 'id', 'occurredAt', 'correlationId', 'causationId']);

/** For all messages: one is encoded after the other. */
const writer = new HeaderBlockWriter(1_024);

/** The headers that are the same for every message of an event, by event, and by source where they are CloudEvents'. */
const fixedHeaders = new WeakMap<EventDefinition, Map<string | undefined, Buffer>>();

/**
 * The final, encoded form of a message (P-T5, P-W1): validates (what the validator returns is sent), encodes and checks
 * every limit. `source`: the headers are CloudEvents' attributes, from there. Synchronous, touches nothing. Throws `PAYLOAD_INVALID`, `PAYLOAD_NOT_ENCODABLE`, `MESSAGE_TOO_LARGE`,
 * `KEY_INVALID`, `AGGREGATE_INVALID`, `HEADER_INVALID`, `MESSAGE_ID_INVALID`, `OPTIONS_INVALID`, or `EVENT_INVALID` for what
 * is no event.
 */
export function encodeMessage(event: EventDefinition, payload: unknown, options: AddOptions = {}, source?: string): EncodedMessage {
  if (typeof (event as Partial<EventDefinition> | undefined)?.codec?.encode !== 'function') {
    throw new TxboxError('EVENT_INVALID', `add ${noEventBecause(event) ?? 'takes an event with a codec'}`);
  }
  for (const name in options) {
    if (!ADD_OPTIONS.has(name)) {
      throw new TxboxError('OPTIONS_INVALID', `Unknown option ${name} for event ${event.name} (known: ${[...ADD_OPTIONS].join(', ')}).`);
    }
  }
  const value = event.schema === undefined ? payload : validatePayload(event.schema, payload, `Payload of event ${event.name}`);
  const bytes = encodePayload(event, value);
  const id = options.id === undefined ? newMessageIdBytes() : messageIdToBytes(options.id);
  const aggregateId = event.aggregate === undefined ? null : aggregateIdOf(event, value);
  const key = keyOf(event, value, options);
  const occurredAt = occurredAtOf(event, options);
  const { correlationId, causationId } = options;
  // What is not ours runs before the block is begun: there is one writer, and they may add events.
  const trace = currentTraceContext();
  const own = event.headers === undefined && options.headers === undefined ? undefined : { ...event.headers?.(value), ...options.headers };
  const names = source === undefined ? HEADER : CLOUD_EVENTS_NAMES;
  writer.begin();
  if (source === undefined) writer.put(names.id, id);
  else writer.putText(names.id, messageIdFromBytes(id));
  writer.putAll(fixedHeadersOf(event, source));
  writer.putText(names.occurredAt, occurredAt);
  if (aggregateId !== null) writer.putText(names.aggregateId, aggregateId);
  if (source !== undefined && key !== null && isUtf8(key)) writer.put(CLOUD_EVENTS_HEADER.partitionKey, key);
  if (correlationId !== undefined) writer.putText(names.correlationId, correlation(event, 'correlationId', correlationId));
  if (causationId !== undefined) writer.putText(names.causationId, correlation(event, 'causationId', causationId));
  if (trace) {
    writer.putText(names.traceparent, trace.traceparent);
    if (trace.tracestate !== undefined) writer.putText(names.tracestate, trace.tracestate);
  }
  for (const name in own) putOwn(event, name, own[name] as HeaderValue);
  const headers = writer.take();
  checkSize(event, key, headers, bytes);
  return {
    id,
    topic: event.topic,
    key,
    type: event.name,
    aggregateType: event.aggregate?.type ?? null,
    aggregateId,
    sequence: null,
    headers,
    payload: bytes,
  };
}

/** CloudEvents' names of the same facts. */
const CLOUD_EVENTS_NAMES = {
  ...CLOUD_EVENTS_HEADER,
  occurredAt: CLOUD_EVENTS_HEADER.time,
  aggregateId: CLOUD_EVENTS_HEADER.subject,
};

function fixedHeadersOf(event: EventDefinition, source: string | undefined): Buffer {
  let bySource = fixedHeaders.get(event);
  if (bySource === undefined) {
    bySource = new Map();
    fixedHeaders.set(event, bySource);
  }
  let headers = bySource.get(source);
  if (headers === undefined) {
    const names = source === undefined ? HEADER : CLOUD_EVENTS_NAMES;
    const fixed: WireHeader[] = [
      [names.type, Buffer.from(event.name)],
      [names.version, Buffer.from(String(event.version))],
      [HEADER.contentType, Buffer.from(event.codec.contentType)],
    ];
    if (event.aggregate !== undefined) fixed.push([names.aggregateType, Buffer.from(event.aggregate.type)]);
    if (source !== undefined) {
      fixed.push([CLOUD_EVENTS_HEADER.specversion, Buffer.from('1.0')], [CLOUD_EVENTS_HEADER.source, Buffer.from(source)]);
    }
    headers = headersOf(encodeHeaders(fixed));
    bySource.set(source, headers);
  }
  return headers;
}

function correlation(event: EventDefinition, name: 'correlationId' | 'causationId', value: unknown): string {
  if (typeof value === 'string' && value !== '' && value.length <= MAX_CORRELATION) return value;
  const got = typeof value === 'string' ? `${value.length}` : value === null ? 'null' : typeof value;
  throw new TxboxError(
    'OPTIONS_INVALID',
    `${name} of event ${event.name} must be a text of 1 to ${MAX_CORRELATION} characters, got ${got}.`,
  );
}

function encodePayload(event: EventDefinition, value: unknown): Buffer {
  let encoded: Uint8Array;
  try {
    encoded = event.codec.encode(value);
  } catch (cause) {
    throw new TxboxError('PAYLOAD_NOT_ENCODABLE', `Payload of event ${event.name} cannot be encoded: ${reasonOf(cause)}.`, { cause });
  }
  if (!(encoded instanceof Uint8Array)) {
    throw new TxboxError('PAYLOAD_NOT_ENCODABLE', `The codec of event ${event.name} must return a Uint8Array, got ${typeof encoded}.`);
  }
  return Buffer.isBuffer(encoded) ? encoded : Buffer.from(encoded.buffer, encoded.byteOffset, encoded.byteLength);
}

function keyOf(event: EventDefinition, value: unknown, options: AddOptions): Buffer | null {
  let key: unknown = options.key;
  if (key === undefined) {
    try {
      key = event.key(value);
    } catch (cause) {
      throw new TxboxError('KEY_INVALID', `The key function of event ${event.name} threw: ${reasonOf(cause)}.`, { cause });
    }
  }
  if (key === null) {
    if (!event.strictOrder) return null;
    throw new TxboxError(
      'KEY_INVALID',
      `Event ${event.name} has strictOrder, which numbers the messages of a key, and the key is null. Give it a key, or leave strictOrder out.`,
    );
  }
  if (typeof key !== 'string' && !(key instanceof Uint8Array)) {
    throw new TxboxError('KEY_INVALID', `The key of event ${event.name} must be a string, a Uint8Array or null, got ${typeof key}.`);
  }
  const bytes = typeof key === 'string' ? Buffer.from(key, 'utf8') : Buffer.from(key);
  if (bytes.length > MAX_KEY_BYTES) {
    throw new TxboxError(
      'KEY_INVALID',
      `The key of event ${event.name} has ${bytes.length} bytes, at most ${MAX_KEY_BYTES} are possible. Use a shorter one, for example a hash of it.`,
      { details: { bytes: bytes.length, maxBytes: MAX_KEY_BYTES } },
    );
  }
  return bytes;
}

function aggregateIdOf(event: EventDefinition, value: unknown): string {
  const id: unknown = event.aggregate?.id(value);
  if (typeof id === 'string' && id.length <= MAX_AGGREGATE_ID) return id;
  const got = typeof id === 'string' ? `${id.length} characters` : typeof id;
  throw new TxboxError(
    'AGGREGATE_INVALID',
    `The aggregate id of event ${event.name} must be a string of at most ${MAX_AGGREGATE_ID} characters, got ${got}.`,
  );
}

function occurredAtOf(event: EventDefinition, options: AddOptions): string {
  if (options.occurredAt === undefined) return nowText();
  const at: unknown = options.occurredAt;
  if (!(at instanceof Date) || Number.isNaN(at.getTime())) {
    throw new TxboxError('OPTIONS_INVALID', `occurredAt of event ${event.name} must be a valid Date.`);
  }
  return at.toISOString();
}

let lastMs = Number.NaN;
let lastText = '';

/** Many events are of the same millisecond. */
function nowText(): string {
  const now = Date.now();
  if (now !== lastMs) {
    lastMs = now;
    lastText = new Date(now).toISOString();
  }
  return lastText;
}

function putOwn(event: EventDefinition, name: string, value: unknown): void {
  if (name === '' || isReservedHeader(name)) {
    throw new TxboxError(
      'HEADER_INVALID',
      `Header ${JSON.stringify(name)} of event ${event.name} is reserved: names may not be empty, begin with txbox- or ce_, nor be content-type, traceparent or tracestate.`,
    );
  }
  if (typeof value === 'string') writer.putText(name, value);
  else if (value instanceof Uint8Array) writer.put(name, value);
  else {
    throw new TxboxError(
      'HEADER_INVALID',
      `Header ${name} of event ${event.name} must be a string or a Uint8Array, got ${value === null ? 'null' : typeof value}.`,
    );
  }
}

function checkSize(event: EventDefinition, key: Buffer | null, headers: Buffer, payload: Buffer): void {
  const headerBytes = headers.length;
  if (headerBytes > MAX_HEADER_BYTES) {
    throw new TxboxError(
      'HEADER_INVALID',
      `The headers of event ${event.name} have ${headerBytes} bytes, at most ${MAX_HEADER_BYTES} are possible.`,
    );
  }
  const bytes = (key?.length ?? 0) + headerBytes + payload.length;
  if (bytes <= event.maxBytes) return;
  throw new TxboxError(
    'MESSAGE_TOO_LARGE',
    `A message of event ${event.name} has ${bytes} bytes (payload ${payload.length}), its maxBytes is ${event.maxBytes}. ` +
      'Send a reference instead of the data, or raise maxBytes together with the limit of the topic (max.message.bytes).',
    { details: { bytes, payloadBytes: payload.length, maxBytes: event.maxBytes } },
  );
}

function reasonOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
