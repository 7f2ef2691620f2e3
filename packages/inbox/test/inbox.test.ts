import type { Inbox } from '@txbox/inbox';
import { createInbox, type SqliteHandlerContext } from '@txbox/inbox/sqlite';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type ConsumerDatabase, consumerDatabase } from './fixture/consumer-database.ts';
import { deliveryOf, Paid, Placed, Shipped } from './fixture/event.ts';
import { HandSource } from './fixture/hand-source.ts';
import { gate, nextOf } from './fixture/waiting.ts';

let consumer: ConsumerDatabase;
let source: HandSource;
let inbox: Inbox<SqliteHandlerContext>;
beforeEach(() => {
  consumer = consumerDatabase();
  source = new HandSource();
});
afterEach(async () => {
  await inbox.stop({ graceMs: 0 });
  consumer.dispose();
});

/** Starts an inbox whose handler of `Paid` is `handle`. */
async function started(handle: (id: string) => unknown): Promise<void> {
  inbox = createInbox({ database: consumer.database, group: 'billing', source, retry: { baseMs: 1, capMs: 2 } });
  inbox.on(Paid, ({ id }) => handle(id));
  await inbox.migrate();
  await inbox.start();
}

describe('start', () => {
  it('subscribes to the topics of its events as its group', async () => {
    inbox = createInbox({ database: consumer.database, group: 'billing', source, batchSize: 7 });
    inbox
      .on(Shipped, () => undefined)
      .on(Paid, () => undefined)
      .on(Placed, () => undefined);
    await expect(inbox.start()).rejects.toMatchObject({ code: 'SCHEMA_MISSING' });
    await inbox.migrate();
    await inbox.start();
    expect(source.subscribed).toMatchObject([{ group: 'billing', topics: ['orders', 'parcels'], batchSize: 7 }]);
    expect(() => inbox.on(Paid, () => undefined)).toThrow(expect.objectContaining({ code: 'ALREADY_STARTED' }));
  });

  it('refuses to consume topics that miss a handled event, or without a source', async () => {
    inbox = createInbox({ database: consumer.database, group: 'billing', source, topics: ['parcels'] }).on(Paid, () => undefined);
    await inbox.migrate();
    await expect(inbox.start()).rejects.toMatchObject({ code: 'OPTIONS_INVALID', message: expect.stringContaining('orders is missing') });
    const without = createInbox({ database: consumer.database, group: 'billing' }).on(Paid, () => undefined);
    await expect(without.start()).rejects.toMatchObject({ code: 'OPTIONS_INVALID', message: expect.stringContaining('source') });
  });

  it('subscribes again when the source gives up', async () => {
    await started((id) => consumer.apply(id));
    const trouble = nextOf(inbox, 'trouble');
    source.giveUp(new Error('session over'));
    expect(await trouble).toMatchObject({ error: { message: 'session over' } });
    await expect.poll(() => source.subscribed.length).toBe(2);
    await source.hand([deliveryOf(Paid, { id: 'a' })]).ended;
    expect(consumer.effects()).toEqual(['a']);
  });

  it('tells when it has caught up', async () => {
    const first = gate();
    await started(async (id) => {
      await first.pass();
      consumer.apply(id);
    });
    const batch = source.hand([deliveryOf(Paid, { id: 'a' })]);
    await first.reached;
    let caughtUp = false;
    const waiting = inbox.whenCaughtUp().then(() => {
      caughtUp = true;
    });
    expect(caughtUp).toBe(false);
    first.open();
    await batch.ended;
    await waiting;
    expect(consumer.effects()).toEqual(['a']);
  });
});
