import { silentLogger, TxboxError } from '@txbox/core';
import { Transactional } from '@txbox/outbox';
import { addedEvents, createMemoryOutbox, expectAdded, expectNotAdded } from '@txbox/testing';
import { describe, expect, it } from 'vitest';
import { InvoiceSent, OrderPaid, Orders } from './fixture/shop.ts';

const paid = (orderId: string): { orderId: string; amount: string } => ({ orderId, amount: '1' });

describe('createMemoryOutbox', () => {
  it('takes the events of decorated methods, and none of a method that throws', async () => {
    const outbox = createMemoryOutbox();
    const orders = new Orders();
    await orders.pay('one', '9.90');
    await expect(orders.pay('two', '-1')).rejects.toThrow('negative');
    expect(await addedEvents(outbox)).toMatchObject([
      {
        type: 'order.paid',
        topic: 'orders',
        version: 1,
        key: 'one',
        payload: { orderId: 'one', amount: '9.90' },
        headers: { source: 'shop' },
      },
    ]);
  });

  it('keeps events in the order of the commits, and forgets those of a rollback and of a nested one', async () => {
    const outbox = createMemoryOutbox();
    const { promise: gate, resolve: open } = Promise.withResolvers<void>();
    const slow = outbox.transaction(async (tx) => {
      tx.add(OrderPaid, paid('slow'));
      await gate;
      await outbox.transaction({ propagation: 'nested' }, async () => void outbox.add(OrderPaid, paid('kept'))).catch(() => undefined);
      await outbox
        .transaction({ propagation: 'nested' }, async () => {
          outbox.add(OrderPaid, paid('undone'));
          throw new Error('undo');
        })
        .catch(() => undefined);
    });
    await outbox.transaction(async () => void outbox.add(OrderPaid, paid('quick')));
    await expect(
      outbox.transaction(async () => {
        outbox.add(OrderPaid, paid('lost'));
        throw new Error('no');
      }),
    ).rejects.toThrow('no');
    open();
    await slow;
    expect((await addedEvents(outbox, OrderPaid)).map(({ payload }) => payload.orderId)).toEqual(['quick', 'slow', 'kept']);
  });

  it('has transactions of their own inside an open one, which survive it', async () => {
    const outbox = createMemoryOutbox();
    const attempt = outbox.transaction(async () => {
      outbox.add(OrderPaid, paid('outer'));
      await outbox.transaction({ propagation: 'requires-new' }, async () => void outbox.add(InvoiceSent, { orderId: 'inner' }));
      throw new Error('rolled back');
    });
    await expect(attempt).rejects.toThrow('rolled back');
    expect((await addedEvents(outbox)).map(({ type }) => type)).toEqual(['invoice.sent']);
  });

  it('runs afterCommit after the commit and not after a rollback', async () => {
    const failures: unknown[] = [];
    const outbox = createMemoryOutbox({ unhandled: (error) => failures.push(error), logger: silentLogger });
    const ran: string[] = [];
    await outbox.transaction(async (tx) => tx.afterCommit(() => void ran.push('committed')));
    await expect(
      outbox.transaction(async (tx) => {
        tx.afterCommit(() => void ran.push('never'));
        throw new Error('no');
      }),
    ).rejects.toThrow('no');
    await outbox.transaction(async (tx) =>
      tx.afterCommit(() => {
        throw new Error('callback');
      }),
    );
    expect(ran).toEqual(['committed']);
    expect(failures).toMatchObject([{ message: 'callback' }]);
  });

  it('does what an idempotencyKey names once, and forgets it when it is cleared', async () => {
    const outbox = createMemoryOutbox();
    const once = (): Promise<string> =>
      outbox.transaction({ idempotencyKey: 'order-1' }, async () => {
        outbox.add(OrderPaid, paid('1'));
        return 'result';
      });
    expect(await Promise.all([once(), once()])).toEqual(['result', 'result']);
    await expectAdded(outbox, OrderPaid, {}, { times: 1 });
    await outbox.clear();
    await expectNotAdded(outbox);
    await once();
    await expectAdded(outbox, OrderPaid, {}, { times: 1 });
  });

  it('refuses the one thing that its single connection cannot do, instead of waiting for ever', async () => {
    const outbox = createMemoryOutbox();
    const inner = outbox.transaction({ idempotencyKey: 'outer' }, async () => {
      await outbox.transaction({ propagation: 'requires-new' }, async () => void outbox.add(OrderPaid, paid('1')));
    });
    await expect(inner).rejects.toMatchObject({ code: 'PROPAGATION_REFUSED' });
    await outbox.transaction(async () => void outbox.add(OrderPaid, paid('after')));
    await expectAdded(outbox, OrderPaid, { orderId: 'after' }, { times: 1 });
  });

  it('keeps the events of many transactions at once, each with its own', async () => {
    const outbox = createMemoryOutbox();
    const ids = Array.from({ length: 50 }, (_, index) => String(index));
    await Promise.all(
      ids.map((id) =>
        outbox.transaction({ idempotencyKey: id }, async () => {
          outbox.add(OrderPaid, paid(id));
          await new Promise((resolve) => setImmediate(resolve));
          outbox.add(InvoiceSent, { orderId: id });
        }),
      ),
    );
    const added = (await addedEvents(outbox)).map(({ type, key }) => `${type} ${key}`);
    expect(added).toHaveLength(100);
    for (const id of ids) expect(added[added.indexOf(`order.paid ${id}`) + 1]).toBe(`invoice.sent ${id}`);
  });

  it('lets go of a transaction that has timed out while it waited for another', async () => {
    const outbox = createMemoryOutbox();
    const { promise: gate, resolve: open } = Promise.withResolvers<void>();
    const first = outbox.transaction({ idempotencyKey: 'first' }, () => gate);
    const second = outbox.transaction({ idempotencyKey: 'second', timeoutMs: 1 }, async () => void outbox.add(OrderPaid, paid('late')));
    await expect(second).rejects.toMatchObject({ code: 'UNIT_TIMED_OUT' });
    open();
    await first;
    await outbox.transaction(async () => void outbox.add(OrderPaid, paid('after')));
    expect((await addedEvents(outbox, OrderPaid)).map(({ payload }) => payload.orderId)).toEqual(['after']);
  });

  it('rolls a nested transaction back that began before anything was written', async () => {
    const outbox = createMemoryOutbox();
    await outbox.transaction(async () => {
      await outbox
        .transaction({ propagation: 'nested' }, async () => {
          await outbox.transaction({ propagation: 'nested' }, async () => void outbox.add(OrderPaid, paid('a')));
          throw new Error('undo both');
        })
        .catch(() => undefined);
      outbox.add(OrderPaid, paid('b'));
    });
    expect((await addedEvents(outbox, OrderPaid)).map(({ payload }) => payload.orderId)).toEqual(['b']);
  });

  it('refuses what a real one refuses', async () => {
    const outbox = createMemoryOutbox();
    expect(() => outbox.add(OrderPaid, paid('1'))).toThrow(expect.objectContaining({ code: 'NO_UNIT_OF_WORK' }));
    await expect(outbox.transaction({ readOnly: true }, async () => void outbox.add(OrderPaid, paid('1')))).rejects.toMatchObject({
      code: 'UNIT_READ_ONLY',
    });
    await expect(outbox.transaction({ timeoutMs: 1 }, () => new Promise(() => undefined))).rejects.toMatchObject({
      code: 'UNIT_TIMED_OUT',
    });
    await expectNotAdded(outbox);
    expect(() => createMemoryOutbox({ nmae: 'x' } as object)).toThrow('unknown option nmae');
  });

  it('commits at once what addTo gives it with any handle', async () => {
    const outbox = createMemoryOutbox();
    await outbox.addTo({ manager: 'of a fake' }, OrderPaid, paid('1'));
    await expectAdded(outbox, OrderPaid, { orderId: '1' });
    await expect(outbox.addTo(undefined as unknown as object, OrderPaid, paid('1'))).rejects.toThrow(TxboxError);
  });

  it('takes the place of the one before it with the same name', async () => {
    const first = createMemoryOutbox();
    const other = createMemoryOutbox({ name: 'other' });
    const second = createMemoryOutbox();
    await expect(first.transaction(async () => undefined)).rejects.toMatchObject({ code: 'OUTBOX_CLOSED' });
    await expect(new Orders().pay('1', '1')).rejects.toMatchObject({ code: 'OUTBOX_AMBIGUOUS' });
    await other.close();
    await new Orders().pay('1', '1');
    await expectAdded(second, OrderPaid);
    class Named {
      @Transactional({ on: () => second })
      async run(): Promise<void> {
        second.add(OrderPaid, paid('2'));
      }
    }
    await new Named().run();
    await expectAdded(second, OrderPaid, { orderId: '2' });
  });
});
