import { type EncodedMessage, encodeHeaders, newMessageIdBytes } from '@txbox/core/spi';
import { type PageRequest, shardOf } from '@txbox/outbox/store';
import { MemoryOutbox } from '@txbox/testing';
import { describe, expect, it } from 'vitest';

const KEY = Buffer.from('K');
const SHARD = shardOf({ key: KEY, id: KEY });

function message(): EncodedMessage {
  return {
    id: newMessageIdBytes(),
    topic: 'orders',
    key: KEY,
    type: 't',
    aggregateType: null,
    aggregateId: null,
    sequence: null,
    headers: encodeHeaders([]),
    payload: Buffer.from('{}'),
  };
}

function page(low: number, start: number = low): PageRequest {
  return { shard: SHARD, low, start, limit: 100, inlineBytes: 1_000_000 };
}

async function positions(outbox: MemoryOutbox, request: PageRequest): Promise<number[]> {
  const [found] = await outbox.readPages([request]);
  return found?.rows.map((row) => row.position) ?? [];
}

describe('MemoryOutbox', () => {
  it('shows the interleaving that a plain hint breaks (P-R2)', async () => {
    const outbox = new MemoryOutbox();
    outbox.numberFrom(300);
    const late = outbox.begin();
    late.insert([message()]);
    outbox.numberFrom(600);
    outbox.add([message()]);
    // A relay that starts where its last page ended would now look from 601 on …
    expect(await positions(outbox, page(1))).toEqual([600]);
    late.commit();
    outbox.numberFrom(602);
    outbox.add([message()]);
    // … and send 602 before 300, which its snapshot from 601 does not cover and one over [low, …) does.
    expect(await positions(outbox, page(601))).toEqual([602]);
    const [prefetch] = await outbox.readPages([page(1, 601)]);
    expect(prefetch?.heads.map((head) => head.position)).toEqual([300, 600]);
    expect(prefetch?.rows.map((row) => row.position)).toEqual([602]);
  });

  it('has a moment between drawing a number and inserting its row that no look can see', async () => {
    const outbox = new MemoryOutbox();
    const slow = outbox.begin();
    const drawn = slow.draw(1);
    outbox.add([message()]);
    expect(await outbox.dirtyPositions([{ shard: SHARD, low: 1, upTo: 100, limit: 1 }])).toEqual([[2]]);
    slow.insert([message()], drawn);
    expect(await outbox.dirtyPositions([{ shard: SHARD, low: 1, upTo: 100, limit: 1 }])).toEqual([[1]]);
    expect(await positions(outbox, page(1))).toEqual([2]);
    slow.commit();
    expect(await positions(outbox, page(1))).toEqual([1, 2]);
  });

  it('hides a row from dirty looks while its DELETE is open, and shows it again when that rolls back', async () => {
    const outbox = new MemoryOutbox();
    const row = message();
    outbox.add([row]);
    const deleting = outbox.begin();
    deleting.remove([row.id]);
    expect(await outbox.dirtyPositions([{ shard: SHARD, low: 1, upTo: 100, limit: 1 }])).toEqual([[]]);
    expect(await positions(outbox, page(1))).toEqual([1]);
    deleting.rollback();
    expect(await outbox.dirtyPositions([{ shard: SHARD, low: 1, upTo: 100, limit: 1 }])).toEqual([[1]]);
  });

  it('leaves an event at a position that was issued again when the former one is settled', async () => {
    const outbox = new MemoryOutbox();
    outbox.add([message()]);
    const [old] = (await outbox.readPages([page(1)]))[0]?.rows ?? [];
    await outbox.settle(old ? [old] : []);
    outbox.numberFrom(1);
    outbox.add([message()]);
    expect(await outbox.settle(old ? [old] : [])).toBe(0);
    expect(await positions(outbox, page(1))).toEqual([1]);
  });

  it('forgets a rolled back transaction but not its numbers, and refuses to use it again', async () => {
    const outbox = new MemoryOutbox();
    const writing = outbox.begin();
    writing.insert([message()]);
    writing.rollback();
    expect(() => writing.insert([message()])).toThrow('over');
    expect(outbox.add([message()])).toEqual([2]);
    expect(await outbox.highestPosition()).toBe(2);
  });

  it('tells the age of the oldest row by the clock it was given', async () => {
    let now = 1_000;
    const outbox = new MemoryOutbox({ now: () => now });
    outbox.add([message()]);
    now += 250;
    outbox.add([message()]);
    expect(await outbox.backlog()).toMatchObject({ rows: 2, oldestAgeMs: 250 });
  });
});
