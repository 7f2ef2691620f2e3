import { Partitioners } from 'kafkajs';
import { describe, expect, it, onTestFinished } from 'vitest';
import { bareAdmin, bareClient, consume, fill, newSource, newTopic, PATIENCE } from './broker.ts';

describe('a source', () => {
  it('begins at the oldest record there is, when what was stored is there no more', async () => {
    const [topic, admin] = [await newTopic(), await bareAdmin()];
    const group = `group-${topic}`;
    await fill(topic, ['0', '1', '2', '3', '4', '5']);
    await admin.setOffsets({ groupId: group, topic, partitions: [{ partition: 0, offset: '1' }] });
    await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '4' }] });
    const expired = await consume(newSource(), group, [topic]);
    await expect.poll(() => expired.values(), PATIENCE).toEqual(['4', '5']);
    const fresh = await consume(newSource(), `${group}-2`, [topic]);
    await expect.poll(() => fresh.values(), PATIENCE).toEqual(['4', '5']);
    await expect.poll(async () => await fresh.subscription.lag(), PATIENCE).toBe(0n);
  });

  it('begins anew when the stored offset lies behind the end: the topic is another one', async () => {
    const [topic, admin] = [await newTopic(), await bareAdmin()];
    const group = `group-${topic}`;
    await fill(topic, ['0', '1', '2']);
    await admin.setOffsets({ groupId: group, topic, partitions: [{ partition: 0, offset: '1000' }] });
    const { values } = await consume(newSource(), group, [topic]);
    await expect.poll(() => values(), PATIENCE).toEqual(['0', '1', '2']);
  });

  it('delivers what transactions of others committed, and is done at their marks', async () => {
    const topic = await newTopic();
    const producer = bareClient().producer({
      transactionalId: topic,
      idempotent: true,
      maxInFlightRequests: 1,
      createPartitioner: Partitioners.DefaultPartitioner,
    });
    await producer.connect();
    onTestFinished(async () => await producer.disconnect());
    const { values, subscription } = await consume(newSource(), `group-${topic}`, [topic]);
    for (const [value, commit] of [
      ['a', true],
      ['lost', false],
      ['b', true],
    ] as const) {
      const transaction = await producer.transaction();
      await transaction.send({ topic, messages: [{ value, partition: 0 }] });
      await (commit ? transaction.commit() : transaction.abort());
    }
    await expect.poll(() => values(), PATIENCE).toEqual(['a', 'b']);
    await expect.poll(async () => await subscription.lag(), PATIENCE).toBe(0n);
    await fill(topic, ['c']);
    await expect.poll(() => values(), PATIENCE).toEqual(['a', 'b', 'c']);
  });

  it('reads a topic that only some members of the group know', async () => {
    const [old, added] = [await newTopic(2), await newTopic(2)];
    const group = `group-${old}`;
    const before = await consume(newSource(), group, [old]);
    const after = await consume(newSource(), group, [old, added]);
    for (const partition of [0, 1]) {
      await fill(old, [`old ${partition}`], partition);
      await fill(added, [`added ${partition}`], partition);
    }
    await expect.poll(() => after.values(added).sort(), PATIENCE).toEqual(['added 0', 'added 1']);
    const all = (): string[] => [...new Set([...before.values(old), ...after.values(old)])].sort();
    await expect.poll(all, PATIENCE).toEqual(['old 0', 'old 1']);
  });

  it('serves two subscriptions of one group like two members', async () => {
    const topic = await newTopic(2);
    const source = newSource();
    const members = [await consume(source, `group-${topic}`, [topic]), await consume(source, `group-${topic}`, [topic])];
    await expect
      .poll(async () => await Promise.all(members.map(async ({ subscription }) => await subscription.lag())), PATIENCE)
      .toEqual([0n, 0n]);
    for (const partition of [0, 1]) await fill(topic, [`${partition}`], partition);
    await expect.poll(() => members.flatMap(({ values }) => values()).sort(), PATIENCE).toEqual(['0', '1']);
  });

  it('shows the group that it lives while a batch takes longer than a session', async () => {
    const topic = await newTopic(2);
    const group = `group-${topic}`;
    await fill(topic, ['slow'], 0);
    await fill(topic, ['quick'], 1);
    const source = newSource();
    let batches = 0;
    const subscription = await source.subscribe({
      group,
      topics: [topic],
      batchSize: 10,
      onBatch: async (batch) => {
        if (batch.partition === 0) {
          batches += 1;
          await new Promise((resolve) => setTimeout(resolve, 7_000));
        }
        await batch.checkpoint(batch.deliveries.at(-1)?.offset as bigint);
      },
      onError: (error) => expect.fail(String(error)),
    });
    await expect.poll(async () => await subscription.lag(), PATIENCE).toBe(0n);
    expect(batches).toBe(1);
  });

  it('keeps a queue of bounded bytes for a lane that is slow', async () => {
    const topic = await newTopic();
    const value = 'x'.repeat(20_000);
    for (let round = 0; round < 5; round++) await fill(topic, Array(20).fill(value));
    const source = newSource({ maxLaneBytes: 50_000 });
    let largest = 0;
    const all = Promise.withResolvers<void>();
    await source.subscribe({
      group: `group-${topic}`,
      topics: [topic],
      batchSize: 1_000,
      onBatch: async (batch) => {
        largest = Math.max(largest, batch.deliveries.length * value.length);
        await batch.checkpoint(batch.deliveries.at(-1)?.offset as bigint);
        if (batch.deliveries.at(-1)?.offset === 99n) all.resolve();
      },
    });
    await all.promise;
    // A broker gives whole batches of a producer: here 400 kB, more than was asked for; never two of them at once.
    expect(largest).toBeLessThanOrEqual(2 * 20 * value.length);
  });
});
