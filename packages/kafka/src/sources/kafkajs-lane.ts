import type { Delivery } from '@txbox/core/spi';
import type { EachBatchPayload, KafkaMessage } from 'kafkajs';

/** What a lane needs of the consumer that reads it; comes with every fetch. */
export type LaneAccess = Pick<EachBatchPayload, 'commitOffsetsIfNecessary' | 'heartbeat'>;

/**
 * One assigned partition within one generation of its group: what was fetched and is not check-pointed.
 *
 * kafkajs's own places play no part: it fetches ahead, `position` says where its next fetch has to begin, and only
 * `checkpoint` moves what is stored. What a batch leaves behind its last checkpoint stays in the queue.
 */
export class Lane {
  readonly topic: string;
  readonly partition: number;
  readonly #lost: AbortController = new AbortController();
  #queue: Delivery[] = [];
  #bytes = 0;
  /** Where the next fetch begins; `undefined` while it is being found out. */
  position: bigint | undefined;
  /** First offset that is not check-pointed. */
  done = 0n;
  /** Behind everything the consumer has seen of the log, records that are never delivered included. */
  scanned = 0n;
  access: LaneAccess | undefined;
  /** Batches are being given out. */
  busy = false;
  paused = true;
  /** No checkpoint will be stored any more. */
  ended = false;

  constructor(topic: string, partition: number) {
    this.topic = topic;
    this.partition = partition;
  }

  /** Aborted when the lane is about to go, or gone. */
  get signal(): AbortSignal {
    return this.#lost.signal;
  }

  get queued(): number {
    return this.#queue.length;
  }

  get queuedBytes(): number {
    return this.#bytes;
  }

  /** Tells the batch at work; its checkpoints still count. */
  release(): void {
    this.#lost.abort();
  }

  /** The lane belongs to others now. */
  end(): void {
    this.ended = true;
    this.release();
    this.#queue = [];
    this.#bytes = 0;
  }

  /** Begins anew at a place. */
  moveTo(position: bigint): void {
    this.position = position;
    this.done = position;
    this.scanned = position;
    this.#queue = [];
    this.#bytes = 0;
  }

  append(messages: readonly KafkaMessage[], nextPosition: bigint): void {
    for (const message of messages) {
      const delivery = toDelivery(this.topic, this.partition, message);
      this.#queue.push(delivery);
      this.#bytes += bytesOf(delivery);
    }
    this.position = nextPosition;
    this.scanned = nextPosition;
  }

  /** The oldest deliveries, which stay in the queue. */
  head(count: number): Delivery[] {
    return this.#queue.slice(0, count);
  }

  /** Forgets what is check-pointed. */
  advance(nextOffset: bigint): void {
    if (nextOffset <= this.done) return;
    this.done = nextOffset;
    const kept = this.#queue.findIndex(({ offset }) => offset >= nextOffset);
    const gone = this.#queue.splice(0, kept < 0 ? this.#queue.length : kept);
    for (const delivery of gone) this.#bytes -= bytesOf(delivery);
  }

  /** Messages below `high` that are not check-pointed. */
  lag(high: bigint): bigint {
    const next = this.#queue.length === 0 && this.scanned > this.done ? this.scanned : this.done;
    return high > next ? high - next : 0n;
  }
}

function toDelivery(topic: string, partition: number, { offset, key, value, headers = {}, timestamp }: KafkaMessage): Delivery {
  return {
    topic,
    partition,
    offset: BigInt(offset),
    key,
    value,
    headers: Object.entries(headers).flatMap(([name, values]) =>
      (Array.isArray(values) ? values : [values]).map((one): [string, Buffer] => [
        name,
        Buffer.isBuffer(one) ? one : Buffer.from(one ?? ''),
      ]),
    ),
    timestamp: Number(timestamp),
  };
}

function bytesOf({ key, value, headers }: Delivery): number {
  return (key?.length ?? 0) + (value?.length ?? 0) + headers.reduce((sum, [name, bytes]) => sum + name.length + bytes.length, 0);
}
