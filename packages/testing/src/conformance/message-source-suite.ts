import { type DeliveryBatch, type MessageSource, type Publisher } from '@txbox/core/spi';
import { expect } from 'vitest';
import { checkpointAll, consume, eventually, PATIENCE_MS } from './consumer.ts';
import { ALL_BYTES, AWKWARD_HEADERS, sampleRecord, uniqueName } from './sample.ts';
import { conformanceSuite, type SuiteOptions } from './suite.ts';

/** `header-order`: headers of different names keep their order, too. */
export type MessageSourceFeature = 'header-order';

/** Sources of one broker, and what feeds them. */
export interface MessageSourceBackend {
  /** Connected. */
  readonly publisher: Publisher;
  /** Creates a topic, which `dispose` deletes. */
  createTopic(name: string, partitions: number): Promise<void>;
  /** A source of its own, as of another process. The suite closes it. */
  source(): MessageSource;
  /**
   * Makes the broker give the lanes of the group's first member to its second one, although the first still works on a
   * batch, does not send heartbeats and has not left; at the latest when `PATIENCE_MS` is over.
   */
  expelFirst(group: string): Promise<void>;
  dispose(): Promise<void>;
}

type ClaimCheck = (broker: MessageSourceBackend, open: () => MessageSource) => Promise<void>;

/** What every message source guarantees: at least once, in order, nothing skipped. */
export function messageSourceSuite(
  backend: string,
  make: () => Promise<MessageSourceBackend>,
  options: SuiteOptions<MessageSourceFeature> = {},
): void {
  conformanceSuite<MessageSourceBackend, MessageSourceFeature>('message source', backend, make, options, (make) => {
    const claim = (name: string, check: ClaimCheck, needs?: MessageSourceFeature): void =>
      make(name, async (broker) => await withSources(broker, check), { timeoutMs: 2 * PATIENCE_MS, ...(needs ? { needs } : {}) });

    claim('gives a new group everything from the first message on, each lane in order', async (broker, open) => {
      const topic = await newTopic(broker, 3);
      await fill(broker, topic, [0, 1, 2], 0, 50);
      const consumer = await consume(open(), { group: uniqueName('group'), topics: [topic], batchSize: 20 });
      await fill(broker, topic, [0, 1, 2], 50, 60);
      await eventually(() => expect(consumer.deliveries.length).toBe(180));
      for (const partition of [0, 1, 2]) expect(consumer.valuesOf(partition)).toEqual(numbers(0, 60));
      expect(consumer.batches.every((batch) => batch.deliveries.length > 0 && batch.deliveries.length <= 20)).toBe(true);
      expect(
        consumer.batches.every((batch) => batch.deliveries.every((one) => one.topic === topic && one.partition === batch.partition)),
      ).toBe(true);
    });

    claim('carries every byte, tells empty from none, and names offset and time', async (broker, open) => {
      const topic = await newTopic(broker, 1);
      const empty = Buffer.alloc(0);
      const records = [
        { key: ALL_BYTES, value: Buffer.alloc(900_000, ALL_BYTES), headers: AWKWARD_HEADERS },
        { key: empty, value: empty, headers: [] },
        { key: null, value: null, headers: [] },
      ];
      for (const record of records) await broker.publisher.publish({ topic, partition: 0, records: [record] });
      const { deliveries } = await consume(open(), { group: uniqueName('group'), topics: [topic] });
      await eventually(() => expect(deliveries.length).toBe(3));
      expect(deliveries.map((delivery) => delivery.offset)).toEqual([0n, 1n, 2n]);
      expect(deliveries.map((delivery) => delivery.key)).toEqual([ALL_BYTES, empty, null]);
      expect(deliveries[0]?.value?.equals(records[0]?.value as Buffer)).toBe(true);
      expect(deliveries.slice(1).map((delivery) => delivery.value)).toEqual([empty, null]);
      for (const [name, value] of AWKWARD_HEADERS) expect(deliveries[0]?.headers).toContainEqual([name, value]);
      expect(deliveries[0]?.headers.filter(([name]) => name === 'a').map(([, value]) => value.toString())).toEqual(['one', 'two', 'one']);
      expect(deliveries.every((delivery) => Math.abs(delivery.timestamp - Date.now()) < 120_000)).toBe(true);
    });

    claim(
      'keeps the order of headers when a name returns behind another',
      async (broker, open) => {
        const topic = await newTopic(broker, 1);
        await broker.publisher.publish({ topic, partition: 0, records: [sampleRecord('x', { headers: AWKWARD_HEADERS })] });
        const { deliveries } = await consume(open(), { group: uniqueName('group'), topics: [topic] });
        await eventually(() => expect(deliveries[0]?.headers).toEqual(AWKWARD_HEADERS));
      },
      'header-order',
    );

    claim('gives out one batch of a lane at a time, and lanes side by side', async (broker, open) => {
      const topic = await newTopic(broker, 2);
      const atWork = new Map<number, number>();
      let most = 0;
      let together = 0;
      const consumer = await consume(open(), { group: uniqueName('group'), topics: [topic], batchSize: 5 }, async (batch) => {
        atWork.set(batch.partition, (atWork.get(batch.partition) ?? 0) + 1);
        most = Math.max(most, ...atWork.values());
        together = Math.max(together, [...atWork.values()].filter((count) => count > 0).length);
        // Waits until both lanes have been seen at work, as long as only one has.
        if (together < 2) await eventually(() => expect(together).toBe(2));
        await checkpointAll(batch);
        atWork.set(batch.partition, (atWork.get(batch.partition) ?? 0) - 1);
      });
      await fill(broker, topic, [0, 1], 0, 30);
      await eventually(() => expect(consumer.deliveries.length).toBe(60));
      expect(most).toBe(1);
    });

    claim('goes on after the last checkpoint when a member comes back', async (broker, open) => {
      const topic = await newTopic(broker, 1);
      await fill(broker, topic, [0], 0, 20);
      const group = uniqueName('group');
      const first = await consume(open(), { group, topics: [topic], batchSize: 20 }, async (batch) => {
        if (batch.deliveries[0]?.offset === 0n) await batch.checkpoint(6n);
        else await untilAborted(batch);
      });
      await eventually(() => expect(first.deliveries.some((delivery) => delivery.offset === 7n && first.batches.length > 1)).toBe(true));
      await first.subscription.stop();
      const second = await consume(open(), { group, topics: [topic] });
      await eventually(() => expect(second.valuesOf(0)).toEqual(numbers(7, 20)));
    });

    claim('delivers again what a batch left behind the last checkpoint, and skips nothing', async (broker, open) => {
      const topic = await newTopic(broker, 1);
      await fill(broker, topic, [0], 0, 10);
      let pass = 0;
      const consumer = await consume(open(), { group: uniqueName('group'), topics: [topic], batchSize: 10 }, async (batch) => {
        pass += 1;
        if (pass === 1) return;
        if (pass === 2) return await batch.checkpoint(3n);
        await checkpointAll(batch);
      });
      await eventually(() => expect(consumer.valuesOf(0).at(-1)).toBe('9'));
      await eventually(() => expect(pass).toBeGreaterThanOrEqual(3));
      expect(consumer.batches.slice(0, 3).map((batch) => batch.deliveries[0]?.offset)).toEqual([0n, 0n, 4n]);
    });

    claim('reports a batch that failed and delivers it again, in order', async (broker, open) => {
      const topic = await newTopic(broker, 1);
      await fill(broker, topic, [0], 0, 10);
      const broken = new Error('the handler failed');
      let failed = 0;
      const consumer = await consume(open(), { group: uniqueName('group'), topics: [topic], batchSize: 10 }, async (batch) => {
        if (failed === 0) await batch.checkpoint(1n);
        if (failed < 2) {
          failed += 1;
          throw broken;
        }
        await checkpointAll(batch);
      });
      await eventually(() => expect(consumer.batches.length).toBeGreaterThanOrEqual(3));
      expect(consumer.batches.slice(0, 3).map((batch) => batch.deliveries[0]?.offset)).toEqual([0n, 2n, 2n]);
      await eventually(() => expect(consumer.valuesOf(0).at(-1)).toBe('9'));
      expect(consumer.errors.length).toBeGreaterThanOrEqual(2);
    });

    claim('gives every group everything', async (broker, open) => {
      const topic = await newTopic(broker, 2);
      await fill(broker, topic, [0, 1], 0, 20);
      const consumers = await Promise.all(
        [uniqueName('a'), uniqueName('b')].map(async (group) => await consume(open(), { group, topics: [topic] })),
      );
      for (const consumer of consumers) {
        await eventually(() => expect(consumer.deliveries.length).toBe(40));
        expect(consumer.valuesOf(1)).toEqual(numbers(0, 20));
      }
    });

    claim('keeps several topics apart in one subscription', async (broker, open) => {
      const topics = [await newTopic(broker, 1), await newTopic(broker, 2)];
      for (const topic of topics) await fill(broker, topic, [0], 0, 5);
      const consumer = await consume(open(), { group: uniqueName('group'), topics });
      for (const topic of topics) {
        await eventually(() =>
          expect(consumer.deliveries.filter((one) => one.topic === topic).map((one) => one.value?.toString())).toEqual(numbers(0, 5)),
        );
      }
    });

    claim('shares the lanes among the members of a group', async (broker, open) => {
      const topic = await newTopic(broker, 4);
      const group = uniqueName('group');
      const [first, second] = [await consume(open(), { group, topics: [topic] }), await consume(open(), { group, topics: [topic] })];
      const lanesSince = (consumer: typeof first, from: number): Set<number> =>
        new Set(consumer.deliveries.filter((one) => Number(one.value?.toString()) >= from).map((one) => one.partition));
      let round = 0;
      // A round is published only when the one before has arrived, until both members have two lanes of a round.
      await eventually(async () => {
        const from = round++;
        await fill(broker, topic, [0, 1, 2, 3], from, from + 1);
        await eventually(() => expect(lanesSince(first, from).size + lanesSince(second, from).size).toBeGreaterThanOrEqual(4));
        expect([lanesSince(first, from).size, lanesSince(second, from).size]).toEqual([2, 2]);
      });
      for (const partition of [0, 1, 2, 3]) {
        const seen = new Set([...first.valuesOf(partition), ...second.valuesOf(partition)]);
        expect([...numbers(0, round)].filter((value) => !seen.has(value))).toEqual([]);
      }
    });

    claim('gives the lanes of a member that stopped to the others, who skip nothing', async (broker, open) => {
      const topic = await newTopic(broker, 2);
      const group = uniqueName('group');
      await fill(broker, topic, [0, 1], 0, 10);
      const first = await consume(open(), { group, topics: [topic] });
      await eventually(() => expect(first.deliveries.length).toBe(20));
      const second = await consume(open(), { group, topics: [topic] });
      await first.subscription.stop();
      await fill(broker, topic, [0, 1], 10, 20);
      await eventually(() => expect(new Set([...second.valuesOf(0), ...second.valuesOf(1)]).size).toBe(10));
      for (const partition of [0, 1]) expect(second.valuesOf(partition).slice(-10)).toEqual(numbers(10, 20));
    });

    claim('goes on with its lanes when a member joined and left again while batches ran', async (broker, open) => {
      const topic = await newTopic(broker, 2);
      const group = uniqueName('group');
      await fill(broker, topic, [0, 1], 0, 5);
      let released = false;
      const told = Promise.withResolvers<void>();
      const first = await consume(open(), { group, topics: [topic], batchSize: 5 }, async (batch) => {
        // A source may learn of the newcomer by a heartbeat only.
        while (!released && !batch.signal.aborted) {
          await batch.heartbeat().catch(() => told.resolve());
          await new Promise((resolve) => setTimeout(resolve, 20));
        }
        if (batch.signal.aborted) told.resolve();
        await eventually(() => expect(released).toBe(true));
        await checkpointAll(batch);
      });
      await eventually(() => expect(first.batches.length).toBe(2));
      const second = open();
      const joining = consume(second, { group, topics: [topic] });
      await told.promise;
      await second.close();
      released = true;
      await joining.catch(() => undefined);
      await fill(broker, topic, [0, 1], 5, 10);
      for (const partition of [0, 1]) await eventually(() => expect([...new Set(first.valuesOf(partition))]).toEqual(numbers(0, 10)));
    });

    claim('refuses the checkpoint of an assignment that was lost, and delivers to the new owner', async (broker, open) => {
      const topic = await newTopic(broker, 1);
      const group = uniqueName('group');
      await fill(broker, topic, [0], 0, 5);
      const held = Promise.withResolvers<DeliveryBatch>();
      const release = Promise.withResolvers<void>();
      const first = await consume(open(), { group, topics: [topic] }, async (batch) => {
        held.resolve(batch);
        await release.promise;
      });
      const batch = await held.promise;
      // Joining may have to wait for the first member, so nobody waits for the joining.
      const joining = consume(open(), { group, topics: [topic] });
      await broker.expelFirst(group);
      const second = await joining;
      await eventually(() => expect(second.valuesOf(0)).toEqual(numbers(0, 5)));
      await expect(batch.checkpoint(4n)).rejects.toMatchObject({ code: 'ASSIGNMENT_LOST' });
      await expect(batch.heartbeat()).rejects.toMatchObject({ code: 'ASSIGNMENT_LOST' });
      expect(batch.signal.aborted).toBe(true);
      release.resolve();
      await first.subscription.stop();
      await fill(broker, topic, [0], 5, 8);
      await eventually(() => expect(second.valuesOf(0).at(-1)).toBe('7'));
      expect([...new Set(second.valuesOf(0))]).toEqual(numbers(0, 8));
    });

    claim('answers heartbeats while a batch runs', async (broker, open) => {
      const topic = await newTopic(broker, 1);
      await fill(broker, topic, [0], 0, 1);
      const beaten = Promise.withResolvers<void>();
      await consume(open(), { group: uniqueName('group'), topics: [topic] }, async (batch) => {
        for (let beat = 0; beat < 5; beat++) await batch.heartbeat();
        beaten.resolve();
        await checkpointAll(batch);
      });
      await beaten.promise;
    });

    claim('stops: tells the batches, waits for them, keeps what they check-pointed', async (broker, open) => {
      const topic = await newTopic(broker, 1);
      const group = uniqueName('group');
      await fill(broker, topic, [0], 0, 10);
      const running = Promise.withResolvers<DeliveryBatch>();
      const finish = Promise.withResolvers<void>();
      const first = await consume(open(), { group, topics: [topic], batchSize: 10 }, async (batch) => {
        running.resolve(batch);
        await finish.promise;
        await batch.checkpoint(4n);
      });
      const batch = await running.promise;
      let stopped = false;
      const stopping = first.subscription.stop().then(() => {
        stopped = true;
      });
      await eventually(() => expect(batch.signal.aborted).toBe(true));
      expect(stopped).toBe(false);
      finish.resolve();
      await Promise.all([stopping, first.subscription.stop(), first.subscription.done]);
      expect(first.batches.length).toBe(1);
      const second = await consume(open(), { group, topics: [topic] });
      await eventually(() => expect(second.valuesOf(0)).toEqual(numbers(5, 10)));
    });

    claim('knows how much is left, and that nothing is', async (broker, open) => {
      const topic = await newTopic(broker, 2);
      await fill(broker, topic, [0, 1], 0, 10);
      const release = Promise.withResolvers<void>();
      const consumer = await consume(open(), { group: uniqueName('group'), topics: [topic] }, async (batch) => {
        await release.promise;
        await checkpointAll(batch);
      });
      await eventually(async () => expect(await consumer.subscription.lag()).toBe(20n));
      release.resolve();
      await eventually(async () => expect(await consumer.subscription.lag()).toBe(0n));
    });

    claim('refuses a topic that does not exist, and does not create it', async ({ publisher }, open) => {
      const topic = uniqueName('missing');
      await expect(consume(open(), { group: uniqueName('group'), topics: [topic] })).rejects.toMatchObject({ code: 'TOPIC_MISSING' });
      await expect(publisher.describeTopic(topic)).rejects.toMatchObject({ code: 'TOPIC_MISSING' });
    });

    claim('names the cluster, always the same', async (_, open) => {
      const id = await open().clusterId();
      expect(id).not.toBe('');
      expect(await open().clusterId()).toBe(id);
    });

    claim('ends its subscriptions when it is closed, which may happen twice', async (broker, open) => {
      const topic = await newTopic(broker, 1);
      const source = open();
      const { subscription } = await consume(source, { group: uniqueName('group'), topics: [topic] });
      await source.close();
      await source.close();
      await subscription.done;
    });
  });
}

async function withSources(broker: MessageSourceBackend, check: ClaimCheck): Promise<void> {
  const sources: MessageSource[] = [];
  const open = (): MessageSource => {
    const source = broker.source();
    sources.push(source);
    return source;
  };
  try {
    await check(broker, open);
  } finally {
    await Promise.all(sources.map(async (source) => await source.close()));
  }
}

async function newTopic(broker: MessageSourceBackend, partitions: number): Promise<string> {
  const topic = uniqueName('source');
  await broker.createTopic(topic, partitions);
  return topic;
}

function numbers(from: number, to: number): string[] {
  return Array.from({ length: to - from }, (_, index) => String(from + index));
}

/** Publishes the numbers [from, to) into each of the lanes. */
async function fill(
  { publisher }: MessageSourceBackend,
  topic: string,
  partitions: readonly number[],
  from: number,
  to: number,
): Promise<void> {
  for (const partition of partitions) {
    await publisher.publish({ topic, partition, records: numbers(from, to).map((value) => sampleRecord(value)) });
  }
}

async function untilAborted({ signal }: DeliveryBatch): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}
