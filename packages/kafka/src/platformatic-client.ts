import type { Socket } from 'node:net';
import { isIP } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { API, Broker, Connection, describeConfigsV4, MessageRecord, metadataV12, produceV11, SASLOptions } from '@platformatic/kafka';
import { TxboxError } from '@txbox/core/spi';
import type { Connectable } from './client-slot.ts';
import { shrunk } from './kafka-errors.ts';
import type { KafkaCompression, ResolvedConnection } from './kafka-options.ts';
import { isElsewhere, isUnsupportedVersion } from './platformatic-errors.ts';

/** The module. */
export type Platformatic = typeof import('@platformatic/kafka');

/** What a broker answers to records. */
export type ProduceAnswer = produceV11.ProduceResponse;

type MetadataAnswer = metadataV12.MetadataResponse;
type Produce = typeof produceV11.api;
type Metadata = typeof metadataV12.api;
type DescribeConfigs = typeof describeConfigsV4.api;

/** What a cluster says of a topic. */
interface TopicView {
  readonly partitions: number;
  /** By partition; one without a leader is missing. */
  readonly leaders: ReadonlyMap<number, Broker>;
}

/** Records of one lane. */
export interface ProduceRequest {
  readonly topic: string;
  readonly partition: number;
  readonly messages: MessageRecord[];
  readonly compression: KafkaCompression;
  /** When `performance.now()` is past it, nothing is sent any more. */
  readonly sendUntil: number;
  /** Called before anything of the records leaves. */
  onSend(): void;
}

/** A connection and the versions of its broker's requests that both sides know. */
interface Link {
  readonly connection: Connection;
  readonly produce: Produce;
  readonly metadata: Metadata;
  /** Throws when there is no version in common: it is of no use for publishing. */
  describeConfigs(): DescribeConfigs;
}

/** Acknowledgements that are asked for: all replicas in sync. */
export const ALL_REPLICAS = -1;
const KEEP_ALIVE_MS = 30_000;
/** Requests wait in no queue of the client: the time that each may take would begin behind it. Their number is the caller's to bound. */
const MAX_IN_FLIGHT = 100_000;
/** `ConfigResourceTypes.BROKER`. */
const BROKER = 4;
/** Attempts after a broker's plain refusal to be the leader, each after twice the time of the one before. */
const REFUSALS = 3;
const REFUSAL_DELAY_MS = 100;

/** Loads the client. Rejects with `DEPENDENCY_MISSING`. */
export async function loadPlatformatic(): Promise<Platformatic> {
  try {
    return await import('@platformatic/kafka');
  } catch (cause) {
    throw new TxboxError(
      'DEPENDENCY_MISSING',
      '@txbox/kafka/platformatic needs the package @platformatic/kafka: install it beside @txbox/kafka (npm install @platformatic/kafka@2).',
      { cause, details: { package: '@platformatic/kafka' } },
    );
  }
}

/**
 * Connections to a cluster, and requests on them one by one.
 *
 * Uses the client's connections and requests, not its `Producer`: that one takes the partition modulo the number it
 * remembers, so that a request for a partition that is gone lands in another one, and it refuses a whole topic while
 * one partition has no leader.
 */
export class PlatformaticClient implements Connectable {
  readonly #library: Platformatic;
  readonly #options: ResolvedConnection;
  readonly #links: Map<string, Promise<Link>> = new Map();
  readonly #connections: Set<Connection> = new Set();
  readonly #views: Map<string, Promise<TopicView>> = new Map();
  #ended = false;

  constructor(library: Platformatic, options: ResolvedConnection) {
    this.#library = library;
    this.#options = options;
  }

  /** Rejects when no broker answers, with `BROKER_UNSUPPORTED` when one answers in another language. */
  async connect(): Promise<void> {
    await this.#anyLink();
  }

  async disconnect(): Promise<void> {
    this.#ended = true;
    await Promise.all([...this.#connections].map(async (connection) => await connection.close()));
  }

  /** Ends all connections at once; there will be no others. */
  cut(): void {
    this.#ended = true;
    // With an error, or a connection that is still being made would keep its waiter until the time-out.
    for (const { socket } of this.#connections) (socket as Socket | undefined)?.destroy(new Error('The connection was cut.'));
  }

  /** How many partitions a topic has. Asks the cluster; rejects when the topic is missing or not for this client. */
  async partitionsOf(topic: string): Promise<number> {
    return (await this.#look(topic)).partitions;
  }

  /** Replicas of the partition that has the fewest, of each topic. */
  async replicasOf(names: readonly string[]): Promise<Map<string, number>> {
    const { topics } = await this.#ask(names);
    const least = ({ partitions }: (typeof topics)[number]): number =>
      Math.min(...partitions.map(({ replicaNodes }) => replicaNodes.length));
    return new Map(topics.map((topic) => [topic.name ?? '', least(topic)]));
  }

  /** Numbers of the brokers. */
  async brokerIds(): Promise<number[]> {
    return (await this.#ask([])).brokers.map(({ nodeId }) => nodeId);
  }

  /** Settings of topics or brokers by resource. */
  async settingsOf(type: 2 | 4, resources: readonly string[], names: readonly string[]): Promise<Map<string, ReadonlyMap<string, string>>> {
    const answers = await Promise.all(
      // A broker's settings are known to that broker only.
      (type === BROKER ? resources.map((id) => [id]) : [resources]).map(async (some) => {
        const { connection, describeConfigs } = type === BROKER ? await this.#brokerOf(Number(some[0])) : await this.#anyLink();
        const asked = some.map((resourceName) => ({ resourceType: type, resourceName, configurationKeys: [...names] }));
        return await describeConfigs().async(connection, asked, false, false);
      }),
    );
    return new Map(
      answers
        .flatMap(({ results }) => results)
        .map(({ resourceName, configs }) => [resourceName, new Map(configs.map(({ name, value }) => [name, value ?? '']))]),
    );
  }

  /**
   * Sends records to the leader of their partition. A broker that refuses because it does not lead it has stored
   * nothing: the present leader is looked up and asked, a few times. Every other failure is the caller's.
   */
  async produce({ topic, partition, messages, compression, sendUntil, onSend }: ProduceRequest): Promise<ProduceAnswer> {
    const { requestTimeoutMs } = this.#options;
    for (let refusals = 0; ; refusals++) {
      const { connection, produce } = await this.#linkTo(await this.#leaderOf(topic, partition));
      if (performance.now() > sendUntil) throw tooLate(topic, partition);
      onSend();
      try {
        // An answer, because only requests for no acknowledgement have none.
        return (await produce.async(connection, ALL_REPLICAS, requestTimeoutMs, messages, { compression })) as ProduceAnswer;
      } catch (error) {
        if (isElsewhere(error)) this.#views.delete(topic);
        if (!isElsewhere(error) || refusals === REFUSALS) throw error;
        await sleep(REFUSAL_DELAY_MS * 2 ** refusals);
      }
    }
  }

  async #leaderOf(topic: string, partition: number): Promise<Broker> {
    const known = (await this.#views.get(topic))?.leaders.get(partition);
    if (known) return known;
    const { partitions, leaders } = await this.#look(topic);
    const leader = leaders.get(partition);
    if (leader) return leader;
    if (partition >= partitions) throw shrunk(topic, partition, partitions);
    throw new TxboxError('BROKER_UNAVAILABLE', `Partition ${partition} of ${topic} has no leader at present.`, {
      details: { topic, partition },
    });
  }

  async #look(topic: string): Promise<TopicView> {
    const looking = this.#ask([topic]).then((answer) => viewOf(answer, topic));
    this.#views.set(topic, looking);
    looking.catch(() => this.#views.delete(topic));
    return await looking;
  }

  async #ask(names: readonly string[]): Promise<MetadataAnswer> {
    const { connection, metadata } = await this.#anyLink();
    try {
      return await metadata.async(connection, [...names], false, false);
    } catch (error) {
      // What is wrong with single partitions comes as an error that holds the answer; they have no leader, or an old one.
      const { response } = error as { response?: MetadataAnswer };
      if (response?.topics?.every(({ errorCode }) => errorCode === 0)) return response;
      throw error;
    }
  }

  async #brokerOf(id: number): Promise<Link> {
    const broker = (await this.#ask([])).brokers.find(({ nodeId }) => nodeId === id);
    if (!broker) throw new TxboxError('BROKER_UNAVAILABLE', `Broker ${id} is not in the cluster any more.`);
    return await this.#linkTo(broker);
  }

  /** A broker that is connected, or else the first that answers. */
  async #anyLink(): Promise<Link> {
    for (const link of this.#links.values()) {
      const open = await link.catch(() => undefined);
      if (open) return open;
    }
    const failures: unknown[] = [];
    for (const address of this.#options.brokers) {
      const colon = address.lastIndexOf(':');
      try {
        return await this.#linkTo({ host: address.slice(0, colon), port: Number(address.slice(colon + 1)) });
      } catch (error) {
        failures.push(error);
      }
    }
    throw failures.length === 1 ? failures[0] : new AggregateError(failures, 'No broker answers.');
  }

  async #linkTo(broker: Broker): Promise<Link> {
    const key = `${broker.host}:${broker.port}`;
    const known = this.#links.get(key);
    if (known) return await known;
    const opening = this.#open(broker);
    this.#links.set(key, opening);
    // Not the one that may stand there by then.
    const forget = (): void => void (this.#links.get(key) === opening && this.#links.delete(key));
    opening.then(({ connection }) => connection.once('error', forget).once('close', forget), forget);
    return await opening;
  }

  async #open({ host, port }: Broker): Promise<Link> {
    const { clientId, connectionTimeoutMs, requestTimeoutMs, ssl, logger } = this.#options;
    const connection = new this.#library.Connection(clientId, {
      connectTimeout: connectionTimeoutMs,
      requestTimeout: requestTimeoutMs,
      maxInflights: MAX_IN_FLIGHT,
      ...(ssl === false ? {} : { tls: ssl === true ? {} : ssl, ...(isIP(host) === 0 ? { tlsServerName: host } : {}) }),
      ...this.#sasl(),
    });
    this.#connections.add(connection);
    const gone = (): void => {
      this.#connections.delete(connection);
      // Once more, because only this ends the timer of its next authentication.
      void connection.close();
    };
    connection.on('error', (error) => {
      logger.warn({ broker: `${host}:${port}`, error: error.message }, 'A connection to Kafka failed.');
      gone();
    });
    connection.once('close', gone);
    try {
      if (this.#ended) throw new Error('The client was closed.');
      await connection.connect(host, port);
      connection.socket.setKeepAlive(true, KEEP_ALIVE_MS);
      return { connection, ...(await this.#versionsOf(connection)) };
    } catch (error) {
      gone();
      throw error;
    }
  }

  #sasl(): { sasl?: SASLOptions } {
    const { sasl } = this.#options;
    if (!sasl) return {};
    if (sasl.mechanism === 'oauthbearer') {
      return { sasl: { mechanism: 'OAUTHBEARER', token: async () => (await sasl.oauthBearerProvider()).value } };
    }
    const mechanism = ({ plain: 'PLAIN', 'scram-sha-256': 'SCRAM-SHA-256', 'scram-sha-512': 'SCRAM-SHA-512' } as const)[sasl.mechanism];
    return { sasl: { mechanism, username: sasl.username, password: sasl.password } };
  }

  /** Each connection asks, because brokers of one cluster may be of different versions. */
  async #versionsOf(connection: Connection): Promise<Omit<Link, 'connection'>> {
    const library = this.#library;
    const { clientSoftwareName, clientSoftwareVersion } = library;
    const { apiKeys } = await library.apiVersionsV3.api.async(connection, clientSoftwareName, clientSoftwareVersion).catch((error) => {
      throw isUnsupportedVersion(error) ? unsupported('it is older than Kafka 2.4', { cause: error }) : error;
    });
    const { produceV3, produceV4, produceV5, produceV6, produceV7, produceV8, produceV9, produceV10, produceV11 } = library;
    const produce = [produceV11, produceV10, produceV9, produceV8, produceV7, produceV6, produceV5, produceV4, produceV3];
    // Before version 4 a question about a topic would create it.
    const { metadataV4, metadataV5, metadataV6, metadataV7, metadataV8, metadataV9, metadataV10, metadataV11, metadataV12 } = library;
    const metadata = [metadataV12, metadataV11, metadataV10, metadataV9, metadataV8, metadataV7, metadataV6, metadataV5, metadataV4];
    const { describeConfigsV1, describeConfigsV2, describeConfigsV3, describeConfigsV4 } = library;
    const describeConfigs = [describeConfigsV4, describeConfigsV3, describeConfigsV2, describeConfigsV1];
    return {
      produce: newestOf('Produce', produce as { api: Produce }[], apiKeys),
      metadata: newestOf('Metadata', metadata as { api: Metadata }[], apiKeys),
      describeConfigs: () => newestOf('DescribeConfigs', describeConfigs as { api: DescribeConfigs }[], apiKeys),
    };
  }
}

function viewOf({ brokers, topics }: MetadataAnswer, name: string): TopicView {
  const byId = new Map<number, Broker>(brokers.map((broker) => [broker.nodeId, broker]));
  const partitions = topics.find((topic) => topic.name === name)?.partitions ?? [];
  const leaders = partitions.flatMap(({ partitionIndex, leaderId }): [number, Broker][] => {
    const leader = byId.get(leaderId);
    return leader ? [[partitionIndex, leader]] : [];
  });
  return { partitions: partitions.length, leaders: new Map(leaders) };
}

function tooLate(topic: string, partition: number): TxboxError {
  return new TxboxError('BROKER_UNAVAILABLE', `The leader of partition ${partition} of ${topic} was not reached in time.`, {
    details: { topic, partition },
  });
}

interface Offered {
  readonly apiKey: number;
  readonly minVersion: number;
  readonly maxVersion: number;
}

function newestOf<Arguments extends unknown[], Answer>(
  name: string,
  candidates: readonly { readonly api: API<Arguments, Answer> }[],
  offered: readonly Offered[],
): API<Arguments, Answer> {
  const range = offered.find(({ apiKey }) => apiKey === candidates[0]?.api.key);
  const found = candidates.find(({ api }) => range && api.version >= range.minVersion && api.version <= range.maxVersion);
  if (found) return found.api;
  const known = `${candidates.at(-1)?.api.version} to ${candidates[0]?.api.version}`;
  const theirs = range ? `${range.minVersion} to ${range.maxVersion}` : 'none';
  throw unsupported(`it offers versions ${theirs} of ${name}, the client knows ${known}`);
}

function unsupported(reason: string, options?: { cause: unknown }): TxboxError {
  return new TxboxError(
    'BROKER_UNSUPPORTED',
    `@platformatic/kafka cannot talk to this broker: ${reason}. It serves for Kafka 2.4 to 4.x; for others there is @txbox/kafka/kafkajs.`,
    options,
  );
}
