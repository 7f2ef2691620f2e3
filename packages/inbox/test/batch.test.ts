import type { Delivery } from '@txbox/core/spi';
import { describe, expect, it } from 'vitest';
import { readBatch, sliceFrom } from '../src/batch.ts';
import { HandlerRegistry } from '../src/handler-registry.ts';
import { again, deliveryOf, Paid, Placed } from './fixture/event.ts';

const handlers = new HandlerRegistry();
handlers.add({ event: Paid, name: 'pay', invoke: () => undefined });

const foreign = (): Delivery => deliveryOf(Paid, { id: 'f' }, { headers: [] });
const kinds = (deliveries: readonly Delivery[], onUnknown: 'hold' | 'skip' = 'hold'): string[] =>
  readBatch(deliveries, handlers, onUnknown).map(({ kind }) => kind);

describe('readBatch', () => {
  it('tells work, repeats, and what is nothing to this group', () => {
    const a = deliveryOf(Paid, { id: 'a' });
    expect(kinds([a, deliveryOf(Placed, { id: 'x' }), again(a), deliveryOf(Paid, { id: 'a' })])).toEqual([
      'work',
      'skip',
      'repeat',
      'work',
    ]);
  });

  it('holds or skips what cannot be read', () => {
    const deliveries = [foreign(), deliveryOf(Paid, { id: 'a' }, { value: Buffer.from('{') })];
    expect(kinds(deliveries)).toEqual(['hold', 'hold']);
    expect(kinds(deliveries, 'skip')).toEqual(['skip', 'skip']);
    expect(readBatch(deliveries, handlers, 'hold')).toMatchObject([
      { error: { code: 'MESSAGE_FOREIGN' }, message: undefined },
      { error: { code: 'PAYLOAD_NOT_DECODABLE' }, message: { type: 'order.paid' } },
    ]);
  });

  it('does not look into payloads that nobody here handles', () => {
    expect(kinds([deliveryOf(Placed, { id: 'x' }, { value: Buffer.from('{') })])).toEqual(['skip']);
  });
});

describe('sliceFrom', () => {
  const a = deliveryOf(Paid, { id: 'a' });
  const entries = readBatch(
    [
      deliveryOf(Placed, { id: 'x' }),
      a,
      again(a),
      deliveryOf(Paid, { id: 'b' }),
      deliveryOf(Placed, { id: 'y' }),
      foreign(),
      deliveryOf(Paid, { id: 'c' }),
    ],
    handlers,
    'hold',
  );
  const ids = (start: number, size: number): unknown[] => {
    const { works, end } = sliceFrom(entries, start, size);
    return [works.map(({ message }) => message.key?.toString()), end];
  };

  it('ends before what holds the lane', () => {
    expect(ids(0, 100)).toEqual([['a', 'b'], 5]);
    expect(ids(5, 100)).toEqual([[], 5]);
    expect(ids(6, 100)).toEqual([['c'], 7]);
  });

  it('takes at most so many works and what lies behind them', () => {
    expect(ids(0, 1)).toEqual([['a'], 3]);
    expect(ids(3, 1)).toEqual([['b'], 5]);
  });
});
