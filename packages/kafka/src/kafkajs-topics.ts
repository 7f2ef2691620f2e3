import type { Admin } from 'kafkajs';
import { ClientSlot, type NewClient } from './client-slot.ts';
import { createClient, type KafkajsOptions, loadKafkajs } from './kafkajs-client.ts';
import { topicErrorOf, unavailable } from './kafkajs-errors.ts';
import { Sockets } from './kafkajs-sockets.ts';

/** Places of a lane's log. */
export interface LaneBounds {
  /** The oldest offset there is. */
  readonly low: bigint;
  /** Where the next record will be. */
  readonly high: bigint;
}

/** What a cluster knows of itself, its topics and its groups. Asks each time. */
export class TopicDirectory {
  readonly #slot: ClientSlot<Admin>;

  constructor(what: string, options: KafkajsOptions) {
    // An admin that failed may keep a topic in mind that is gone, and would fail for ever.
    this.#slot = new ClientSlot(
      what,
      async () => await newAdmin(options),
      () => true,
    );
  }

  /** Rejects with `BROKER_UNAVAILABLE`. */
  async clusterId(): Promise<string> {
    return await this.#ask('No broker answers', async (admin) => (await admin.describeCluster()).clusterId);
  }

  /** How many partitions a topic has. Rejects with `TOPIC_MISSING`, `TOPIC_NOT_AUTHORIZED`, `BROKER_UNAVAILABLE`. */
  async partitionsOf(topic: string): Promise<number> {
    return await this.#askAbout(topic, async (admin) => {
      const { topics } = await admin.fetchTopicMetadata({ topics: [topic] });
      return topics.find(({ name }) => name === topic)?.partitions.length ?? 0;
    });
  }

  /** Where each partition of a topic begins and ends. Rejects like {@link partitionsOf}. */
  async boundsOf(topic: string): Promise<Map<number, LaneBounds>> {
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
