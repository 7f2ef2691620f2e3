import { TxboxError } from '@txbox/core';
import type { Delivery, MessageSource } from '@txbox/core/spi';
import type { Inbox, InboxEventMap, InboxOptions } from '@txbox/inbox';
import { createInbox, type Mysql2HandlerContext } from '@txbox/inbox/mysql2';
import { createOutbox } from '@txbox/outbox/mysql2';
import type { Pool } from 'mysql2/promise';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type ConsumerServer, consumerServer, SERVERS } from './consumer-server.ts';
import { Charged, Paid, Placed, recordOf, Scanned, TopicLog } from './topic-log.ts';

type Mysql2Inbox = Inbox<Mysql2HandlerContext>;

const RETRY = { baseMs: 5, capMs: 50 };

const apply = async (ctx: Mysql2HandlerContext, value: string): Promise<void> => {
  await ctx.connection.query('INSERT INTO effects (value) VALUES (?)', [value]);
};

/** The next event of that name. */
function next<Name extends keyof InboxEventMap>(inbox: Mysql2Inbox, name: Name): Promise<InboxEventMap[Name]> {
  return new Promise((resolve) => {
    const off = inbox.events.on(name, (event) => {
      off();
      resolve(event);
    });
  });
}

/** A message of `Paid` as a consumer of one's own gets it. */
function pushed(id: string) {
  const { key, value, headers } = recordOf(Paid, { id });
  return { topic: 'orders', partition: 0, message: { key, value, headers: Object.fromEntries(headers), offset: '0' } };
}

describe.each(SERVERS)('inbox of a mysql2 pool on %s', (_name, variable, service) => {
  let server: ConsumerServer;
  let inboxes: Mysql2Inbox[];
  beforeEach(async () => {
    server = await consumerServer(variable, service);
    inboxes = [];
  });
  afterEach(async () => {
    await Promise.all(inboxes.map((inbox) => inbox.stop({ graceMs: 0 })));
    await server.drop();
  });

  const created = async (options: Partial<InboxOptions> & { pool?: Pool } = {}): Promise<Mysql2Inbox> => {
    const inbox = createInbox({ pool: server.pool, group: 'billing', retry: RETRY, ...options });
    inboxes.push(inbox);
    await inbox.migrate();
    return inbox;
  };

  it('gives every message one effect, in order, whatever is delivered twice', async () => {
    const topic = new TopicLog(4);
    const ids = Array.from({ length: 300 }, (_, n) => String(n));
    const records = ids.map((id) => recordOf(Paid, { id }));
    for (const [n, record] of records.entries()) {
      const partition = n % 4;
      // Each one twice in a row, and an older one of the same lane again.
      await topic.publish(partition, record, record, ...(n >= 40 ? [records[n - 40] as typeof record] : []));
    }
    const inbox = await created({ source: topic.log.source(), batchSize: 20 });
    inbox.on(Paid, ({ id }, ctx) => apply(ctx, id));
    await inbox.start();
    await inbox.whenCaughtUp();
    const effects = await server.effects();
    expect(effects.toSorted((a, b) => Number(a) - Number(b))).toEqual(ids);
    for (let partition = 0; partition < 4; partition++) {
      const ofLane = effects.map(Number).filter((n) => n % 4 === partition);
      expect(ofLane).toEqual(ofLane.toSorted((a, b) => a - b));
    }
    expect(await server.count('txbox_inbox')).toBe(300);
    expect(await inbox.status()).toMatchObject({ applied: 300, duplicates: 300 + 260, lag: 0n });
  });

  it('goes on after a consumer that died between COMMIT and checkpoint', async () => {
    const topic = new TopicLog();
    await topic.publish(0, ...['a', 'b', 'c'].map((id) => recordOf(Paid, { id })));
    const inner = topic.log.source();
    const dying: MessageSource = {
      ...inner,
      subscribe: (options) =>
        inner.subscribe({
          ...options,
          onBatch: (batch) =>
            options.onBatch({ ...batch, checkpoint: () => Promise.reject(new TxboxError('BROKER_UNAVAILABLE', 'The process is dead.')) }),
        }),
    };
    const first = await created({ source: dying });
    first.on(Paid, ({ id }, ctx) => apply(ctx, id));
    const applied = next(first, 'trouble');
    await first.start();
    await applied;
    await first.stop();
    expect(await server.effects()).toEqual(['a', 'b', 'c']);

    const second = await created({ source: topic.log.source() });
    second.on(Paid, ({ id }, ctx) => apply(ctx, id));
    await second.start();
    await second.whenCaughtUp();
    expect(await server.effects()).toEqual(['a', 'b', 'c']);
    expect(await second.status()).toMatchObject({ applied: 0, duplicates: 3 });
  });

  it('holds the lane of a message that fails, lets the others flow, and recovers', async () => {
    const topic = new TopicLog(2);
    const inbox = await created({ source: topic.log.source() });
    let broken = true;
    inbox.on(Paid, async ({ id }, ctx) => {
      await apply(ctx, id);
      if (broken && id === 'bad') throw new Error('not yet');
    });
    const held = next(inbox, 'held');
    await inbox.start();
    await topic.publish(0, ...['a', 'bad', 'c'].map((id) => recordOf(Paid, { id })));
    expect(await held).toMatchObject({ code: 'HANDLER_FAILED', partition: 0, offset: 1n, reason: 'not yet' });
    await topic.publish(1, ...['x', 'y'].map((id) => recordOf(Paid, { id })));
    await expect.poll(() => server.effects()).toEqual(['a', 'x', 'y']);
    expect((await inbox.status()).lanes[0]?.held?.attempts).toBeGreaterThan(0);
    broken = false;
    await inbox.whenCaughtUp();
    expect(await server.effects()).toEqual(['a', 'x', 'y', 'bad', 'c']);
  });

  it("does not take a handler's own unique-key violation for a duplicate", async () => {
    const topic = new TopicLog();
    const inbox = await created({ source: topic.log.source() });
    let once = 'same';
    inbox.on(Paid, async ({ id }, ctx) => {
      await ctx.connection.query('INSERT INTO effects (value, once) VALUES (?, ?)', [id, once]);
    });
    const held = next(inbox, 'held');
    await inbox.start();
    await topic.publish(0, recordOf(Paid, { id: 'a' }), recordOf(Paid, { id: 'b' }));
    expect(await held).toMatchObject({ code: 'HANDLER_FAILED', offset: 1n, reason: expect.stringContaining('Duplicate') });
    expect(await server.effects()).toEqual(['a']);
    once = 'another';
    await inbox.whenCaughtUp();
    expect(await server.effects()).toEqual(['a', 'b']);
  });

  it('lets tombstones and empty payloads pass, and events of others', async () => {
    const topic = new TopicLog();
    const seen: unknown[] = [];
    const inbox = await created({ source: topic.log.source() });
    inbox.on(Scanned, (page, ctx) => void seen.push([page, ctx.message.value]));
    await inbox.start();
    const empty = recordOf(Scanned, Buffer.alloc(0));
    await topic.publish(0, empty, { ...recordOf(Scanned, Buffer.alloc(1)), value: null }, recordOf(Placed, { id: 'x' }));
    await inbox.whenCaughtUp();
    expect(seen).toEqual([
      [Buffer.alloc(0), Buffer.alloc(0)],
      [null, null],
    ]);
    expect(await inbox.status()).toMatchObject({ applied: 2, skipped: 1 });
  });

  it('holds at a message that is not ours, or passes over it when told to', async () => {
    const topic = new TopicLog();
    const foreign = { key: null, value: Buffer.from('hello'), headers: [] };
    await topic.publish(0, recordOf(Paid, { id: 'a' }), foreign, recordOf(Paid, { id: 'b' }));
    const holding = await created({ source: topic.log.source() });
    holding.on(Paid, ({ id }, ctx) => apply(ctx, id));
    const held = next(holding, 'held');
    await holding.start();
    expect(await held).toMatchObject({ code: 'MESSAGE_FOREIGN', offset: 1n });
    await holding.stop();
    expect(await server.effects()).toEqual(['a']);

    const skipping = await created({ source: topic.log.source(), onUnknown: 'skip' });
    skipping.on(Paid, ({ id }, ctx) => apply(ctx, id));
    await skipping.start();
    await skipping.whenCaughtUp();
    expect(await server.effects()).toEqual(['a', 'b']);
    expect(await skipping.status()).toMatchObject({ skipped: 1 });
  });

  it('adds events in the transaction of the message', async () => {
    const outbox = createOutbox({ pool: server.pool });
    await outbox.migrate();
    const inbox = await created();
    let broken = true;
    inbox.on(Paid, async ({ id }, ctx) => {
      await apply(ctx, id);
      ctx.add(Charged, { id });
      if (broken) throw new Error('after add');
    });
    const message = pushed('a');
    await expect(inbox.process(message)).rejects.toMatchObject({ code: 'HANDLER_FAILED' });
    expect(await Promise.all(['effects', 'txbox_outbox', 'txbox_inbox'].map((table) => server.count(table)))).toEqual([0, 0, 0]);
    broken = false;
    expect(await inbox.process(message)).toBe('applied');
    expect(await inbox.process(message)).toBe('duplicate');
    expect(await Promise.all(['effects', 'txbox_outbox', 'txbox_inbox'].map((table) => server.count(table)))).toEqual([1, 1, 1]);
    await outbox.close();
  });

  describe('two consumers on one message at once', () => {
    const race = async (lockWaitS: number, handle: () => Promise<void>) => {
      const entered = Promise.withResolvers<void>();
      const leave = Promise.withResolvers<void>();
      const first = await created();
      first.on(Paid, async ({ id }, ctx) => {
        await apply(ctx, `${id} by first`);
        entered.resolve();
        await leave.promise;
        await handle();
      });
      const second = await created({ pool: server.otherPool(lockWaitS) });
      second.on(Paid, ({ id }, ctx) => apply(ctx, `${id} by second`));
      const message = pushed('a');
      const one = first.process(message);
      await entered.promise;
      const two = second.process(message);
      // The server's own picture is a tenth of a second old, and as old again with every look in between.
      await expect.poll(() => waiters(server), { interval: 250, timeout: 10_000 }).toBeGreaterThan(0);
      return { one, two, leave };
    };

    it('the second waits, and finds a duplicate after COMMIT', async () => {
      const { one, two, leave } = await race(20, async () => undefined);
      leave.resolve();
      expect(await Promise.all([one, two])).toEqual(['applied', 'duplicate']);
      expect(await server.effects()).toEqual(['a by first']);
    });

    it('the second waits, and applies it after a rollback', async () => {
      const { one, two, leave } = await race(20, async () => {
        throw new Error('no');
      });
      leave.resolve();
      await expect(one).rejects.toMatchObject({ code: 'HANDLER_FAILED' });
      expect(await two).toBe('applied');
      expect(await server.effects()).toEqual(['a by second']);
    });

    it('the second never takes for done what is still in progress', async () => {
      const { one, two, leave } = await race(1, async () => undefined);
      await expect(two).rejects.toMatchObject({ code: 'MESSAGE_IN_PROGRESS', retryable: true });
      leave.resolve();
      expect(await one).toBe('applied');
      expect(await server.effects()).toEqual(['a by first']);
    });
  });

  it('applies a batch after a deadlock that its handler swallowed, once and as a whole', async () => {
    const topic = new TopicLog();
    await topic.publish(0, ...['a', 'b', 'c'].map((id) => recordOf(Paid, { id })));
    await server.pool.query('CREATE TABLE stock (id INT PRIMARY KEY, amount INT NOT NULL) ENGINE=InnoDB');
    await server.pool.query('INSERT INTO stock VALUES (1, 0), (2, 0)');
    await server.pool.query('CREATE TABLE ballast (id INT AUTO_INCREMENT PRIMARY KEY, x INT) ENGINE=InnoDB');
    const other = await server.otherPool(20).getConnection();
    await other.beginTransaction();
    // The server rolls back who has changed less.
    await other.query(`INSERT INTO ballast (x) VALUES ${Array(500).fill('(1)').join(', ')}`);
    await other.query('UPDATE stock SET amount = amount + 1 WHERE id = 2');

    const inbox = await created({ source: topic.log.source() });
    const swallowed: unknown[] = [];
    let crossing: Promise<unknown> | undefined;
    inbox.on(Paid, async ({ id }, ctx) => {
      await apply(ctx, id);
      if (id !== 'b' || crossing) return;
      await ctx.connection.query('UPDATE stock SET amount = amount + 1 WHERE id = 1');
      const mine = ctx.connection.query('UPDATE stock SET amount = amount + 1 WHERE id = 2');
      crossing = other.query('UPDATE stock SET amount = amount + 1 WHERE id = 1');
      await mine.catch((error: { errno: number }) => swallowed.push(error.errno));
      await crossing;
      await other.commit();
      // The transaction is gone; sent now, this would commit by itself.
      await apply(ctx, 'ghost').catch((error: { code: string }) => swallowed.push(error.code));
    });
    await inbox.start();
    await inbox.whenCaughtUp();
    other.release();
    expect(swallowed).toEqual([1213, 'UNIT_DOOMED']);
    expect(await server.effects()).toEqual(['a', 'b', 'c']);
    expect(await server.count('txbox_inbox')).toBe(3);
  });

  it('calls no message processed whose handler committed half-way by itself, alone or in a batch', async () => {
    const { pool } = server;
    await pool.query('CREATE TABLE scratch (x INT)');
    await pool.query('CREATE PROCEDURE emptying() TRUNCATE scratch');
    const topic = new TopicLog();
    const inbox = await created({ source: topic.log.source() });
    let repaired = false;
    inbox.on(Paid, async ({ id }, ctx) => {
      await apply(ctx, `${id} begun`);
      if (id === 'b' && !repaired) await ctx.connection.query('CALL emptying()');
      await apply(ctx, `${id} done`);
    });
    await topic.publish(0, ...['a', 'b', 'c'].map((id) => recordOf(Paid, { id })));
    const held = next(inbox, 'held');
    await inbox.start();
    expect(await held).toMatchObject({ code: 'HANDLER_FAILED', reason: expect.stringContaining('half-way') });
    repaired = true;
    await inbox.whenCaughtUp();
    const effects = await server.effects();
    expect(effects.filter((value) => value.endsWith('done'))).toEqual(['a done', 'b done', 'c done']);
    expect(effects.filter((value) => value.startsWith('a'))).toEqual(['a begun', 'a done']);
    expect(await server.count('txbox_inbox')).toBe(3);

    // The same without a source.
    repaired = false;
    await expect(inbox.process(pushed('b'))).rejects.toMatchObject({
      code: 'HANDLER_FAILED',
      message: expect.stringContaining('half-way'),
    });
    repaired = true;
    const before = await server.effects();
    expect(await inbox.process(pushed('d'))).toBe('applied');
    expect(await server.effects()).toEqual([...before, 'd begun', 'd done']);
  });

  it('holds a message whose handler fails by a deadlock of another database, visibly', async () => {
    const topic = new TopicLog();
    const inbox = await created({ source: topic.log.source() });
    let elsewhere = true;
    inbox.on(Paid, async ({ id }, ctx) => {
      await apply(ctx, id);
      if (elsewhere) throw Object.assign(new Error('Deadlock found'), { errno: 1213 });
    });
    const held = next(inbox, 'held');
    await inbox.start();
    await topic.publish(0, recordOf(Paid, { id: 'a' }));
    expect(await held).toMatchObject({ code: 'HANDLER_FAILED', reason: 'Deadlock found' });
    elsewhere = false;
    await inbox.whenCaughtUp();
    expect(await server.effects()).toEqual(['a']);
  });

  it('lets what is processed for a consumer of your own commit within the grace of a stop, and no longer', async () => {
    for (const [graceMs, outcome] of [
      [10_000, 'applied'],
      [0, 'STOPPED'],
    ] as const) {
      const inbox = await created({ group: `grace ${graceMs}` });
      const begun = Promise.withResolvers<void>();
      const goOn = Promise.withResolvers<void>();
      inbox.on(Paid, async ({ id }, ctx) => {
        await apply(ctx, id);
        begun.resolve();
        await goOn.promise;
      });
      const processed = inbox.process(pushed(`grace ${graceMs}`)).catch((error: { code: string }) => error.code);
      await begun.promise;
      const stopped = inbox.stop({ graceMs });
      // A handler that goes on although it was told to end is left behind.
      if (graceMs === 0) await stopped;
      goOn.resolve();
      expect(await processed).toBe(outcome);
      await stopped;
      await expect(inbox.process(pushed('late'))).rejects.toMatchObject({ code: 'STOPPED' });
    }
    expect(await server.effects()).toEqual(['grace 10000']);
  });

  it('goes on when its connections are killed in mid-batch', async () => {
    const topic = new TopicLog();
    const pool = server.otherPool();
    const inbox = await created({ source: topic.log.source(), pool });
    let killed = false;
    inbox.on(Paid, async ({ id }, ctx) => {
      await apply(ctx, id);
      if (killed || id !== 'b') return;
      killed = true;
      await server.pool.query(`KILL ${ctx.connection.threadId}`);
      await ctx.connection.query('SELECT 1');
    });
    const trouble = next(inbox, 'trouble');
    await inbox.start();
    await topic.publish(0, ...['a', 'b', 'c'].map((id) => recordOf(Paid, { id })));
    await trouble;
    await inbox.whenCaughtUp();
    expect(await server.effects()).toEqual(['a', 'b', 'c']);
    const last = topic.log.readAll('orders').at(-1) as Delivery;
    expect((await inbox.status()).lanes).toMatchObject([{ checkpoint: last.offset, held: undefined }]);
  });

  it('says that the tables are missing', async () => {
    const topic = new TopicLog();
    const inbox = createInbox({ pool: server.pool, group: 'billing', source: topic.log.source() }).on(Paid, () => undefined);
    inboxes.push(inbox);
    await expect(inbox.start()).rejects.toMatchObject({ code: 'SCHEMA_MISSING' });
    await inbox.migrate();
    await inbox.start();
  });
});

/** How many transactions of this database wait for a lock of another. */
async function waiters(server: ConsumerServer): Promise<number> {
  const [rows] = await server.pool.query(
    'SELECT count(*) AS n FROM information_schema.innodb_trx t JOIN information_schema.processlist p ON p.id = t.trx_mysql_thread_id ' +
      "WHERE t.trx_state = 'LOCK WAIT' AND p.db = DATABASE()",
  );
  return Number((rows as { n: number }[])[0]?.n);
}
