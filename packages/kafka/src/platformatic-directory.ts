import type { NewClient } from './client-slot.ts';
import { ClientSlot } from './client-slot.ts';
import { noAnswer } from './kafka-errors.ts';
import type { ClusterFacts } from './kafka-inspection.ts';
import type { PlatformaticClient } from './platformatic-client.ts';
import { isStaleClient, topicErrorOf, unavailable } from './platformatic-errors.ts';

/** What a cluster knows of itself and its topics. Asks each time. */
export class PlatformaticDirectory implements ClusterFacts {
  readonly #slot: ClientSlot<PlatformaticClient>;
  readonly #noAnswer: string;

  constructor(what: string, brokers: readonly string[], newClient: () => Promise<NewClient<PlatformaticClient>>) {
    this.#noAnswer = noAnswer(brokers);
    this.#slot = new ClientSlot(what, newClient, isStaleClient);
  }

  /** Rejects with `BROKER_UNAVAILABLE`, or with `BROKER_UNSUPPORTED` when one answers in another language. */
  async connect(): Promise<void> {
    // A connection alone says nothing where SASL is wanted and not given: such a broker closes it at the first question.
    await this.brokerIds();
  }

  /** How many partitions a topic has. Rejects with `TOPIC_MISSING`, `TOPIC_NOT_AUTHORIZED`, `BROKER_UNAVAILABLE`. */
  async partitionsOf(topic: string): Promise<number> {
    return await this.#ask(`Topic ${topic} cannot be looked up`, async (client) => await client.partitionsOf(topic), topic);
  }

  async replicasOf(topics: readonly string[]): Promise<Map<string, number>> {
    return await this.#ask('Topics cannot be looked up', async (client) => await client.replicasOf(topics), topics.join(', '));
  }

  async brokerIds(): Promise<number[]> {
    return await this.#ask(this.#noAnswer, async (client) => await client.brokerIds());
  }

  async settingsOf(type: 2 | 4, resources: readonly string[], names: readonly string[]): Promise<Map<string, ReadonlyMap<string, string>>> {
    return await this.#ask('Settings cannot be looked at', async (client) => await client.settingsOf(type, resources, names));
  }

  async close(): Promise<void> {
    await this.#slot.close();
  }

  async #ask<T>(what: string, ask: (client: PlatformaticClient) => Promise<T>, topic?: string): Promise<T> {
    try {
      return await this.#slot.use(ask);
    } catch (error) {
      throw (topic === undefined ? undefined : topicErrorOf(error, topic)) ?? unavailable(error, what);
    }
  }
}
