import { createRequire } from 'node:module';
import type { WireRecord } from '@txbox/core/spi';
import type { Message } from 'kafkajs';
import { describe, expect, it, vi } from 'vitest';
import { PartitionMessages } from '../src/kafkajs-messages.ts';

interface Encoder {
  readonly buf: Buffer;
  readonly buffer: Buffer;
}

const require = createRequire(import.meta.url);
const encode = require('kafkajs/src/protocol/recordBatch/record/v0') as (message: object) => Encoder;
const group = require('kafkajs/src/producer/groupMessagesPerPartition') as (of: object) => Record<string, Message[]>;

/** As kafkajs's request does it. */
const record = (message: Message, index: number): Encoder => encode({ ...message, offsetDelta: index, timestampDelta: 0 });

function bytesOf(encoded: readonly Encoder[]): Buffer {
  return Buffer.concat(encoded.map(({ buffer }) => buffer));
}

/** Of all lengths about which a number takes one more byte, with and without key, value and headers. */
const records: readonly WireRecord[] = [
  { key: Buffer.from('key'), value: Buffer.from('value'), headers: [['id', Buffer.alloc(16, 7)]] },
  { key: null, value: null, headers: [] },
  { key: Buffer.alloc(0), value: Buffer.alloc(0), headers: [['', Buffer.alloc(0)]] },
  ...[1, 23, 24, 25, 63, 64, 65, 127, 128, 8_191, 8_192, 70_000, 1_048_576].map((length) => ({
    key: Buffer.alloc(length % 200, 1),
    value: Buffer.alloc(length, 2),
    headers: [
      ['größe', Buffer.from(String(length))],
      ['n'.repeat(length % 300), Buffer.alloc(length % 150, 3)],
    ] as const,
  })),
  ...Array.from({ length: 100 }, (_, n) => ({
    key: Buffer.from(`key-${n}`),
    value: Buffer.from(`${n}`),
    headers: [['n', Buffer.from([n])] as const],
  })),
];

describe('messages of one partition', () => {
  it('are encoded to the bytes that kafkajs makes, and kafkajs is asked for the first only', () => {
    const messages = new PartitionMessages(records, 3);
    const step = vi.fn(record);

    const packed = messages.map(step);

    expect(packed).toHaveLength(records.length);
    expect(bytesOf(packed).equals(bytesOf(Array.from(messages, record)))).toBe(true);
    expect(step).toHaveBeenCalledOnce();
  });

  it('are left to kafkajs where it encodes the first in another way', () => {
    const messages = new PartitionMessages(records.slice(0, 3), 0);
    const later = (message: Message, index: number): Encoder => encode({ ...message, offsetDelta: index, timestampDelta: 5 });

    expect(bytesOf(messages.map(later)).equals(bytesOf(Array.from(messages, later)))).toBe(true);
  });

  it('are an ordinary list for everything else', () => {
    const messages = new PartitionMessages(records.slice(0, 3), 4);

    expect(messages.map(({ partition }) => partition)).toEqual([4, 4, 4]);
    expect(messages.map(({ timestamp }) => timestamp).filter((timestamp) => timestamp !== undefined)).toEqual([]);
    expect((messages as Message[]).reduce<number>((sum, { partition = 0 }) => sum + partition, 0)).toBe(12);
    expect([...messages].map(({ value }) => value)).toEqual(records.slice(0, 3).map(({ value }) => value));
    expect({ ...messages[0] }).toEqual({
      key: records[0]?.key,
      value: records[0]?.value,
      partition: 4,
      headers: { id: Buffer.alloc(16, 7) },
    });
  });

  it('are grouped as themselves, without a look at each', () => {
    const messages = new PartitionMessages(records, 5);
    const partitioner = vi.fn(({ message }: { message: Message }) => message.partition);

    const grouped = group({ topic: 'orders', partitionMetadata: [{}], messages, partitioner });

    expect(Object.keys(grouped)).toEqual(['5']);
    expect(grouped['5']).toBe(messages);
    expect(partitioner).toHaveBeenCalledOnce();
  });

  it('are grouped by whoever groups them where the first goes elsewhere', () => {
    const messages = new PartitionMessages(records.slice(0, 4), 5);

    const grouped = group({ topic: 'orders', partitionMetadata: [{}], messages, partitioner: () => 1 });

    expect(grouped).toEqual({ 1: [...messages] });
  });

  it('may be none or one', () => {
    expect(new PartitionMessages([], 0).map(record)).toEqual([]);
    expect(bytesOf(new PartitionMessages(records.slice(0, 1), 0).map(record)).length).toBeGreaterThan(0);
  });
});
