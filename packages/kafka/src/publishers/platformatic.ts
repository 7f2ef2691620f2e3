import type { MessageRecord } from '@platformatic/kafka';
import {
  checkOptions,
  type OptionChecks,
  type Publisher,
  type PublisherInspection,
  type PublishReceipt,
  type PublishRequest,
  type TopicDescription,
  type WireHeader,
  type WireRecord,
} from '@txbox/core/spi';
import { ClientSlot, type NewClient } from '../client-slot.ts';
import { noAnswer, unproven } from '../kafka-errors.ts';
import { inspectTopics } from '../kafka-inspection.ts';
import { type KafkaPublisherOptions, PUBLISHER_DEFAULTS, publisherRules, type ResolvedPublisher } from '../kafka-options.ts';
import { ALL_REPLICAS, loadPlatformatic, PlatformaticClient, type ProduceAnswer } from '../platformatic-client.ts';
import { PlatformaticDirectory } from '../platformatic-directory.ts';
import { classify, isStaleClient, publishErrorOf, topicErrorOf, unavailable } from '../platformatic-errors.ts';
import { refuseTooLarge } from '../record-size.ts';

/** What {@link platformatic} takes. */
export interface PlatformaticPublisherOptions extends KafkaPublisherOptions {}

/** Rules and defaults of {@link PlatformaticPublisherOptions}. */
export const PLATFORMATIC_OPTIONS: OptionChecks<ResolvedPublisher> = {
  rules: publisherRules,
  defaults: PUBLISHER_DEFAULTS,
  optional: ['sasl'],
  secret: ['sasl', 'ssl'],
};

/**
 * A publisher into Kafka by the client @platformatic/kafka: about three times the rate of kafkajs at a third of its work.
 * Acknowledged records are on all replicas in sync (acks −1); set `min.insync.replicas` so that this means something.
 *
 * A request is sent once, to the leader of its partition; only after a plain refusal ("I do not lead it") it is sent
 * to the next leader. Batches carry no producer id: what a lost acknowledgement leaves is a duplicate (P-R5). Every
 * topic has connections of its own to the brokers that lead its partitions, because a broker answers the requests of
 * one connection one after another.
 *
 * After `connectionTimeoutMs + 2 × requestTimeoutMs` (`inspect` tells it as `givesUpAfterMs`) nothing of a failed
 * request is on its way any more.
 *
 * Throws `OPTIONS_INVALID`. Needs the package `@platformatic/kafka` (`DEPENDENCY_MISSING` at `connect`), and Kafka 2.4
 * or newer (`BROKER_UNSUPPORTED`).
 */
export function platformatic(options: PlatformaticPublisherOptions): Publisher {
  return new PlatformaticPublisher(checkOptions<ResolvedPublisher>('platformatic', options, PLATFORMATIC_OPTIONS));
}

const NAME = 'The publisher platformatic';

class PlatformaticPublisher implements Publisher {
  readonly name = 'platformatic';
  readonly maxRecordBytes: number;
  readonly #options: ResolvedPublisher;
  readonly #directory: PlatformaticDirectory;
  readonly #producers: Map<string, ClientSlot<PlatformaticClient>> = new Map();
  #closed = false;

  constructor(options: ResolvedPublisher) {
    this.#options = options;
    this.maxRecordBytes = options.maxRecordBytes;
    this.#directory = new PlatformaticDirectory(NAME, options.brokers, async () => await this.#newClient());
  }

  async connect(): Promise<void> {
    await this.#directory.connect();
  }

  async describeTopic(topic: string): Promise<TopicDescription> {
    return { topic, partitions: await this.#directory.partitionsOf(topic) };
  }

  async inspect(topics: readonly string[]): Promise<PublisherInspection> {
    const { requestTimeoutMs } = this.#options;
    return { acks: ALL_REPLICAS, givesUpAfterMs: this.#sendsForMs() + requestTimeoutMs, ...(await inspectTopics(this.#directory, topics)) };
  }

  async publish({ topic, partition, records }: PublishRequest): Promise<PublishReceipt> {
    refuseTooLarge(records, this.maxRecordBytes, topic);
    const messages = records.map((record) => toMessage(record, topic, partition));
    const answer = await this.#send(topic, partition, messages);
    const receipt = receiptOf(answer, topic, partition);
    if (receipt) return receipt;
    throw unproven(topic, partition, records.length, answer?.responses);
  }

  classify(error: unknown): ReturnType<typeof classify> {
    return classify(error);
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([...[...this.#producers.values()].map((producer) => producer.close()), this.#directory.close()]);
  }

  async #send(topic: string, partition: number, messages: MessageRecord[]): Promise<ProduceAnswer | undefined> {
    const { compression } = this.#options;
    const sendUntil = performance.now() + this.#sendsForMs();
    let sent = false;
    const onSend = (): void => {
      sent = true;
    };
    try {
      return await this.#producerOf(topic).use((client) => client.produce({ topic, partition, messages, compression, sendUntil, onSend }));
    } catch (error) {
      throw topicErrorOf(error, topic) ?? (sent ? publishErrorOf(error, topic) : unavailable(error, noAnswer(this.#options.brokers)));
    }
  }

  #producerOf(topic: string): ClientSlot<PlatformaticClient> {
    const known = this.#producers.get(topic);
    if (known) return known;
    const slot = new ClientSlot(NAME, async () => await this.#newClient(), isStaleClient);
    if (this.#closed) void slot.close();
    else this.#producers.set(topic, slot);
    return slot;
  }

  /** A request whose turn comes later than this is not sent; one that was sent is given up after a request's time. */
  #sendsForMs(): number {
    return this.#options.connectionTimeoutMs + this.#options.requestTimeoutMs;
  }

  async #newClient(): Promise<NewClient<PlatformaticClient>> {
    const client = new PlatformaticClient(await loadPlatformatic(), this.#options);
    return { client, cut: () => client.cut() };
  }
}

/** The proof (P-R6): exactly this partition, no error, a first offset. Everything else is an unknown outcome. */
function receiptOf(answer: ProduceAnswer | undefined, topic: string, partition: number): PublishReceipt | undefined {
  const [only, ...otherTopics] = answer?.responses ?? [];
  const [part, ...otherPartitions] = only?.partitionResponses ?? [];
  if (!only || !part || otherTopics.length > 0 || otherPartitions.length > 0) return undefined;
  if (only.name !== topic || part.index !== partition || part.errorCode !== 0) return undefined;
  if (typeof part.baseOffset !== 'bigint' || part.baseOffset < 0n) return undefined;
  return { topic, partition, baseOffset: part.baseOffset };
}

/** The client writes no key or value as null, though its types do not say so. */
function toMessage({ key, value, headers }: WireRecord, topic: string, partition: number): MessageRecord {
  return { key: key as Buffer, value: value as Buffer, headers: toHeaders(headers), topic, partition };
}

/** Bytes of header names that were met: the same few in every record. */
const names: Map<string, Buffer> = new Map();
const MAX_NAMES = 1_000;

/** Names are keys by their identity, so that repeats of a name keep their places: each is another copy. */
function toHeaders(headers: readonly WireHeader[]): Map<Buffer, Buffer> {
  const map = new Map<Buffer, Buffer>();
  for (const [name, value] of headers) {
    let bytes = names.get(name);
    if (!bytes) {
      bytes = Buffer.from(name);
      if (names.size < MAX_NAMES) names.set(name, bytes);
    }
    map.set(map.has(bytes) ? Buffer.from(bytes) : bytes, value);
  }
  return map;
}
