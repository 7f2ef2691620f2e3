import {
  checkOptions,
  flag,
  type OptionChecks,
  type Publisher,
  type PublisherInspection,
  type PublishReceipt,
  type PublishRequest,
  type TopicAdmin,
  type TopicDescription,
} from '@txbox/core/spi';
import type { Message, Producer, RecordMetadata } from 'kafkajs';
import { ClientSlot, type NewClient } from '../client-slot.ts';
import { noAnswer, shrunk, unproven } from '../kafka-errors.ts';
import { inspectTopics } from '../kafka-inspection.ts';
import { type KafkaPublisherOptions, PUBLISHER_DEFAULTS, publisherRules, type ResolvedPublisher } from '../kafka-options.ts';
import { CLIENT_RETRY, createClient, givesUpAfterMs, type Kafkajs, loadKafkajs } from '../kafkajs-client.ts';
import { COMPRESSION_TYPES, codecReady } from '../kafkajs-codecs.ts';
import { classify, isStaleClient, publishErrorOf, topicErrorOf, unavailable } from '../kafkajs-errors.ts';
import { PartitionMessages } from '../kafkajs-messages.ts';
import { Sockets } from '../kafkajs-sockets.ts';
import { TopicDirectory } from '../kafkajs-topics.ts';
import { refuseTooLarge } from '../record-size.ts';

/** What {@link kafkajs} takes. */
export interface KafkajsPublisherOptions extends KafkaPublisherOptions {
  /** Whether to repair a timer of kafkajs 2.2.4 that keeps idle processes busy (for the whole process). Default `true`. */
  readonly patchIdleTimer?: boolean;
}

type Resolved = ResolvedPublisher & Required<Pick<KafkajsPublisherOptions, 'patchIdleTimer'>>;

/** Rules and defaults of {@link KafkajsPublisherOptions}. */
export const KAFKAJS_OPTIONS: OptionChecks<Resolved> = {
  rules: { ...publisherRules, patchIdleTimer: flag },
  defaults: { ...PUBLISHER_DEFAULTS, patchIdleTimer: true },
  optional: ['sasl'],
  secret: ['sasl', 'ssl'],
};

/**
 * A publisher into Kafka by the client kafkajs. Acknowledged records are on all replicas in sync (acks −1); set
 * `min.insync.replicas` so that this means something.
 *
 * kafkajs's `idempotent` mode is never used: it acknowledges batches it has not written after it gave up on one, and
 * loses acknowledged records among concurrent requests (P-R5). What a lost acknowledgement leaves is a duplicate.
 * After `(1 + 3) × (connectionTimeoutMs + requestTimeoutMs)` and three seconds (`inspect` tells it as `givesUpAfterMs`) nothing
 * of a failed request is on its way any more.
 *
 * Every topic has a producer of its own, hence connections of its own to the brokers that lead its partitions: kafkajs
 * asks about all topics of a producer at once, and one that is gone or without a leader spoils the answer for all.
 *
 * Throws `OPTIONS_INVALID`. Needs the package `kafkajs`, and for snappy and lz4 `@platformatic/wasm-utils`
 * (`DEPENDENCY_MISSING` at `connect`).
 */
export function kafkajs(options: KafkajsPublisherOptions): Publisher {
  return new KafkajsPublisher(checkOptions<Resolved>('kafkajs', options, KAFKAJS_OPTIONS));
}

/** All replicas in sync. */
const ACKS = -1;

class KafkajsPublisher implements Publisher {
  readonly name = 'kafkajs';
  readonly maxRecordBytes: number;
  readonly topicAdmin: TopicAdmin;
  readonly #options: Resolved;
  readonly #topics: TopicDirectory;
  readonly #producers: Map<string, ClientSlot<Producer>> = new Map();
  /** Partitions when a topic was described last. */
  readonly #described: Map<string, number> = new Map();
  #closed = false;

  constructor(options: Resolved) {
    this.#options = options;
    this.maxRecordBytes = options.maxRecordBytes;
    this.#topics = new TopicDirectory('The publisher kafkajs', options);
    this.topicAdmin = this.#topics;
  }

  async connect(): Promise<void> {
    await this.#load();
    await this.#topics.clusterId();
  }

  async describeTopic(topic: string): Promise<TopicDescription> {
    const partitions = await this.#topics.partitionsOf(topic);
    // A producer knows the partitions that there were when it was made.
    if (partitions > (this.#described.get(topic) ?? partitions)) this.#producers.get(topic)?.renew();
    this.#described.set(topic, partitions);
    return { topic, partitions };
  }

  async inspect(topics: readonly string[]): Promise<PublisherInspection> {
    return { acks: ACKS, givesUpAfterMs: givesUpAfterMs(this.#options), ...(await inspectTopics(this.#topics, topics)) };
  }

  async publish({ topic, partition, records }: PublishRequest): Promise<PublishReceipt> {
    refuseTooLarge(records, this.maxRecordBytes, topic);
    const answer = await this.#send(topic, new PartitionMessages(records, partition));
    const receipt = receiptOf(answer, topic, partition);
    if (receipt) return receipt;
    // kafkajs resolves without having sent anything when it does not know the partition.
    if (answer.length === 0) await this.#refuseMissingPartition(topic, partition);
    const named = answer.map(({ topicName, partition, errorCode }) => ({ topicName, partition, errorCode }));
    throw unproven(topic, partition, records.length, named);
  }

  classify(error: unknown): ReturnType<typeof classify> {
    return classify(error);
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([...[...this.#producers.values()].map((producer) => producer.close()), this.#topics.close()]);
  }

  async #send(topic: string, messages: Message[]): Promise<RecordMetadata[]> {
    const compression = COMPRESSION_TYPES[this.#options.compression];
    let asked = false;
    try {
      return await this.#producerOf(topic).use((producer) => {
        asked = true;
        return producer.send({ topic, messages, acks: ACKS, timeout: this.#options.requestTimeoutMs, compression });
      });
    } catch (error) {
      throw topicErrorOf(error, topic) ?? (asked ? publishErrorOf(error, topic) : unavailable(error, noAnswer(this.#options.brokers)));
    }
  }

  #producerOf(topic: string): ClientSlot<Producer> {
    const known = this.#producers.get(topic);
    if (known) return known;
    const slot = new ClientSlot('The publisher kafkajs', async () => await this.#newProducer(), isStaleClient);
    if (this.#closed) void slot.close();
    else this.#producers.set(topic, slot);
    return slot;
  }

  async #newProducer(): Promise<NewClient<Producer>> {
    const sockets = new Sockets();
    const client = createClient(await this.#load(), this.#options, sockets.factory).producer({
      idempotent: false,
      allowAutoTopicCreation: false,
      // The partition is the caller's choice, always.
      createPartitioner: () => (args) => args.message.partition as number,
      // A producer that loses track of its topic is replaced; until then nothing is to be learnt by looking again.
      metadataMaxAge: Number.MAX_SAFE_INTEGER,
      retry: CLIENT_RETRY,
    });
    return { client, cut: () => sockets.cut() };
  }

  async #load(): Promise<Kafkajs> {
    const { patchIdleTimer, compression } = this.#options;
    const library = await loadKafkajs(patchIdleTimer);
    await codecReady(library.CompressionCodecs, compression);
    return library;
  }

  async #refuseMissingPartition(topic: string, partition: number): Promise<void> {
    this.#producers.get(topic)?.renew();
    const partitions = await this.#topics.partitionsOf(topic);
    if (partition < partitions) return;
    throw shrunk(topic, partition, partitions);
  }
}

/** The proof (P-R6): exactly this partition, no error, a first offset. Everything else is an unknown outcome. */
function receiptOf(answer: readonly RecordMetadata[], topic: string, partition: number): PublishReceipt | undefined {
  const [only, ...others] = answer;
  if (!only || others.length > 0) return undefined;
  if (only.topicName !== topic || only.partition !== partition || only.errorCode !== 0) return undefined;
  if (only.baseOffset === undefined || !/^\d+$/.test(only.baseOffset)) return undefined;
  return { topic, partition, baseOffset: BigInt(only.baseOffset) };
}
