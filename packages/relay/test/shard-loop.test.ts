import { type EncodedMessage, silentLogger } from '@txbox/core/spi';
import { type PendingRow, SHARDS } from '@txbox/outbox/store';
import { MemoryOutbox } from '@txbox/testing';
import { expect, it } from 'vitest';
import { LaneTable } from '../src/lane-table.ts';
import { RelayEmitter } from '../src/relay-event.ts';
import { ShardLoop, type ShardLoopPlan } from '../src/shard-loop.ts';
import { keysOf, message } from './message.ts';

const MAX_ROWS = 64;
const PIN = { topic: 'orders', partitions: 1, generation: 1, switching: null };

/** A loop over an outbox in memory, on a clock that stands, with lanes that are emptied by hand. */
class Reading {
  readonly outbox: MemoryOutbox = new MemoryOutbox();
  readonly lanes: LaneTable;
  readonly plan: ShardLoopPlan;
  loop: ShardLoop;
  now = 1_000;

  constructor() {
    const backoff = { baseMs: 10, capMs: 10 };
    const limits = { rows: 500, bytes: 1_000_000, loneRowBytes: 500_000 };
    this.lanes = new LaneTable({ limits, backoff, refusedBackoff: backoff, random: () => 1 }, backoff, {
      rows: MAX_ROWS,
      bytes: 1_000_000,
      afterMs: 1_000,
    });
    this.plan = {
      reader: this.outbox,
      lanes: this.lanes,
      clock: { now: () => this.now, monotonic: () => this.now, sleep: () => Promise.resolve() },
      logger: silentLogger,
      events: new RelayEmitter(),
      mayAct: () => true,
      onRows: () => undefined,
      onParked: () => undefined,
      pollMinMs: 50,
      pollMaxMs: 1_000,
      lowLagMs: 500,
      sweepMs: 5_000,
      pageRows: 16,
      maxRows: MAX_ROWS,
      maxBytes: 1_000_000,
    };
    this.loop = new ShardLoop(this.plan);
  }

  /** Everything in memory is sent and acknowledged, and waits to be settled. */
  acknowledge(): void {
    for (const topic of this.lanes.topics) this.lanes.resolve(topic, PIN);
    for (const lane of [...this.lanes.filled]) {
      while (this.lanes.next(lane, this.now, { rows: 500, bytes: 1_000_000 })) {
        for (const row of this.lanes.acknowledge(lane)) row.queue.acknowledge(row, this.now);
      }
    }
  }
}

it('waits, and does not run without a pause, while memory is full of rows that wait to be settled', async () => {
  const reading = new Reading();
  reading.outbox.add(Array.from({ length: 200 }, () => messageIn(3)));
  const queue = reading.loop.add(3, 1);
  while (queue.size < MAX_ROWS) {
    await reading.loop.runOnce();
    reading.acknowledge();
  }
  expect(await reading.loop.runOnce()).toBeGreaterThan(0);
  const taken = queue.takeAcknowledged(10, reading.now);
  await reading.outbox.settle(taken.map(({ row }) => row));
  queue.settled(taken);
  expect(reading.loop.isHungry).toBe(true);
  await reading.loop.runOnce();
  expect(queue.size).toBeGreaterThan(MAX_ROWS - 10);
});

it('looks at every shard in turn while memory has room for a row of some of them only', async () => {
  const reading = new Reading();
  reading.outbox.add(Array.from({ length: MAX_ROWS - 4 }, () => messageIn(0)));
  const first = reading.loop.add(0, 1);
  while (first.size < MAX_ROWS - 4) await reading.loop.runOnce();
  for (let shard = 1; shard < SHARDS; shard += 1) reading.loop.add(shard, 1);
  reading.outbox.add([messageIn(12)]);
  for (let poll = 0; poll < 5; poll += 1) {
    await reading.loop.runOnce();
    reading.now += 1_000;
  }
  expect(reading.loop.queues.get(12)?.size).toBe(1);
});

/** One pass over a shard whose broker is away. */
async function passInVain(reading: Reading): Promise<void> {
  reading.now += Math.max(1, await reading.loop.runOnce());
  for (const topic of reading.lanes.topics) {
    reading.lanes.resolve(topic, PIN);
    for (const lane of topic.lanes.values()) {
      if (lane.next(reading.now, { rows: 500, bytes: 1_000_000 })) {
        lane.fail({ kind: 'transient', code: 'AWAY', message: 'The broker is away.' }, reading.now);
      }
    }
  }
}

it('reads past any number of rows that do not move, and then not their heads with every page', async () => {
  const HELD = 3_000;
  let heads = 0;
  let reads = 0;
  const reading = new Reading();
  const { outbox } = reading;
  reading.loop = new ShardLoop({
    ...reading.plan,
    reader: {
      highestPosition: () => outbox.highestPosition(),
      dirtyPositions: (looks) => outbox.dirtyPositions(looks),
      loadPayloads: (rows) => outbox.loadPayloads(rows),
      readPages: async (requests) => {
        const pages = await outbox.readPages(requests);
        heads = Math.max(0, ...requests.map(({ limit }, index) => (limit === 0 ? 0 : (pages[index]?.heads.length ?? 0))));
        reads += 1;
        return pages;
      },
    },
  });
  outbox.add(Array.from({ length: HELD }, () => messageIn(3)));
  const queue = reading.loop.add(3, 1);
  const pass = (): Promise<void> => passInVain(reading);
  const began = reading.now;
  while (queue.cursor <= HELD) await pass();
  // By the clock of the loop, at the shortest pause between polls.
  expect(reading.now - began).toBeLessThan(5_000);
  for (let more = 0; more < 40; more += 1) await pass();
  expect(queue.low).toBeGreaterThan(HELD / 2);
  reads = 0;
  reading.loop.wake([3]);
  while (reads === 0) await pass();
  expect(heads).toBe(0);
  // It moves again: all of it is sent, in order.
  const sent: number[] = [];
  for (let more = 0; more < 5_000 && sent.length < HELD; more += 1) {
    reading.now += 100;
    await reading.loop.runOnce();
    for (const lane of [...reading.lanes.filled]) {
      if (!reading.lanes.next(lane, reading.now, { rows: 500, bytes: 1_000_000 })) continue;
      const rows = reading.lanes.acknowledge(lane);
      sent.push(...rows.map(({ row }) => row.position));
      for (const row of rows) row.queue.acknowledge(row, reading.now);
      const taken = queue.takeAcknowledged(500, reading.now);
      await outbox.settle(taken.map(({ row }) => row));
      queue.settled(taken);
    }
  }
  expect(sent).toEqual(Array.from({ length: HELD }, (_, index) => index + 1));
});

it('moves a row of a key that another relay parked only behind those of its key that were left out of memory', async () => {
  const HELD = 300;
  const reading = new Reading();
  reading.outbox.add(Array.from({ length: HELD }, () => messageIn(3)));
  const queue = reading.loop.add(3, 1);
  for (let passes = 0; passes < 500 && queue.low <= HELD / 2; passes += 1) await passInVain(reading);
  expect(queue.low).toBeGreaterThan(HELD / 2);
  const [page] = await reading.outbox.readPages([{ shard: 3, low: 0, start: 0, limit: 1, inlineBytes: 100 }]);
  // A relay that had the shard before.
  await reading.outbox.park(page?.rows[0] as PendingRow, { reason: 'refused', attempts: 1, partition: 0, mayBePublished: false });
  reading.outbox.add([messageIn(3)]);
  for (let passes = 0; passes < 20; passes += 1) await passInVain(reading);
  expect(queue.cursor).toBeGreaterThan(HELD);
  expect(queue.parked).toEqual([]);
  // It moves again.
  const moved: number[] = [];
  for (let passes = 0; passes < 500 && moved.at(-1) !== HELD + 1; passes += 1) {
    reading.now += 100;
    await reading.loop.runOnce();
    reading.acknowledge();
    const settled = queue.takeAcknowledged(500, reading.now);
    await reading.outbox.settle(settled.map(({ row }) => row));
    queue.settled(settled);
    const followers = queue.parked;
    moved.push(...followers.map(({ position }) => position));
    if (followers.length > 0) queue.endParked(followers, await reading.outbox.moveFollowers(followers));
  }
  expect(moved).toEqual(Array.from({ length: moved.length }, (_, index) => HELD + 2 - moved.length + index));
  expect(moved.length).toBeGreaterThan(HELD / 2);
});

function messageIn(shard: number): EncodedMessage {
  return message(keysOf(shard, 1)[0] as Buffer);
}
