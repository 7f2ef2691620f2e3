// What happens to brokers, and what a relay makes of it: it comes back by itself when the cause goes, and says why meanwhile (P-R10).
import { randomBytes } from 'node:crypto';
import { Admin as QuotaAdmin } from '@platformatic/kafka';
import { kafkajs } from '@txbox/kafka/kafkajs';
import { platformatic } from '@txbox/kafka/platformatic';
import { createRelay, type HeldLane, type Relay, type RelayOptions } from '@txbox/relay';
import { AclOperationTypes, AclPermissionTypes, AclResourceTypes, type Admin, ResourcePatternTypes } from 'kafkajs';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { readTopic } from '../e2e/topic-reader.ts';
import { addNotes, type Note } from '../relay/note.ts';
import { SERVERS, type ServiceDatabase, serviceDatabase } from '../relay/service-database.ts';
import { OwnKafka } from './own-kafka.ts';

const PATIENCE = { timeout: 60_000, interval: 50 };
const LONG = 400_000;
const KEYS = Array.from({ length: 24 }, (_, n) => `key ${n}`);
const RETRY = { baseMs: 50, capMs: 1_000 };
const FAST = { connectionTimeoutMs: 1_000, requestTimeoutMs: 5_000 };
const CLIENTS = [
  ['kafkajs', kafkajs],
  ['platformatic', platformatic],
] as const;

/** A service whose notes are numbered by key, and what an independent reader finds of them. */
class Notebook {
  readonly database: ServiceDatabase;
  readonly #topic: string;
  readonly #brokers: string[];
  #written = 0;

  constructor(database: ServiceDatabase, topic: string, brokers: string[]) {
    this.database = database;
    this.#topic = topic;
    this.#brokers = brokers;
  }

  /** One note of each key, in one transaction. */
  async write(rounds = 1, bytes = 0): Promise<void> {
    for (let round = 0; round < rounds; round++) {
      const notes = KEYS.map((key): Note => ({ key, text: `${this.#written} `.padEnd(bytes, 'x') }));
      this.#written += 1;
      await addNotes(this.database, this.#topic, ...notes);
    }
  }

  /** Every note is there, and for the first time each in the order of its key. */
  async expectAll(): Promise<void> {
    const arrived = new Map<string, number[]>();
    for (const { key, value } of await readTopic(this.#brokers, this.#topic)) {
      const { text } = JSON.parse(String(value)) as Note;
      arrived.set(String(key), [...(arrived.get(String(key)) ?? []), Number.parseInt(text, 10)]);
    }
    const all = Array.from({ length: this.#written }, (_, n) => n);
    for (const key of KEYS) expect([...new Set(arrived.get(key))]).toEqual(all);
  }
}

async function newTopic(
  admin: Admin,
  topic: { numPartitions?: number; replicas?: readonly number[]; minInSync?: number },
): Promise<string> {
  const name = `failures-${randomBytes(4).toString('hex')}`;
  const configEntries = topic.minInSync === undefined ? [] : [{ name: 'min.insync.replicas', value: String(topic.minInSync) }];
  const placed = topic.replicas
    ? { replicaAssignment: [{ partition: 0, replicas: [...topic.replicas] }] }
    : { numPartitions: topic.numPartitions ?? 1, replicationFactor: 1 };
  // kafkajs waits for leaders by questions that may come too early for a broker with other work.
  await admin.createTopics({ topics: [{ topic: name, configEntries, ...placed }], waitForLeaders: false });
  await vi.waitFor(async () => {
    const { partitions } = (await admin.fetchTopicMetadata({ topics: [name] })).topics[0] as { partitions: { leader: number }[] };
    expect(partitions.every(({ leader }) => leader > 0)).toBe(true);
  }, PATIENCE);
  return name;
}

async function startedRelay(database: ServiceDatabase, options: Pick<RelayOptions, 'publisher'> & Partial<RelayOptions>): Promise<Relay> {
  const relay = createRelay({ database: { url: database.url }, retry: RETRY, ...options });
  onTestFinished(() => relay.stop());
  await relay.start();
  return relay;
}

const newDatabase = (): Promise<ServiceDatabase> => serviceDatabase(SERVERS[0][1], SERVERS[0][2]);
const published = (database: ServiceDatabase): Promise<void> => vi.waitFor(async () => expect(await database.pending()).toBe(0), PATIENCE);
const heldOf = (relay: Relay, topic: string): readonly HeldLane[] => relay.status().held.filter((held) => held.topic === topic);

describe.each(CLIENTS)('with the publisher on %s', (_name, publisherOn) => {
  it('a broker that is away until every back-off is at its cap', { timeout: LONG }, async () => {
    const kafka = await OwnKafka.start();
    const topic = await newTopic(await kafka.admin(), { numPartitions: 3 });
    const database = await newDatabase();
    const notebook = new Notebook(database, topic, kafka.brokers);
    const relay = await startedRelay(database, { publisher: publisherOn({ brokers: kafka.brokers, ...FAST }) });
    await notebook.write(3);
    await published(database);
    await kafka.kill(0);
    await notebook.write(3);
    // 50 ms doubled five times is more than the cap.
    await vi.waitFor(() => {
      const held = heldOf(relay, topic);
      expect(held).toHaveLength(3);
      for (const { attempts, code } of held) {
        expect(attempts).toBeGreaterThan(6);
        expect(code).toMatch(/^(BROKER_UNAVAILABLE|PUBLISH_UNKNOWN)$/);
      }
    }, PATIENCE);
    await notebook.write(2);
    await kafka.run(0);
    await kafka.ready();
    await relay.whenIdle();
    expect(relay.status()).toMatchObject({ held: [], parked: 0, orderAlarms: 0 });
    await notebook.expectAll();
  });

  it('a broker whose disk is full, which ends, and is started with room', { timeout: LONG }, async () => {
    const kafka = await OwnKafka.start({}, 12);
    const topic = await newTopic(await kafka.admin(), { numPartitions: 1 });
    const database = await newDatabase();
    const notebook = new Notebook(database, topic, kafka.brokers);
    const relay = await startedRelay(database, { publisher: publisherOn({ brokers: kafka.brokers, ...FAST }) });
    const ended = kafka.ended(0);
    await notebook.write(8, 100_000);
    await ended;
    await vi.waitFor(() => expect(heldOf(relay, topic)).toHaveLength(1), PATIENCE);
    expect(await database.pending()).toBeGreaterThan(0);
    await kafka.run(0);
    await kafka.ready();
    await relay.whenIdle();
    expect(relay.status()).toMatchObject({ held: [], parked: 0, orderAlarms: 0 });
    await notebook.expectAll();
  });

  it('access that is revoked and granted again, while another topic flows', { timeout: LONG }, async () => {
    const kafka = await OwnKafka.start({
      settings: { 'authorizer.class.name': 'org.apache.kafka.metadata.authorizer.StandardAuthorizer', 'super.users': 'User:ANONYMOUS' },
    });
    const admin = await kafka.admin();
    const [guarded, free] = [await newTopic(admin, { numPartitions: 2 }), await newTopic(admin, { numPartitions: 2 })];
    const { brokers, username, password } = kafka.sasl;
    const grant = async (topic: string): Promise<void> => {
      const rule = {
        resourceType: AclResourceTypes.TOPIC,
        resourceName: topic,
        resourcePatternType: ResourcePatternTypes.LITERAL,
        principal: `User:${username}`,
        host: '*',
        permissionType: AclPermissionTypes.ALLOW,
      };
      const operations = [AclOperationTypes.WRITE, AclOperationTypes.DESCRIBE, AclOperationTypes.DESCRIBE_CONFIGS];
      await admin.createAcls({ acl: operations.map((operation) => ({ ...rule, operation })) });
    };
    for (const topic of [guarded, free]) await grant(topic);
    const database = await newDatabase();
    const [notebook, other] = [guarded, free].map((topic) => new Notebook(database, topic, kafka.brokers)) as [Notebook, Notebook];
    const sasl = { mechanism: 'plain', username, password } as const;
    const relay = await startedRelay(database, { publisher: publisherOn({ brokers, sasl, ...FAST }) });
    await notebook.write(2);
    await published(database);
    const { filterResponses } = await admin.deleteAcls({
      filters: [
        {
          resourceType: AclResourceTypes.TOPIC,
          resourceName: guarded,
          resourcePatternType: ResourcePatternTypes.LITERAL,
          operation: AclOperationTypes.ANY,
          permissionType: AclPermissionTypes.ANY,
        },
      ],
    });
    expect(filterResponses[0]?.matchingAcls).toHaveLength(3);
    await notebook.write(2);
    await vi.waitFor(() => expect(heldOf(relay, guarded)).toMatchObject([{ code: 'TOPIC_NOT_AUTHORIZED' }]), PATIENCE);
    await other.write(2);
    await vi.waitFor(async () => expect(await database.pending()).toBe(2 * KEYS.length), PATIENCE);
    await other.expectAll();
    expect(heldOf(relay, guarded)).toMatchObject([{ code: 'TOPIC_NOT_AUTHORIZED' }]);
    await grant(guarded);
    await relay.whenIdle();
    expect(relay.status()).toMatchObject({ held: [], parked: 0, orderAlarms: 0 });
    await notebook.expectAll();
  });

  it('a quota that throttles', { timeout: LONG }, async () => {
    const kafka = await OwnKafka.start();
    const topic = await newTopic(await kafka.admin(), { numPartitions: 2 });
    const quotas = new QuotaAdmin({ clientId: 'quotas', bootstrapBrokers: kafka.brokers });
    onTestFinished(() => quotas.close());
    const entities = [{ entityType: 'client-id', entityName: null }] as const;
    await quotas.alterClientQuotas({
      entries: [{ entities: [...entities], ops: [{ key: 'producer_byte_rate', value: 30_000, remove: false }] }],
    });
    const database = await newDatabase();
    const notebook = new Notebook(database, topic, kafka.brokers);
    const relay = await startedRelay(database, { publisher: publisherOn({ brokers: kafka.brokers, ...FAST }) });
    // Far more than may pass in the time in which all of it would.
    await notebook.write(20, 4_000);
    await vi.waitFor(() => expect(relay.status().settled).toBeGreaterThan(0), PATIENCE);
    expect(relay.status().parked).toBe(0);
    await quotas.alterClientQuotas({ entries: [{ entities: [...entities], ops: [{ key: 'producer_byte_rate', remove: true }] }] });
    await relay.whenIdle();
    expect(relay.status()).toMatchObject({ held: [], parked: 0, orderAlarms: 0 });
    await notebook.expectAll();
  });

  it('leaders that die inside of sends, one after another', { timeout: LONG }, async () => {
    const kafka = await OwnKafka.start({ nodes: 3 });
    const admin = await kafka.admin();
    const topic = await newTopic(admin, { replicas: [1, 2, 3], minInSync: 2 });
    const database = await newDatabase();
    const notebook = new Notebook(database, topic, kafka.brokers);
    const relay = await startedRelay(database, { publisher: publisherOn({ brokers: kafka.brokers, ...FAST }) });
    const partition = async (): Promise<{ leader: number; isr: number[] } | undefined> =>
      (await admin.fetchTopicMetadata({ topics: [topic] })).topics[0]?.partitions[0];
    for (let round = 0; round < 2; round++) {
      await notebook.write(5);
      const { leader } = (await partition()) as { leader: number };
      const writing = notebook.write(40);
      await vi.waitFor(() => expect(relay.status().published).toBeGreaterThan(0), PATIENCE);
      await kafka.kill(leader - 1);
      await writing;
      await published(database);
      expect((await partition())?.leader).not.toBe(leader);
      await kafka.run(leader - 1);
      await kafka.ready();
      await vi.waitFor(async () => expect((await partition())?.isr).toHaveLength(3), PATIENCE);
    }
    await relay.whenIdle();
    expect(relay.status()).toMatchObject({ held: [], parked: 0, orderAlarms: 0 });
    await notebook.expectAll();
  });

  it('all replicas but one gone, while another topic flows', { timeout: LONG }, async () => {
    const kafka = await OwnKafka.start({ nodes: 3, settings: { 'replica.lag.time.max.ms': 3_000 } });
    const admin = await kafka.admin();
    const [starved, free] = [
      await newTopic(admin, { replicas: [1, 2], minInSync: 2 }),
      await newTopic(admin, { replicas: [1, 3], minInSync: 1 }),
    ];
    const database = await newDatabase();
    const [notebook, other] = [starved, free].map((topic) => new Notebook(database, topic, kafka.brokers)) as [Notebook, Notebook];
    const relay = await startedRelay(database, {
      publisher: publisherOn({ brokers: kafka.brokers, ...FAST }),
      accept: ['MIN_INSYNC_REPLICAS'],
    });
    await notebook.write(2);
    await published(database);
    await kafka.kill(1);
    await notebook.write(2);
    await vi.waitFor(() => expect(heldOf(relay, starved)).toMatchObject([{ message: expect.stringMatching(/replica/i) }]), PATIENCE);
    await other.write(2);
    await vi.waitFor(async () => expect(await database.pending()).toBe(2 * KEYS.length), PATIENCE);
    await kafka.run(1);
    await kafka.ready();
    await relay.whenIdle();
    expect(relay.status()).toMatchObject({ held: [], parked: 0, orderAlarms: 0 });
    for (const book of [notebook, other]) await book.expectAll();
  });
});
