import type { KafkaMessage } from 'kafkajs';
import { describe, expect, it } from 'vitest';
import { Lane } from '../../src/sources/kafkajs-lane.ts';

function message(offset: number, parts: Partial<KafkaMessage> = {}): KafkaMessage {
  return {
    offset: String(offset),
    key: null,
    value: Buffer.from('12345'),
    timestamp: '1000',
    attributes: 0,
    headers: {},
    ...parts,
  } as KafkaMessage;
}

function laneAt(position: bigint, ...offsets: number[]): Lane {
  const lane = new Lane('orders', 1);
  lane.moveTo(position);
  lane.append(
    offsets.map((offset) => message(offset)),
    BigInt(offsets.at(-1) ?? position) + 1n,
  );
  return lane;
}

const offsets = (lane: Lane, count = 100): bigint[] => lane.head(count).map(({ offset }) => offset);

describe('a lane', () => {
  it('keeps what a checkpoint did not cover, across holes of the log', () => {
    const lane = laneAt(3n, 3, 5, 9);
    expect(offsets(lane, 2)).toEqual([3n, 5n]);
    lane.advance(4n);
    expect(offsets(lane)).toEqual([5n, 9n]);
    lane.advance(7n);
    expect(offsets(lane)).toEqual([9n]);
    expect(lane.queuedBytes).toBe(5);
    lane.advance(10n);
    expect([lane.queued, lane.queuedBytes]).toEqual([0, 0]);
  });

  it('never goes back', () => {
    const lane = laneAt(0n, 0, 1, 2);
    lane.advance(2n);
    lane.advance(1n);
    expect([lane.done, offsets(lane)]).toEqual([2n, [2n]]);
  });

  it('knows how much is left, records that are never delivered aside', () => {
    const lane = laneAt(0n, 0, 1, 2);
    expect(lane.lag(5n)).toBe(5n);
    lane.advance(3n);
    expect(lane.lag(5n)).toBe(2n);
    lane.scanned = 5n;
    expect(lane.lag(5n)).toBe(0n);
    expect(lane.lag(0n)).toBe(0n);
  });

  it('is told first and ended later', () => {
    const lane = laneAt(0n, 0);
    lane.release();
    expect([lane.signal.aborted, lane.ended, lane.queued]).toEqual([true, false, 1]);
    lane.end();
    expect([lane.ended, lane.queued]).toEqual([true, 0]);
  });

  it('hands over keys, values, headers and time as they are', () => {
    const lane = new Lane('orders', 1);
    lane.moveTo(0n);
    const headers = { a: [Buffer.from('1'), Buffer.from('2')], b: Buffer.from('3'), none: null as unknown as Buffer };
    lane.append([message(0, { key: Buffer.alloc(0), value: null, headers })], 1n);
    expect(lane.head(1)).toEqual([
      {
        topic: 'orders',
        partition: 1,
        offset: 0n,
        key: Buffer.alloc(0),
        value: null,
        headers: [
          ['a', Buffer.from('1')],
          ['a', Buffer.from('2')],
          ['b', Buffer.from('3')],
          ['none', Buffer.alloc(0)],
        ],
        timestamp: 1000,
      },
    ]);
  });
});
