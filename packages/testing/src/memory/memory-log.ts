import {
  type Delivery,
  isTxboxError,
  type MessageSource,
  type Publisher,
  type PublishFailureKind,
  type PublishReceipt,
  type PublishRequest,
  type TopicDescription,
  TxboxError,
  type WireRecord,
} from '@txbox/core/spi';
import { MemoryGroup } from './memory-group.ts';

/** Faults of a memory publisher. Each hook sees the request and may wait; what it throws is what `publish` rejects with. */
export interface PublishFaults {
  /** Before anything is stored: a throw means that nothing is. */
  before?(request: PublishRequest): void | Promise<void>;
  /** After all is stored: a throw is the lost acknowledgement. */
  after?(request: PublishRequest): void | Promise<void>;
}

/** What {@link MemoryLog.publisher} takes. */
export interface MemoryPublisherOptions {
  /** Default 1,048,576. */
  readonly maxRecordBytes?: number;
  readonly faults?: PublishFaults;
}

/** A broker's log in memory: topics, lanes, groups. Publishers and sources of one log share it. */
export class MemoryLog {
  readonly #topics: Map<string, Delivery[][]> = new Map();
  readonly #groups: Map<string, MemoryGroup> = new Map();

  createTopic(topic: string, partitions: number): void {
    if (!this.#topics.has(topic))
      this.#topics.set(
        topic,
        Array.from({ length: partitions }, () => []),
      );
  }

  /** Every record of a topic, partition by partition, each in order. Throws `TOPIC_MISSING`. */
  readAll(topic: string): Delivery[] {
    return this.#lanes(topic).flat();
  }

  publisher(options: MemoryPublisherOptions = {}): Publisher {
    return new MemoryPublisher(options, {
      describe: (topic) => ({ topic, partitions: this.#lanes(topic).length }),
      append: (request) => this.#append(request),
    });
  }

  source(): MessageSource {
    const members = new Set<{ stop(): Promise<void> }>();
    let closed = false;
    return {
      name: 'memory',
      clusterId: () => Promise.resolve('memory'),
      subscribe: async (options) => {
        if (closed) throw new TxboxError('STOPPED', 'This source was closed.');
        const topics = [...new Set(options.topics)];
        for (const topic of topics) this.#lanes(topic);
        const subscription = this.#group(options.group).join({ ...options, topics });
        members.add(subscription);
        return subscription;
      },
      close: async () => {
        closed = true;
        await Promise.all([...members].map((member) => member.stop()));
      },
    };
  }

  /** Takes every lane of a group from its members, as a broker does that has not heard from them; others may take them. */
  expel(group: string): void {
    this.#group(group).expel();
  }

  #group(name: string): MemoryGroup {
    const known = this.#groups.get(name);
    if (known) return known;
    const group = new MemoryGroup(name, (topic) => this.#lanes(topic));
    this.#groups.set(name, group);
    return group;
  }

  #append({ topic, partition, records }: PublishRequest): number {
    const lanes = this.#lanes(topic);
    const lane = lanes[partition];
    if (!lane) {
      throw new TxboxError('TOPIC_SHRUNK', `Topic ${topic} has ${lanes.length} partitions, got a request for partition ${partition}.`, {
        details: { topic, partition, partitions: lanes.length },
      });
    }
    const base = lane.length;
    for (const record of records) {
      lane.push({ topic, partition, offset: BigInt(lane.length), timestamp: Date.now(), ...copyOf(record) });
    }
    for (const group of this.#groups.values()) group.wake();
    return base;
  }

  #lanes(topic: string): Delivery[][] {
    const lanes = this.#topics.get(topic);
    if (lanes) return lanes;
    throw new TxboxError(
      'TOPIC_MISSING',
      `Topic ${JSON.stringify(topic)} does not exist, and publishing never creates one: createTopic(name, partitions).`,
      {
        details: { topic },
      },
    );
  }
}

interface MemoryBroker {
  describe(topic: string): TopicDescription;
  append(request: PublishRequest): number;
}

class MemoryPublisher implements Publisher {
  readonly name = 'memory';
  readonly maxRecordBytes: number;
  readonly #faults: PublishFaults;
  readonly #broker: MemoryBroker;
  #closed = false;

  constructor(options: MemoryPublisherOptions, broker: MemoryBroker) {
    this.maxRecordBytes = options.maxRecordBytes ?? 1_048_576;
    this.#faults = options.faults ?? {};
    this.#broker = broker;
  }

  async connect(): Promise<void> {
    this.#refuseClosed();
  }

  async describeTopic(topic: string): Promise<TopicDescription> {
    this.#refuseClosed();
    return this.#broker.describe(topic);
  }

  async publish(request: PublishRequest): Promise<PublishReceipt> {
    this.#refuseClosed();
    await this.#faults.before?.(request);
    for (const record of request.records) this.#refuseTooLarge(record, request.topic);
    const baseOffset = BigInt(this.#broker.append(request));
    await this.#faults.after?.(request);
    return { topic: request.topic, partition: request.partition, baseOffset };
  }

  classify(error: unknown): PublishFailureKind {
    if (isTxboxError(error, 'PUBLISH_REJECTED')) return 'record';
    return isTxboxError(error, 'TOPIC_MISSING') || isTxboxError(error, 'TOPIC_SHRUNK') ? 'topic' : 'transient';
  }

  async close(): Promise<void> {
    this.#closed = true;
  }

  #refuseClosed(): void {
    if (this.#closed) throw new TxboxError('STOPPED', 'This publisher was closed.');
  }

  #refuseTooLarge({ key, value, headers }: WireRecord, topic: string): void {
    const headerBytes = headers.reduce((sum, [name, bytes]) => sum + Buffer.byteLength(name) + bytes.length, 0);
    const bytes = (key?.length ?? 0) + (value?.length ?? 0) + headerBytes;
    if (bytes <= this.maxRecordBytes) return;
    throw new TxboxError(
      'PUBLISH_REJECTED',
      `A record for topic ${topic} has ${bytes} bytes, more than maxRecordBytes (${this.maxRecordBytes}).`,
      {
        details: { topic, bytes },
      },
    );
  }
}

function copyOf({ key, value, headers }: WireRecord): WireRecord {
  return {
    key: key && Buffer.from(key),
    value: value && Buffer.from(value),
    headers: headers.map(([name, bytes]) => [name, Buffer.from(bytes)]),
  };
}
