import type { WireHeader, WireRecord } from '@txbox/core/spi';
import type { IHeaders, Message } from 'kafkajs';
import { PackedRecords } from './packed-records.ts';

/** What kafkajs's encoder makes of a record, as far as its next step reads it. */
interface Encoded {
  readonly buf: Buffer;
  readonly buffer: Buffer;
}

const NOTHING: Encoded = { buf: Buffer.alloc(0), buffer: Buffer.alloc(0) };

/**
 * The messages of one partition, as kafkajs takes them. kafkajs 2.2.4 copies the list once for every message while it groups
 * them by partition, and makes one to two buffers of half a kilobyte for every header; that is most of a relay's CPU time.
 * An array answers for itself: grouping it gives itself, and encoding it takes one buffer.
 *
 * Nothing of kafkajs is replaced, and it is asked first each time: only when it treats the first message as we would is the
 * rest done here, else by itself.
 */
export class PartitionMessages extends Array<Message> {
  readonly #records: readonly WireRecord[];

  constructor(records: readonly WireRecord[], partition: number) {
    super();
    this.#records = records;
    for (const { key, value, headers } of records) this.push({ key, value, partition, headers: toHeaders(headers) });
  }

  // What is derived from it is an ordinary array.
  static override get [Symbol.species](): ArrayConstructor {
    return Array;
  }

  /** Grouping by partition: all are of the one that the first is of. */
  override reduce(step: (...args: never[]) => unknown, ...initial: unknown[]): never {
    const [into] = initial;
    const [first] = this;
    if (first && isEmptyObject(into)) {
      const grouped = (step as Step)(into, first, 0, this);
      const [[partition, members] = [], ...others] = Object.entries(grouped ?? {});
      if (others.length === 0 && partition === String(first.partition) && Array.isArray(members) && members[0] === first) {
        return { [partition]: this } as never;
      }
      return this.slice(1).reduce<unknown>((sum, message, index) => (step as Step)(sum, message, index + 1, this), grouped) as never;
    }
    return Reflect.apply(Array.prototype.reduce as () => unknown, this, [step, ...initial]) as never;
  }

  /** Encoding: where kafkajs makes a record of the first message, and the very bytes that we make, the rest is ours. */
  override map<T>(step: (message: Message, index: number, messages: Message[]) => T, self?: unknown): T[] {
    const [first] = this;
    if (first && this.length > 1) {
      const encoded: unknown = Reflect.apply(step, self, [first, 0, this]);
      if (isEncoded(encoded)) {
        const packed = new PackedRecords(this.#records);
        if (packed.startsWith(encoded.buffer)) {
          const all: Encoded[] = Array.from({ length: this.length }, () => NOTHING);
          all[0] = { buf: packed.bytes, buffer: packed.bytes };
          return all as T[];
        }
      }
    }
    return super.map(step, self);
  }
}

type Step = (sum: unknown, message: Message, index: number, messages: readonly Message[]) => object | undefined;

function isEmptyObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Object.keys(value).length === 0;
}

function isEncoded(value: unknown): value is Encoded {
  if (typeof value !== 'object' || value === null) return false;
  const { buf, buffer } = value as Partial<Encoded>;
  return Buffer.isBuffer(buf) && Buffer.isBuffer(buffer);
}

/** kafkajs wants an object: values of one name keep their order, names do not keep theirs when one returns. */
function toHeaders(headers: readonly WireHeader[]): IHeaders {
  const grouped: Record<string, Buffer | Buffer[]> = Object.create(null);
  for (const [name, value] of headers) {
    const known = grouped[name];
    if (known === undefined) grouped[name] = value;
    else if (Array.isArray(known)) known.push(value);
    else grouped[name] = [known, value];
  }
  return grouped;
}
