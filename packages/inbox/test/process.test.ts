import type { Delivery, EventSink, UnitOfWork } from '@txbox/core/spi';
import { newMessageIdBytes, registerEventSink } from '@txbox/core/spi';
import type { PushedMessage } from '@txbox/inbox';
import { createInbox, type SqliteHandlerContext } from '@txbox/inbox/sqlite';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type ConsumerDatabase, consumerDatabase } from './fixture/consumer-database.ts';
import { again, deliveryOf, Paid, Placed, Scanned } from './fixture/event.ts';

let consumer: ConsumerDatabase;
beforeEach(() => {
  consumer = consumerDatabase();
});
afterEach(() => consumer.dispose());

const pushed = ({ topic, partition, offset, key, value, headers, timestamp }: Delivery): PushedMessage => ({
  topic,
  partition,
  message: { key, value, headers: Object.fromEntries(headers), offset: String(offset), timestamp: String(timestamp) },
});

async function inboxWith(options: { onUnknown?: 'hold' | 'skip' } = {}) {
  const inbox = createInbox({ database: consumer.database, group: 'billing', ...options });
  await inbox.migrate();
  return inbox;
}

describe('process', () => {
  it('applies a message once and tells the second time', async () => {
    const inbox = await inboxWith();
    inbox.on(Paid, ({ id }) => consumer.apply(id));
    const delivery = deliveryOf(Paid, { id: 'a' });
    expect(await inbox.process(pushed(delivery))).toBe('applied');
    expect(await inbox.process(pushed(again(delivery)))).toBe('duplicate');
    expect(consumer.effects()).toEqual(['a']);
    expect(await inbox.status()).toMatchObject({ applied: 1, duplicates: 1, skipped: 0 });
  });

  it('keeps groups apart', async () => {
    const delivery = deliveryOf(Paid, { id: 'a' });
    for (const group of ['one', 'two']) {
      const inbox = createInbox({ database: consumer.database, group }).on(Paid, ({ id }) => consumer.apply(`${id} by ${group}`));
      await inbox.migrate();
      expect(await inbox.process(pushed(delivery))).toBe('applied');
    }
    expect(consumer.effects()).toEqual(['a by one', 'a by two']);
  });

  it('rolls effect and memory back together, and counts the tries', async () => {
    const inbox = await inboxWith();
    const attempts: number[] = [];
    inbox.on(Paid, ({ id }, ctx) => {
      consumer.apply(id);
      attempts.push(ctx.attempt);
      if (ctx.attempt < 3) throw new Error('card refused');
    });
    const delivery = deliveryOf(Paid, { id: 'a' });
    for (let failure = 0; failure < 2; failure++) {
      await expect(inbox.process(pushed(delivery))).rejects.toMatchObject({
        code: 'HANDLER_FAILED',
        message: expect.stringContaining('card refused'),
      });
      expect(consumer.effects()).toEqual([]);
      expect(consumer.remembered()).toBe(0);
    }
    expect(await inbox.process(pushed(delivery))).toBe('applied');
    expect(attempts).toEqual([1, 2, 3]);
    expect(consumer.effects()).toEqual(['a']);
  });

  it('takes a unique-key violation of a handler for what it is', async () => {
    const inbox = await inboxWith();
    inbox.on(Paid, (_payload, ctx) => {
      ctx.database.prepare("INSERT INTO effects (value, once) VALUES ('x', 'only one')").run();
    });
    expect(await inbox.process(pushed(deliveryOf(Paid, { id: 'a' })))).toBe('applied');
    const second = deliveryOf(Paid, { id: 'b' });
    await expect(inbox.process(pushed(second))).rejects.toMatchObject({ code: 'HANDLER_FAILED' });
    await expect(inbox.process(pushed(second))).rejects.toMatchObject({ code: 'HANDLER_FAILED' });
    expect(consumer.remembered()).toBe(1);
  });

  it('skips what nothing here handles, and remembers nothing of it', async () => {
    const inbox = await inboxWith();
    inbox.on(Paid, ({ id }) => consumer.apply(id));
    expect(await inbox.process(pushed(deliveryOf(Placed, { id: 'a' })))).toBe('skipped');
    expect(consumer.remembered()).toBe(0);
  });

  it('tells the handler about the message', async () => {
    const inbox = await inboxWith();
    const seen: SqliteHandlerContext[] = [];
    inbox.on(Paid, (_payload, ctx) => void seen.push(ctx));
    const delivery = deliveryOf(Paid, { id: 'a' }, { partition: 3, offset: 77n });
    await inbox.process(pushed(delivery));
    expect(seen).toHaveLength(1);
    expect(seen[0]).toMatchObject({
      attempt: 1,
      database: consumer.database,
      message: { type: 'order.paid', version: 1, topic: 'orders', partition: 3, offset: 77n, key: Buffer.from('a') },
    });
    expect(seen[0]?.signal.aborted).toBe(true);
  });

  it('lets tombstones and empty payloads pass as two things', async () => {
    const inbox = await inboxWith();
    const seen: unknown[] = [];
    inbox.on(Scanned, (payload, ctx) => void seen.push([payload, ctx.message.value]));
    await inbox.process(pushed(deliveryOf(Scanned, Buffer.alloc(0))));
    await inbox.process(pushed(deliveryOf(Scanned, Buffer.alloc(0), { value: null })));
    expect(seen).toEqual([
      [Buffer.alloc(0), Buffer.alloc(0)],
      [null, null],
    ]);
  });

  it('throws for a message that is not ours, or passes over it when told to', async () => {
    const foreign = deliveryOf(Paid, { id: 'a' }, { headers: [] });
    const holding = (await inboxWith()).on(Paid, ({ id }) => consumer.apply(id));
    await expect(holding.process(pushed(foreign))).rejects.toMatchObject({ code: 'MESSAGE_FOREIGN' });
    const skipping = (await inboxWith({ onUnknown: 'skip' })).on(Paid, ({ id }) => consumer.apply(id));
    expect(await skipping.process(pushed(foreign))).toBe('skipped');
    expect(consumer.effects()).toEqual([]);
  });

  it('throws for a payload that the event cannot decode', async () => {
    const inbox = (await inboxWith()).on(Paid, ({ id }) => consumer.apply(id));
    const delivery = deliveryOf(Paid, { id: 'a' }, { value: Buffer.from('{"id":') });
    await expect(inbox.process(pushed(delivery))).rejects.toMatchObject({ code: 'PAYLOAD_NOT_DECODABLE' });
  });

  it('never makes an id of anything but sixteen bytes', async () => {
    const inbox = (await inboxWith()).on(Paid, ({ id }) => consumer.apply(id));
    const message = pushed(deliveryOf(Paid, { id: 'a' }));
    const headers = { ...message.message.headers, 'txbox-id': {} as Buffer };
    await expect(inbox.process({ ...message, message: { ...message.message, headers } })).rejects.toMatchObject({
      code: 'OPTIONS_INVALID',
    });
    const text = { ...message.message.headers, 'txbox-id': '[object Object]!!' };
    await expect(inbox.process({ ...message, message: { ...message.message, headers: text } })).rejects.toMatchObject({
      code: 'MESSAGE_UNREADABLE',
    });
  });

  it('adds events in the transaction of the message', async () => {
    const inbox = await inboxWith();
    const added: unknown[] = [];
    const sink: EventSink = {
      name: 'default',
      tablePrefix: 'txbox_',
      add: (unit: UnitOfWork, event, payload) => {
        expect(unit.state).toBe('open');
        unit.beforeCommit(async () => void added.push([event.name, payload, consumer.database.inTransaction]));
        return newMessageIdBytes().toString('hex') as never;
      },
      once: (_unit, _key, fn) => fn(),
    };
    inbox.on(Paid, (payload, ctx) => void ctx.add(Placed, payload));
    await expect(inbox.process(pushed(deliveryOf(Paid, { id: 'a' })))).rejects.toMatchObject({ cause: { code: 'NO_OUTBOX' } });
    const forget = registerEventSink(consumer.database, sink);
    await inbox.process(pushed(deliveryOf(Paid, { id: 'b' })));
    forget();
    expect(added).toEqual([['order.placed', { id: 'b' }, true]]);
  });

  it('says when the tables are missing, and goes on once they are there', async () => {
    const inbox = createInbox({ database: consumer.database, group: 'billing' }).on(Paid, ({ id }) => consumer.apply(id));
    const message = pushed(deliveryOf(Paid, { id: 'a' }));
    await expect(inbox.process(message)).rejects.toMatchObject({ code: 'SCHEMA_MISSING' });
    await inbox.migrate();
    expect(await inbox.process(message)).toBe('applied');
  });

  it('refuses after stop, and without any handler', async () => {
    const inbox = await inboxWith();
    const message = pushed(deliveryOf(Paid, { id: 'a' }));
    await expect(inbox.process(message)).rejects.toMatchObject({ code: 'HANDLER_MISSING' });
    await inbox.stop();
    await expect(inbox.process(message)).rejects.toMatchObject({ code: 'STOPPED' });
  });
});
