import { SHARDS, shardOf } from '@txbox/outbox/store';
import { expect } from 'vitest';
import { added, type OutboxStoreBackend, type OutboxStoreFeature, only, settleAll } from './outbox-store-backend.ts';
import { sampleMessage, uniqueName } from './sample.ts';
import type { Claim } from './suite.ts';

/** What a store of an outbox guarantees of pins and of what waits: `TopicPins` and `OutboxInspector`. */
export function inspectorClaims(claim: Claim<OutboxStoreBackend, OutboxStoreFeature>): void {
  claim('pins the first count of a topic, whatever is asked later, and two at once agree', async ({ store }) => {
    const topic = uniqueName('pin');
    expect(await store.pin(topic, 6)).toEqual({ topic, partitions: 6, generation: 1, switching: null });
    expect(await store.pin(topic, 12)).toMatchObject({ partitions: 6 });
    const racing = uniqueName('pin');
    const [one, two] = await Promise.all([store.pin(racing, 3), store.pin(racing, 4)]);
    expect(one).toEqual(two);
    expect(await store.pin(racing, 5)).toEqual(one);
    expect(await store.pins()).toEqual(expect.arrayContaining([one, await store.pin(topic, 1)]));
  });

  claim('changes a pin as long as it is as it was known, and shows the change to all', async ({ store }) => {
    const topic = uniqueName('switch');
    const pin = await store.pin(topic, 2);
    const note = { action: 'grow-begin', actor: 'suite' } as const;
    const begun = { ...pin, switching: { partitions: 5, groups: ['a', 'b'], since: null, offsets: null } };
    expect(await store.changePin(pin, begun, note)).toBe(true);
    expect(await store.changePin(pin, { ...pin, partitions: 9 }, note)).toBe(false);
    expect(await store.pin(topic, 7)).toEqual(begun);
    const ended = { ...begun, switching: { ...begun.switching, since: await store.databaseTime(), offsets: [3n, 2n ** 62n] } };
    const [first, second] = await Promise.all([store.changePin(begun, ended), store.changePin(begun, pin)]);
    expect([first, second].filter(Boolean)).toHaveLength(1);
    if (second) expect(await store.changePin(pin, ended)).toBe(true);
    expect((await store.pins()).find((one) => one.topic === topic)).toEqual(ended);
    const grown = { topic, partitions: 5, generation: 2, switching: null };
    expect(await store.changePin(ended, grown, note)).toBe(true);
    expect(await store.pin(topic, 1)).toEqual(grown);
    expect(await store.changePin(pin, begun, note)).toBe(false);
  });

  claim('keeps topics apart that differ only in case', async (outbox) => {
    const topic = uniqueName('case');
    const lower = sampleMessage({ topic });
    const upper = sampleMessage({ topic: topic.toUpperCase() });
    await added(outbox, [lower, upper]);
    expect((await only(outbox, lower)).topic).toBe(topic);
    expect((await only(outbox, upper)).topic).toBe(topic.toUpperCase());
    expect(await outbox.store.pin(topic, 3)).toMatchObject({ topic, partitions: 3 });
    expect(await outbox.store.pin(topic.toUpperCase(), 5)).toMatchObject({ topic: topic.toUpperCase(), partitions: 5 });
  });

  claim('tells whether everything up to a position is settled, whatever its shard', async (outbox) => {
    await settleAll(outbox);
    const [first, second] = [sampleMessage({ key: Buffer.from('first') }), sampleMessage({ key: Buffer.from('second') })];
    await added(outbox, [first]);
    await added(outbox, [second]);
    const [{ position: low }, { position: high }] = [await only(outbox, first), await only(outbox, second)];
    expect(await outbox.store.isSettledUpTo(low)).toBe(false);
    await outbox.store.settle([await only(outbox, second)], 'each');
    expect(await outbox.store.isSettledUpTo(high)).toBe(false);
    await outbox.store.settle([await only(outbox, first)], 'each');
    expect(await outbox.store.isSettledUpTo(high)).toBe(true);
  });

  claim('tells how much is waiting, and how long the oldest', async (outbox) => {
    const message = sampleMessage({ payload: Buffer.alloc(1_000) });
    const before = await outbox.store.backlog();
    await added(outbox, [message]);
    const after = await outbox.store.backlog();
    const { bytes } = await only(outbox, message);
    expect(after.rows - before.rows).toBe(1);
    expect(after.bytes - before.bytes).toBe(bytes);
    expect(after.oldestAgeMs).toBeGreaterThanOrEqual(before.oldestAgeMs);
    expect(after.oldestAgeMs).toBeLessThan(600_000);
  });

  claim('tells how much is waiting in a shard from a position on', async (outbox) => {
    await settleAll(outbox);
    const key = Buffer.from('a shard');
    const messages = [sampleMessage({ key }), sampleMessage({ key }), sampleMessage({ key })];
    await added(outbox, messages);
    const rows = await Promise.all(messages.map((message) => only(outbox, message)));
    const shard = rows[0]?.shard ?? 0;
    const other = (shard + 1) % SHARDS;
    const from = rows[1]?.position ?? 0;
    const answers = await outbox.store.shardBacklogs([
      { shard, from: 0 },
      { shard: other, from: 0 },
      { shard, from },
    ]);
    const bytes = (some: typeof rows): number => some.reduce((sum, row) => sum + row.bytes, 0);
    expect(answers).toMatchObject([
      { shard, rows: 3, bytes: bytes(rows), exact: true },
      { shard: other, rows: 0, bytes: 0, oldestAgeMs: 0, exact: true },
      { shard, rows: 2, bytes: bytes(rows.slice(1)), exact: true },
    ]);
    expect(await outbox.store.shardBacklogs([])).toEqual([]);
  });

  claim('tells of many in a shard about how many there are', async (outbox) => {
    await settleAll(outbox);
    const key = Buffer.from('a shard');
    const messages = Array.from({ length: 3_000 }, () => sampleMessage({ key, payload: Buffer.alloc(10) }));
    await added(outbox, messages);
    const [first] = messages;
    const shard = first === undefined ? 0 : shardOf(first);
    const [answer] = await outbox.store.shardBacklogs([{ shard, from: 0 }]);
    expect(answer?.rows).toBeGreaterThan(2_700);
    expect(answer?.rows).toBeLessThan(3_300);
    await settleAll(outbox);
  });
}
