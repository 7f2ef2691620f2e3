import { bucketOf, type EncodedMessage, encodeHeaders, newMessageIdBytes, silentLogger } from '@txbox/core/spi';
import { SHARDS } from '@txbox/outbox/store';
import { MemoryOutbox } from '@txbox/testing';
import { expect, it } from 'vitest';
import { LaneTable } from '../src/lane-table.ts';
import { RelayEmitter } from '../src/relay-event.ts';
import { ShardLoop, type ShardLoopPlan } from '../src/shard-loop.ts';

const MAX_ROWS = 64;
const PIN = { topic: 'notes', partitions: 1, generation: 1, switching: null };

/** A loop over an outbox in memory, on a clock that stands, with lanes that are emptied by hand. */
class Reading {
  readonly outbox: MemoryOutbox = new MemoryOutbox();
  readonly lanes: LaneTable;
  readonly loop: ShardLoop;
  now = 1_000;

  constructor(plan: Partial<ShardLoopPlan> = {}) {
    const backoff = { baseMs: 10, capMs: 10 };
    const limits = { rows: 500, bytes: 1_000_000, loneRowBytes: 500_000 };
    this.lanes = new LaneTable({ limits, backoff, refusedBackoff: backoff, random: () => 1 }, backoff, {
      rows: MAX_ROWS,
      bytes: 1_000_000,
      afterMs: 1_000,
    });
    this.loop = new ShardLoop({
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
      ...plan,
    });
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
  reading.outbox.add(Array.from({ length: 200 }, () => message(3)));
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
  reading.outbox.add(Array.from({ length: MAX_ROWS - 4 }, () => message(0)));
  const first = reading.loop.add(0, 1);
  while (first.size < MAX_ROWS - 4) await reading.loop.runOnce();
  for (let shard = 1; shard < SHARDS; shard += 1) reading.loop.add(shard, 1);
  reading.outbox.add([message(12)]);
  for (let poll = 0; poll < 5; poll += 1) {
    await reading.loop.runOnce();
    reading.now += 1_000;
  }
  expect(reading.loop.queues.get(12)?.size).toBe(1);
});

function message(shard: number): EncodedMessage {
  let number = 0;
  while (bucketOf(Buffer.from(`key ${number}`), SHARDS) !== shard) number += 1;
  return {
    id: newMessageIdBytes(),
    topic: 'notes',
    key: Buffer.from(`key ${number}`),
    type: 't',
    aggregateType: null,
    aggregateId: null,
    sequence: null,
    headers: encodeHeaders([]),
    payload: Buffer.from('{}'),
  };
}
