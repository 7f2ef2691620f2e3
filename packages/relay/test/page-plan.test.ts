import type { PendingRow } from '@txbox/outbox/store';
import { expect, it } from 'vitest';
import { LaneTable } from '../src/lane-table.ts';
import { isHungry } from '../src/page-plan.ts';
import { QueuedRow, ShardQueue } from '../src/shard-queue.ts';

/** A shard that alone has a backlog is read again when less than twice as many wait. */
const PAGE_ROWS = 20;
const BATCH_ROWS = 30;
const ROOM = { rows: 1_000, bytes: 1_000_000 };
const SHARD = 0;
const PIN = { topic: 't', partitions: 1, generation: 1, switching: null };

function tableWith(rows: number): LaneTable {
  const backoff = { baseMs: 10, capMs: 10 };
  const limits = { rows: BATCH_ROWS, bytes: 1_000_000, loneRowBytes: 500_000 };
  const table = new LaneTable({ limits, backoff, refusedBackoff: backoff, random: () => 1 }, backoff, {
    rows: 1_000,
    bytes: 1_000_000,
    afterMs: 1_000,
  });
  const queue = new ShardQueue(SHARD, 1);
  for (let position = 1; position <= rows; position++) {
    const id = Buffer.alloc(16, position);
    const row = { shard: SHARD, position, id, topic: 't', key: null, bytes: 100, payload: id, headers: id } as unknown as PendingRow;
    table.enqueue(table.laneOf(row), new QueuedRow(row, queue));
  }
  return table;
}

it('reads on while a request is under way, not only when it is answered', () => {
  const table = tableWith(50);
  const hungry = (): boolean => isHungry([{ due: false, more: true, waiting: table.waiting([SHARD]).get(SHARD) ?? 0 }], PAGE_ROWS);
  expect(hungry()).toBe(false);
  for (const topic of table.topics) table.resolve(topic, PIN);
  const [lane] = table.filled;
  expect(lane && table.next(lane, 0, ROOM)).toHaveLength(BATCH_ROWS);
  expect(Object.fromEntries(table.waiting([SHARD, SHARD + 1]))).toEqual({ [SHARD]: 50 - BATCH_ROWS, [SHARD + 1]: 0 });
  expect(hungry()).toBe(true);
});
