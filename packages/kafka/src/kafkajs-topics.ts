import type { PartitionBounds, TopicAdmin } from '@txbox/core/spi';
import type { Admin } from 'kafkajs';
import { ClientSlot, type NewClient } from './client-slot.ts';
import { noAnswer } from './kafka-errors.ts';
import type { ClusterFacts } from './kafka-inspection.ts';
import { createClient, type KafkajsOptions, loadKafkajs } from './kafkajs-client.ts';
import { topicErrorOf, unavailable } from './kafkajs-errors.ts';
import { Sockets } from './kafkajs-sockets.ts';

/** What a cluster knows of itself, its topics and its groups. Asks each time. */
export class TopicDirectory implements ClusterFacts, TopicAdmin {
  readonly #slot: ClientSlot<Admin>;
  readonly #noAnswer: string;

  constructor(what: string, options: KafkajsOptions) {
    this.#noAnswer = noAnswer(options.brokers);
    // An admin that failed may keep a topic in mind that is gone, and would fail for ever.
    this.#slot = new ClientSlot(
      what,
      async () => await newAdmin(options),
      () => true,
    );
  }

  /** Rejects with `BROKER_UNAVAILABLE`. */
  async clusterId(): Promise<string> {
    return await this.#ask(this.#noAnswer, async (admin) => (await admin.describeCluster()).clusterId);
  }

  /** How many partitions a topic has. Rejects with `TOPIC_MISSING`, `TOPIC_NOT_AUTHORIZED`, `BROKER_UNAVAILABLE`. */
  async partitionsOf(topic: string): Promise<number> {
    return await this.#askAbout(topic, async (admin) => {
      const { topics } = await admin.fetchTopicMetadata({ topics: [topic] });
      return topics.find(({ name }) => name === topic)?.partitions.length ?? 0;
    });
  }

  /** Replicas of the partition that has the fewest, of each topic. Rejects like {@link partitionsOf} when one of them cannot be seen. */
  async replicasOf(topics: readonly string[]): Promise<Map<string, number>> {
    return await this.#ask(
      'Topics cannot be looked up',
      async (admin) => {
        const found = await admin.fetchTopicMetadata({ topics: [...topics] });
        return new Map(found.topics.map(({ name, partitions }) => [name, Math.min(...partitions.map(({ replicas }) => replicas.length))]));
      },
      topics.join(', '),
    );
  }

  /** Numbers of the brokers. Rejects with `BROKER_UNAVAILABLE`. */
  async brokerIds(): Promise<number[]> {
    return await this.#ask(this.#noAnswer, async (admin) => (await admin.describeCluster()).brokers.map(({ nodeId }) => nodeId));
  }

  /**
   * Settings of topics (type 2) or brokers (type 4) by resource; values that are set nowhere are the defaults. Rejects when one of
   * them may not be looked at.
   */
  async settingsOf(type: 2 | 4, resources: readonly string[], names: readonly string[]): Promise<Map<string, ReadonlyMap<string, string>>> {
    return await this.#ask('Settings cannot be looked at', async (admin) => {
      const described = await admin.describeConfigs({
        resources: resources.map((name) => ({ type, name, configNames: [...names] })),
        includeSynonyms: false,
      });
      return new Map(
        described.resources.map(({ resourceName, configEntries }) => [
          resourceName,
          new Map(configEntries.map(({ configName, configValue }) => [configName, configValue])),
        ]),
      );
    });
  }

  /** Gives a topic so many partitions in all. Rejects like {@link partitionsOf}. */
  async createPartitions(topic: string, partitions: number): Promise<void> {
    await this.#askAbout(topic, async (admin) => await admin.createPartitions({ topicPartitions: [{ topic, count: partitions }] }));
  }

  /** Where each partition of a topic begins and ends. Rejects like {@link partitionsOf}. */
  async boundsOf(topic: string): Promise<Map<number, PartitionBounds>> {
    return await this.#askAbout(topic, async (admin) => {
      const offsets = await admin.fetchTopicOffsets(topic);
      return new Map(offsets.map(({ partition, low, high }) => [partition, { low: BigInt(low), high: BigInt(high) }]));
    });
  }

  /** Offsets that a group has stored for a topic, by partition; where it stored none, nothing. Rejects like {@link partitionsOf}. */
  async storedOffsets(group: string, topic: string): Promise<Map<number, bigint>> {
    return await this.#askAbout(topic, async (admin) => {
      const [found] = await admin.fetchOffsets({ groupId: group, topics: [topic] });
      const stored = found?.partitions.map(({ partition, offset }): [number, bigint] => [partition, BigInt(offset)]) ?? [];
      return new Map(stored.filter(([, offset]) => offset >= 0n));
    });
  }

  async close(): Promise<void> {
    await this.#slot.close();
  }

  async #askAbout<T>(topic: string, ask: (admin: Admin) => Promise<T>): Promise<T> {
    return await this.#ask(`Topic ${topic} cannot be looked up`, ask, topic);
  }

  async #ask<T>(what: string, ask: (admin: Admin) => Promise<T>, topic?: string): Promise<T> {
    try {
      return await this.#slot.use(ask);
    } catch (error) {
      throw (topic === undefined ? undefined : topicErrorOf(error, topic)) ?? unavailable(error, what);
    }
  }
}

async function newAdmin(options: KafkajsOptions): Promise<NewClient<Admin>> {
  const sockets = new Sockets();
  const client = createClient(await loadKafkajs(options.patchIdleTimer), options, sockets.factory).admin();
  return { client, cut: () => sockets.cut() };
}
