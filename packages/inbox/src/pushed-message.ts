import { type Delivery, TxboxError, type WireHeader } from '@txbox/core/spi';

type PushedValue = Buffer | string;

/** A message as other consumers hand it over: the shape of kafkajs's `eachMessage`, whose payload fits as it is. */
export interface PushedMessage {
  readonly topic: string;
  readonly partition: number;
  readonly message: {
    readonly key?: PushedValue | null;
    /** `null` = tombstone; an empty value is an empty payload. */
    readonly value: PushedValue | null;
    /** Values of `txbox-id` must be bytes. */
    readonly headers?: Readonly<Record<string, PushedValue | readonly PushedValue[] | undefined>>;
    readonly offset: string;
    /** Milliseconds since 1970. Default now. */
    readonly timestamp?: string;
  };
}

/** The delivery in it. Throws `OPTIONS_INVALID` for another shape. */
export function deliveryOf(pushed: PushedMessage): Delivery {
  const { topic, partition, message } = pushed;
  const shape = typeof topic === 'string' && Number.isInteger(partition) && typeof message === 'object' && message !== null;
  if (!shape || !/^\d+$/.test(String(message.offset))) {
    throw new TxboxError(
      'OPTIONS_INVALID',
      'process takes { topic, partition, message: { key, value, headers, offset, timestamp } } as kafkajs gives it to eachMessage.',
    );
  }
  return {
    topic,
    partition,
    offset: BigInt(message.offset),
    key: bytesOf(message.key, 'key'),
    value: bytesOf(message.value, 'value'),
    headers: headersOf(message.headers ?? {}),
    timestamp: message.timestamp === undefined ? Date.now() : Number(message.timestamp),
  };
}

function headersOf(headers: NonNullable<PushedMessage['message']['headers']>): WireHeader[] {
  return Object.entries(headers).flatMap(([name, value]) => {
    const values: readonly unknown[] = Array.isArray(value) ? value : [value];
    return values.flatMap((one): WireHeader[] => {
      const bytes = bytesOf(one, `header ${name}`);
      return bytes === null ? [] : [[name, bytes]];
    });
  });
}

// P-I8: never a coerced object; one string form of all Buffers would make all ids one.
function bytesOf(value: unknown, what: string): Buffer | null {
  if (value === undefined || value === null) return null;
  if (typeof value === 'string') return Buffer.from(value);
  if (value instanceof Uint8Array) return Buffer.isBuffer(value) ? value : Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  throw new TxboxError('OPTIONS_INVALID', `process: ${what} of a message must be a Buffer, a string or null, got ${typeof value}.`);
}
