import { defineEvent } from '@txbox/core';
import { type HandlerContext, Handles } from '@txbox/inbox';
import { createMemoryInbox, createMemoryOutbox, drain, expectAdded, expectNotAdded, MemoryLog, type TestOutbox } from '@txbox/testing';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Billing, InvoiceSent, OrderPaid, Orders, ReminderDue } from './fixture/shop.ts';

let outbox: TestOutbox;
beforeEach(() => {
  outbox = createMemoryOutbox();
});

describe('drain', () => {
  it('lets handlers process what was added, and what they add, and tells it', async () => {
    const billing = new Billing();
    await new Orders().pay('1', '9.90');
    const drained = await drain({ outbox, handlers: [billing] });
    expect(billing.seen).toEqual(['invoice 1, attempt 1', 'sent 1']);
    expect(drained).toMatchObject({ handled: 2, unhandled: [] });
    expect(drained.published.map(({ type }) => type)).toEqual(['order.paid', 'invoice.sent']);
    await expectAdded(drained, InvoiceSent, { orderId: '1' }, { times: 1 });
    await expectNotAdded(drained, ReminderDue);
    await expectNotAdded(outbox);
    await expect(expectAdded(outbox, InvoiceSent)).rejects.toThrow('drain() has published 1 of them');
    expect(await drain({ outbox, handlers: [billing] })).toMatchObject({ handled: 0, published: [] });
  });

  it('gives events in the order of their commits, whatever their keys', async () => {
    const seen: string[] = [];
    const inbox = createMemoryInbox({ outbox }).on(OrderPaid, ({ orderId }) => void seen.push(orderId));
    const ids = Array.from({ length: 40 }, (_, index) => `order-${index}`);
    for (const id of ids) await new Orders().pay(id, '1');
    await drain({ outbox, inboxes: [inbox] });
    expect(seen).toEqual(ids);
  });

  it('rejects with the error of the handler, whose work is rolled back, and begins with that event again', async () => {
    const billing = new Billing({ refusals: 1 });
    const orders = new Orders();
    await orders.pay('1', '1');
    await orders.pay('2', '2');
    await expect(drain({ outbox, handlers: [billing] })).rejects.toThrow(RangeError);
    await expectNotAdded(outbox);
    const drained = await drain({ outbox, handlers: [billing] });
    expect(billing.seen).toEqual(['invoice 1, attempt 1', 'invoice 1, attempt 2', 'invoice 2, attempt 1', 'sent 1', 'sent 2']);
    expect(drained.published.map(({ type }) => type)).toEqual(['invoice.sent', 'invoice.sent']);
  });

  it('forgets what a failed drain has left when the outbox is cleared', async () => {
    const billing = new Billing({ refusals: 1 });
    await new Orders().pay('1', '1');
    await expect(drain({ outbox, handlers: [billing] })).rejects.toThrow('no paper');
    await outbox.clear();
    expect(await drain({ outbox, handlers: [billing] })).toMatchObject({ handled: 0 });
    await expect(expectAdded(outbox, OrderPaid)).rejects.toThrow('It is empty');
  });

  it('tells which events no handler is for', async () => {
    await new Orders().pay('1', '1');
    expect(await drain({ outbox })).toMatchObject({ handled: 0, unhandled: [{ type: 'order.paid' }] });
  });

  it('gives each event to every inbox, once per group', async () => {
    const seen: string[] = [];
    const inbox = (group: string) => createMemoryInbox({ outbox, group }).on(OrderPaid, () => void seen.push(group));
    await new Orders().pay('1', '1');
    await drain({ outbox, inboxes: [inbox('a'), inbox('b'), inbox('b')] });
    expect(seen).toEqual(['a', 'b']);
  });

  it('follows events through several outboxes', async () => {
    const billing = createMemoryOutbox({ name: 'billing' });
    const inbox = createMemoryInbox({ outbox: billing }).on(OrderPaid, ({ orderId }, ctx) => ctx.add(InvoiceSent, { orderId }));
    const seen: string[] = [];
    const reminders = createMemoryInbox({ outbox }).on(InvoiceSent, ({ orderId }) => void seen.push(orderId));
    await outbox.transaction(async () => void outbox.add(OrderPaid, { orderId: '1', amount: '1' }));
    const drained = await drain({ outbox: [outbox, billing], inboxes: [inbox, reminders] });
    expect(seen).toEqual(['1']);
    expect(drained.handled).toBe(2);
    await billing.close();
  });

  it('ends a circle of events with an error that names it', async () => {
    const inbox = createMemoryInbox({ outbox }).on(InvoiceSent, ({ orderId }, ctx) => ctx.add(InvoiceSent, { orderId }));
    await outbox.transaction(async () => void outbox.add(InvoiceSent, { orderId: '1' }));
    await expect(drain({ outbox, inboxes: [inbox], maxHops: 5 })).rejects.toThrow(
      "drain followed handlers' events 5 times and there are more (invoice.sent)",
    );
  });

  it('refuses to run inside a transaction or a handler', async () => {
    await outbox.transaction(async () => {
      await expect(drain({ outbox })).rejects.toThrow('inside an open transaction');
    });
    const inbox = createMemoryInbox({ outbox }).on(InvoiceSent, async () => void (await drain({ outbox })));
    await outbox.transaction(async () => void outbox.add(InvoiceSent, { orderId: '1' }));
    await expect(drain({ outbox, inboxes: [inbox] })).rejects.toThrow('inside an open transaction (or a handler)');
  });

  it('lets drains that are called at once run one after another', async () => {
    const billing = new Billing();
    const options = { outbox, handlers: [billing] };
    await new Orders().pay('1', '1');
    const [first, second] = await Promise.all([drain(options), drain(options)]);
    expect(first.handled + second.handled).toBe(2);
    expect(billing.seen).toHaveLength(2);
  });

  it('numbers events of strict order', async () => {
    const Strict = defineEvent('strict', { topic: 't', key: (of: { id: string }) => of.id, strictOrder: true });
    for (let count = 0; count < 3; count += 1) await outbox.transaction(async () => void outbox.add(Strict, { id: 'a' }));
    const { published } = await drain({ outbox });
    const numbers = published.map(({ message }) => message.headers.find(([name]) => name === 'txbox-sequence')?.[1].toString());
    expect(numbers).toEqual(['1', '2', '3']);
  });

  it('brings events in the CloudEvents envelope, and from older versions', async () => {
    const Old = defineEvent('moved', { topic: 'places', key: (place: { city: string }) => place.city });
    const New = defineEvent('moved', {
      topic: 'places',
      version: 2,
      key: (place: { city: string; country: string }) => place.city,
      upcast: { 1: (place: { city: string }) => ({ ...place, country: 'unknown' }) },
    });
    const clouds = createMemoryOutbox({ name: 'clouds', envelope: 'cloudevents' });
    const seen: unknown[] = [];
    const inbox = createMemoryInbox({ outbox: clouds }).on(New, (place) => void seen.push(place));
    await clouds.transaction(async () => void clouds.add(Old, { city: 'Graz' }));
    const moved = { city: 'Graz', country: 'unknown' };
    expect(await expectAdded(clouds, New, { city: 'Graz' })).toEqual([moved]);
    const { published } = await drain({ outbox: clouds, inboxes: [inbox] });
    expect(published).toMatchObject([{ type: 'moved', version: 1, payload: { city: 'Graz' }, headers: {} }]);
    expect(seen).toEqual([moved]);
    await clouds.close();
  });

  it('tells a handler what is not there in memory', async () => {
    class WithDatabase {
      @Handles(OrderPaid)
      async store(_: unknown, ctx: HandlerContext & { manager: { insert(): Promise<void> } }): Promise<void> {
        await ctx.manager.insert();
      }
    }
    await new Orders().pay('1', '1');
    await expect(drain({ outbox, handlers: [new WithDatabase()] })).rejects.toThrow('ctx.manager: this handler runs in memory');
  });

  it('keeps the object of a handler: private fields, and methods that a test has replaced', async () => {
    class Private {
      #count = 0;
      @Handles(OrderPaid)
      count(): void {
        this.#count += 1;
      }
      get counted(): number {
        return this.#count;
      }
    }
    const handler = new Private();
    const spy = vi.spyOn(handler, 'count');
    await new Orders().pay('1', '1');
    await drain({ outbox, handlers: [handler] });
    expect(handler.counted).toBe(1);
    expect(spy).toHaveBeenCalledOnce();
  });

  it('refuses wrong options, and says which', async () => {
    await expect(drain({ outbox, inboxes: [new Billing() as never] })).rejects.toThrow('inboxes item 0 must have process');
    await expect(drain({ outbox, handlers: [Billing as never] })).rejects.toThrow('handlers');
    await expect(drain({ outbox, handlers: [{}] })).rejects.toMatchObject({ code: 'HANDLER_MISSING' });
    await expect(drain({ outbox: [] })).rejects.toThrow('outbox must name at least one');
    await expect(drain({ outbox: {} as never })).rejects.toThrow('takes an outbox');
    await expect(drain({} as never)).rejects.toThrow('outbox is required');
    expect(() => createMemoryInbox({ outbox: new MemoryLog() as never })).toThrow('takes an outbox');
  });
});

describe('drain with clocks that stand still', () => {
  afterEach(() => void vi.useRealTimers());

  it('waits for no time', async () => {
    vi.useFakeTimers();
    const billing = new Billing({ refusals: 1 });
    await new Orders().pay('1', '1');
    await expect(drain({ outbox, handlers: [billing] })).rejects.toThrow('no paper');
    expect(await drain({ outbox, handlers: [billing] })).toMatchObject({ handled: 2 });
  });
});
