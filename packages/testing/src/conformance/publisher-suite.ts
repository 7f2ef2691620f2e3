import type { Delivery, Publisher } from '@txbox/core/spi';
import { expect } from 'vitest';
import { ALL_BYTES, AWKWARD_HEADERS, sampleRecord, uniqueName } from './sample.ts';
import { conformanceSuite, type SuiteOptions } from './suite.ts';

/**
 * - `unreachable`: the broker may be away.
 * - `topic-admin`: tools may give a topic more partitions, and ask how far groups have come.
 * - `header-order`: headers of different names keep their order, too.
 * - `inspection`: there is something to look at (`Publisher.inspect`).
 */
export type PublisherFeature = 'unreachable' | 'topic-admin' | 'header-order' | 'inspection';

/** A publisher, connected, and another way to look into its broker. */
export interface PublisherBackend {
  readonly publisher: Publisher;
  /** Creates a topic, which `dispose` deletes. */
  createTopic(name: string, partitions: number): Promise<void>;
  /** Every record of the topic, lane by lane, not through this framework's source where another client can. */
  readAll(topic: string): Promise<Delivery[]>;
  /** Stores the next offset that a group without members will read of a partition. */
  commit?(group: string, topic: string, partition: number, nextOffset: number): Promise<void>;
  /** A publisher whose broker does not answer. */
  unreachable?(): Publisher;
  dispose(): Promise<void>;
}

/** What every publisher guarantees (P-R5, P-R6, P-R10). */
export function publisherSuite(backend: string, make: () => Promise<PublisherBackend>, options: SuiteOptions<PublisherFeature> = {}): void {
  conformanceSuite<PublisherBackend, PublisherFeature>('publisher', backend, make, options, (claim) => {
    claim('answers with the partition and the first offset', async (broker) => {
      const topic = await newTopic(broker, 3);
      const publish = async (count: number): Promise<unknown> =>
        await broker.publisher.publish({ topic, partition: 2, records: Array.from({ length: count }, () => sampleRecord('x')) });
      expect(await publish(3)).toEqual({ topic, partition: 2, baseOffset: 0n });
      expect(await publish(1)).toEqual({ topic, partition: 2, baseOffset: 3n });
      expect(await publish(2)).toEqual({ topic, partition: 2, baseOffset: 4n });
    });

    claim('keeps the order inside a request and from one to the next', async (broker) => {
      const topic = await newTopic(broker, 1);
      const values = Array.from({ length: 1_000 }, (_, index) => String(index));
      for (let from = 0; from < values.length; from += 250) {
        await broker.publisher.publish({
          topic,
          partition: 0,
          records: values.slice(from, from + 250).map((value) => sampleRecord(value)),
        });
      }
      const read = await broker.readAll(topic);
      expect(read.map((delivery) => delivery.value?.toString())).toEqual(values);
      expect(read.map((delivery) => delivery.offset)).toEqual(values.map(BigInt));
    });

    claim('puts records into the partition that was named, whatever their keys', async (broker) => {
      const topic = await newTopic(broker, 4);
      const records = Array.from({ length: 20 }, (_, index) => sampleRecord(`v${index}`, { key: Buffer.from(`key ${index}`) }));
      await broker.publisher.publish({ topic, partition: 3, records });
      expect(new Set((await broker.readAll(topic)).map((delivery) => delivery.partition))).toEqual(new Set([3]));
    });

    claim('takes requests for different lanes at the same time', async (broker) => {
      const topic = await newTopic(broker, 8);
      const records = Array.from({ length: 50 }, (_, index) => sampleRecord(String(index)));
      const lanes = [...Array(8).keys()];
      const receipts = await Promise.all(lanes.map(async (partition) => await broker.publisher.publish({ topic, partition, records })));
      expect(receipts).toEqual(lanes.map((partition) => ({ topic, partition, baseOffset: 0n })));
      const read = await broker.readAll(topic);
      for (const partition of lanes) {
        expect(read.filter((one) => one.partition === partition).map((one) => one.value?.toString())).toEqual(
          records.map((record) => record.value?.toString()),
        );
      }
    });

    claim('carries every byte of keys, values and headers, their order and their repeats', async (broker) => {
      const topic = await newTopic(broker, 1);
      const record = { key: ALL_BYTES, value: ALL_BYTES, headers: AWKWARD_HEADERS };
      const before = Date.now();
      await broker.publisher.publish({ topic, partition: 0, records: [record] });
      const after = Date.now();
      const [read] = await broker.readAll(topic);
      expect(read).toMatchObject({ topic, partition: 0, offset: 0n });
      expect(read?.key).toEqual(ALL_BYTES);
      expect(read?.value).toEqual(ALL_BYTES);
      expect(grouped(read?.headers)).toEqual(grouped(AWKWARD_HEADERS));
      // The time at which it was published, whatever its headers say of its past (P-I9).
      expect(read?.timestamp).toBeGreaterThanOrEqual(before);
      expect(read?.timestamp).toBeLessThanOrEqual(after);
    });

    claim(
      'keeps the order of headers when a name returns behind another',
      async (broker) => {
        const topic = await newTopic(broker, 1);
        await broker.publisher.publish({ topic, partition: 0, records: [sampleRecord('x', { headers: AWKWARD_HEADERS })] });
        expect((await broker.readAll(topic))[0]?.headers).toEqual(AWKWARD_HEADERS);
      },
      { needs: 'header-order' },
    );

    claim('tells an empty value from none, and an empty key from none', async (broker) => {
      const topic = await newTopic(broker, 1);
      const empty = Buffer.alloc(0);
      const records = [
        { key: empty, value: empty, headers: [] },
        { key: null, value: null, headers: [] },
        { key: Buffer.from('k'), value: null, headers: [] },
        { key: null, value: Buffer.from('v'), headers: [] },
      ];
      await broker.publisher.publish({ topic, partition: 0, records });
      expect((await broker.readAll(topic)).map(({ key, value }) => ({ key, value }))).toEqual(
        records.map(({ key, value }) => ({ key, value })),
      );
    });

    claim('carries 900 kB', async (broker) => {
      const topic = await newTopic(broker, 1);
      const value = Buffer.alloc(900_000, ALL_BYTES);
      await broker.publisher.publish({ topic, partition: 0, records: [sampleRecord(value)] });
      expect((await broker.readAll(topic))[0]?.value?.equals(value)).toBe(true);
    });

    claim('refuses a record above the limit as a failure of the record, and stores nothing of the request', async (broker) => {
      const topic = await newTopic(broker, 1);
      const records = [sampleRecord('small'), sampleRecord(Buffer.alloc(broker.publisher.maxRecordBytes + 200_000, 'x'))];
      const failure = await failureOf(broker.publisher.publish({ topic, partition: 0, records }));
      expect(broker.publisher.classify(failure)).toBe('record');
      await broker.publisher.publish({ topic, partition: 0, records: [sampleRecord('next')] });
      expect((await broker.readAll(topic)).map((delivery) => delivery.value?.toString())).toEqual(['next']);
    });

    claim('refuses a topic that does not exist as a failure of the topic, and does not create it', async ({ publisher }) => {
      const topic = uniqueName('missing');
      await expect(publisher.describeTopic(topic)).rejects.toMatchObject({ code: 'TOPIC_MISSING' });
      const failure = await failureOf(publisher.publish({ topic, partition: 0, records: [sampleRecord('x')] }));
      expect(publisher.classify(failure)).toBe('topic');
      const again = await failureOf(publisher.describeTopic(topic));
      expect(again).toMatchObject({ code: 'TOPIC_MISSING' });
      expect(publisher.classify(again)).toBe('topic');
    });

    claim('finds a topic that was created after it was missed', async (broker) => {
      const topic = uniqueName('later');
      await expect(broker.publisher.describeTopic(topic)).rejects.toMatchObject({ code: 'TOPIC_MISSING' });
      await failureOf(broker.publisher.publish({ topic, partition: 0, records: [sampleRecord('x')] }));
      await broker.createTopic(topic, 2);
      expect(await broker.publisher.describeTopic(topic)).toEqual({ topic, partitions: 2 });
      await broker.publisher.publish({ topic, partition: 1, records: [sampleRecord('now')] });
      expect((await broker.readAll(topic)).map((delivery) => delivery.value?.toString())).toEqual(['now']);
    });

    claim(
      'gives a topic more partitions: the records that are there stay, and the new partitions take some',
      async (broker) => {
        const { publisher } = broker;
        const topic = await newTopic(broker, 2);
        const publish = async (partition: number, value: string): Promise<unknown> =>
          await publisher.publish({ topic, partition, records: [sampleRecord(value)] });
        expect((await publisher.describeTopic(topic)).partitions).toBe(2);
        await publish(1, 'before');
        await publisher.topicAdmin?.createPartitions(topic, 5);
        await expect.poll(async () => (await publisher.describeTopic(topic)).partitions, { timeout: 20_000 }).toBe(5);
        await publish(4, 'after');
        await publish(1, 'again');
        const read = await broker.readAll(topic);
        expect(read.map(({ partition, value }) => [partition, String(value)])).toEqual([
          [1, 'before'],
          [1, 'again'],
          [4, 'after'],
        ]);
        await expect(publisher.topicAdmin?.createPartitions(uniqueName('missing'), 3)).rejects.toMatchObject({ code: 'TOPIC_MISSING' });
      },
      { needs: 'topic-admin', timeoutMs: 30_000 },
    );

    claim(
      'says where partitions end, and how far a group has come',
      async (broker) => {
        const { publisher } = broker;
        const { topicAdmin } = publisher;
        const topic = await newTopic(broker, 3);
        const group = uniqueName('group');
        await publisher.publish({ topic, partition: 1, records: [sampleRecord('a'), sampleRecord('b')] });
        const bounds = await topicAdmin?.boundsOf(topic);
        expect([...(bounds ?? [])].sort(([a], [b]) => a - b)).toEqual([
          [0, { low: 0n, high: 0n }],
          [1, { low: 0n, high: 2n }],
          [2, { low: 0n, high: 0n }],
        ]);
        expect(await topicAdmin?.storedOffsets(group, topic)).toEqual(new Map());
        await broker.commit?.(group, topic, 1, 2);
        expect(await topicAdmin?.storedOffsets(group, topic)).toEqual(new Map([[1, 2n]]));
      },
      { needs: 'topic-admin', timeoutMs: 30_000 },
    );

    claim('refuses a partition that the topic does not have, and blames no record', async (broker) => {
      const topic = await newTopic(broker, 2);
      const failure = await failureOf(broker.publisher.publish({ topic, partition: 7, records: [sampleRecord('x')] }));
      expect(broker.publisher.classify(failure)).not.toBe('record');
      expect(await broker.readAll(topic)).toEqual([]);
    });

    claim(
      'tells what makes records safe, of topics that are there and of those that are not, and creates none',
      async (broker) => {
        const [there, missing] = [await newTopic(broker, 1), uniqueName('missing')];
        const inspection = await broker.publisher.inspect?.([missing, there]);
        expect(inspection).toMatchObject({
          acks: -1,
          topics: [
            { topic: missing, state: 'missing' },
            { topic: there, state: 'there' },
          ],
        });
        expect(inspection?.givesUpAfterMs).toBeGreaterThan(0);
        await expect(broker.publisher.describeTopic(missing)).rejects.toMatchObject({ code: 'TOPIC_MISSING' });
      },
      { needs: 'inspection' },
    );

    claim(
      'rejects and calls it transient while no broker answers',
      async ({ unreachable }) => {
        const publisher = (unreachable as NonNullable<typeof unreachable>)();
        const failure = await failureOf(publisher.connect());
        expect(failure).toMatchObject({ code: 'BROKER_UNAVAILABLE' });
        expect(publisher.classify(failure)).toBe('transient');
        await publisher.close();
      },
      { needs: 'unreachable' },
    );

    claim('calls transient whatever it does not know', async ({ publisher }) => {
      for (const unknown of [new Error('who knows'), undefined, null, 'text', 42, {}])
        expect(publisher.classify(unknown)).toBe('transient');
    });

    claim('refuses to publish after close, which may be called twice', async ({ publisher }) => {
      await publisher.close();
      await publisher.close();
      await expect(publisher.publish({ topic: 'any', partition: 0, records: [sampleRecord('x')] })).rejects.toThrow();
    });
  });
}

async function newTopic(broker: PublisherBackend, partitions: number): Promise<string> {
  const topic = uniqueName('publisher');
  await broker.createTopic(topic, partitions);
  return topic;
}

async function failureOf(promise: Promise<unknown>): Promise<unknown> {
  return await promise.then(
    (value) => expect.fail(`expected a rejection, got ${String(value)}`),
    (error: unknown) => error,
  );
}

/** Values by name: order is promised among headers of one name. */
function grouped(headers: Delivery['headers'] = []): [string, Buffer[]][] {
  const names = [...new Set(headers.map(([name]) => name))].sort();
  return names.map((name) => [name, headers.filter(([one]) => one === name).map(([, value]) => value)]);
}
