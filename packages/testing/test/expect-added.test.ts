import { defineEvent, rawCodec } from '@txbox/core';
import { addedEvents, clearAdded, createMemoryOutbox, expectAdded, expectNotAdded, type TestOutbox } from '@txbox/testing';
import { beforeEach, describe, expect, expectTypeOf, it } from 'vitest';
import { InvoiceSent, OrderPaid } from './fixture/shop.ts';

let outbox: TestOutbox;
beforeEach(() => {
  outbox = createMemoryOutbox({ name: 'shop' });
});

const add = (orderId: string, amount: string, lines?: { sku: string; count: number }[]): Promise<void> =>
  outbox.transaction(async () => void outbox.add(OrderPaid, { orderId, amount, ...(lines && { lines }) }));

const messageOf = async (failing: Promise<unknown>): Promise<string> => {
  const error: unknown = await failing.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(Error);
  expect((error as Error).constructor).toBe(Error);
  return (error as Error).message;
};

describe('expectAdded', () => {
  it('returns the payloads that match, typed and in order', async () => {
    await add('1', '9.90');
    await add('2', '5.00');
    await add('3', '9.90');
    const found = await expectAdded(outbox, OrderPaid, { amount: '9.90' });
    expectTypeOf(found[0].orderId).toEqualTypeOf<string>();
    expect(found.map(({ orderId }) => orderId)).toEqual(['1', '3']);
    expect(await expectAdded(outbox, OrderPaid, ({ orderId }) => orderId > '1', { times: 2 })).toHaveLength(2);
  });

  it('matches any part: nested objects, arrays item by item, matchers of the test framework', async () => {
    await add('1', '9.90', [{ sku: 'a', count: 1 }]);
    await expectAdded(outbox, OrderPaid, { lines: [{ sku: 'a' }] });
    await expectAdded(outbox, OrderPaid, { orderId: expect.any(String), lines: [expect.objectContaining({ count: 1 })] });
    await expectAdded(outbox, OrderPaid, expect.objectContaining({ orderId: '1' }));
    await expectNotAdded(outbox, OrderPaid, { lines: [] });
    await expectNotAdded(outbox, OrderPaid, { lines: [{ sku: 'a' }, { sku: 'b' }] });
    await expectNotAdded(outbox, OrderPaid, { orderId: expect.any(Number) as unknown as string });
    // @ts-expect-error no such property
    await expectNotAdded(outbox, OrderPaid, { ordreId: '1' });
  });

  it('compares dates as they travel, and bytes as bytes', async () => {
    const Dated = defineEvent('dated', { topic: 't', key: (_: { at: Date }) => null });
    const Raw = defineEvent('raw', { topic: 't', key: (_: Uint8Array) => null, codec: rawCodec });
    const at = new Date(0);
    await outbox.transaction(async () => {
      outbox.add(Dated, { at });
      outbox.add(Raw, Uint8Array.of(1, 2));
    });
    await expectAdded(outbox, Dated, { at });
    await expectNotAdded(outbox, Dated, { at: new Date(1) });
    await expectAdded(outbox, Raw, Uint8Array.of(1, 2));
    await expectNotAdded(outbox, Raw, Uint8Array.of(1));
  });

  it('says what differs, the closest first', async () => {
    await add('1', '5.00');
    await add('2', '9.91');
    expect(await messageOf(expectAdded(outbox, OrderPaid, { orderId: '2', amount: '9.90' }))).toMatchInlineSnapshot(`
      "expectAdded: expected order.paid with { orderId: '2', amount: '9.90' }, but outbox "shop" holds none.
      order.paid was added 2 times:
        { orderId: '2', amount: '9.91' }
          amount: expected '9.90', got '9.91'
        { orderId: '1', amount: '5.00' }
          orderId: expected '2', got '1'
          amount: expected '9.90', got '5.00'"
    `);
    expect(await messageOf(expectAdded(outbox, OrderPaid, { lines: [{ sku: expect.stringMatching(/x/) as string }] }))).toContain(
      'lines: expected [ { sku: StringMatching /x/ } ], got undefined',
    );
  });

  it('says how many there are when their number is wrong', async () => {
    await add('1', '5.00');
    expect(await messageOf(expectAdded(outbox, OrderPaid, {}, { times: 2 }))).toMatchInlineSnapshot(`
      "expectAdded: expected order.paid with {} 2 times, but outbox "shop" holds 1.
      order.paid was added once:
        { orderId: '1', amount: '5.00' }"
    `);
    expect(await messageOf(expectAdded(outbox, OrderPaid, {}, { times: 0 }))).toContain('expectNotAdded');
  });

  it('says what is there instead', async () => {
    expect(await messageOf(expectAdded(outbox, OrderPaid))).toMatchInlineSnapshot(`
      "expectAdded: expected order.paid, but outbox "shop" holds none.
      It is empty: a transaction that is still open or was rolled back adds nothing, and a relay that runs takes events out."
    `);
    await add('1', '5.00');
    expect(await messageOf(expectAdded(outbox, InvoiceSent))).toContain('There are 1 order.paid.');
    const Elsewhere = defineEvent('order.paid', { topic: 'elsewhere', key: () => null });
    expect(await messageOf(expectAdded(outbox, Elsewhere))).toContain(
      'There are 1 order.paid; order.paid is in topic orders, and the event asked for is of topic elsewhere.',
    );
  });

  it('tells the mistakes that one makes with it', async () => {
    await outbox.transaction(async () => {
      outbox.add(OrderPaid, { orderId: '1', amount: '1' });
      expect(await messageOf(expectAdded(outbox, OrderPaid))).toContain('inside an open transaction of outbox "shop"');
      expect(await messageOf(addedEvents(outbox))).toContain('inside an open transaction');
      expect(await messageOf(outbox.clear())).toContain('inside an open transaction');
    });
    expect(await messageOf(expectAdded(outbox, undefined as unknown as typeof OrderPaid))).toContain('defineEvent');
    expect(await messageOf(expectAdded(outbox, 'order.paid' as unknown as typeof OrderPaid))).toContain('got "order.paid"');
    expect(await messageOf(addedEvents(outbox, undefined as unknown as typeof OrderPaid))).toContain('defineEvent');
    expect(await messageOf(expectNotAdded(outbox, undefined))).toContain('defineEvent');
    expect(await messageOf(expectAdded(undefined as unknown as TestOutbox, OrderPaid))).toContain('takes an outbox');
    expect(await messageOf(expectAdded(Promise.resolve(outbox) as unknown as TestOutbox, OrderPaid))).toContain('await it');
  });
});

describe('expectNotAdded', () => {
  it('shows what was added all the same', async () => {
    await expectNotAdded(outbox);
    await add('1', '5.00');
    await expectNotAdded(outbox, OrderPaid, { amount: '9.90' });
    await expectNotAdded(outbox, InvoiceSent);
    expect(await messageOf(expectNotAdded(outbox, OrderPaid, { amount: '5.00' }))).toMatchInlineSnapshot(`
      "expectNotAdded: expected no order.paid with { amount: '5.00' }, but 1 was added:
        { orderId: '1', amount: '5.00' }"
    `);
    expect(await messageOf(expectNotAdded(outbox))).toContain('expected no event at all, but there are 1 order.paid');
    await clearAdded(outbox);
    await expectNotAdded(outbox);
  });
});
