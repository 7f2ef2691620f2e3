import { TxboxError } from '@txbox/core';
import type { Inbox } from '@txbox/inbox';
import { createInbox, type SqliteHandlerContext, type SqliteInboxOptions } from '@txbox/inbox/sqlite';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type ConsumerDatabase, consumerDatabase } from './fixture/consumer-database.ts';
import { again, deliveryOf, Paid, Placed } from './fixture/event.ts';
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
async function started(
  handle: (id: string, ctx: SqliteHandlerContext) => unknown,
  options: Partial<SqliteInboxOptions> = {},
): Promise<void> {
  inbox = createInbox({ database: consumer.database, group: 'billing', source, retry: { baseMs: 1, capMs: 2 }, ...options });
  inbox.on(Paid, ({ id }, ctx) => handle(id, ctx));
  await inbox.migrate();
  await inbox.start();
}

describe('a batch', () => {
  it('is applied in order, in one transaction, and check-pointed after it', async () => {
    await started((id) => consumer.apply(id));
    const applied = nextOf(inbox, 'applied');
    const deliveries = ['a', 'b', 'c'].map((id) => deliveryOf(Paid, { id }));
    const rememberedAt: number[] = [];
    source.beforeCheckpoint = () => {
      expect(consumer.database.inTransaction).toBe(false);
      rememberedAt.push(consumer.remembered());
    };
    const batch = source.hand(deliveries);
    await batch.ended;
    expect(consumer.effects()).toEqual(['a', 'b', 'c']);
    expect(rememberedAt).toEqual([3]);
    expect(batch.checkpoints).toEqual([deliveries[2]?.offset]);
    expect(await applied).toMatchObject({ topic: 'orders', partition: 0, applied: 3, duplicates: 0, skipped: 0 });
  });

  it('applies repeats within it once', async () => {
    await started((id) => consumer.apply(id));
    const applied = nextOf(inbox, 'applied');
    const [a, b] = [deliveryOf(Paid, { id: 'a' }), deliveryOf(Paid, { id: 'b' })];
    const last = again(a);
    const batch = source.hand([a, again(a), b, again(a), again(b), last]);
    await batch.ended;
    expect(consumer.effects()).toEqual(['a', 'b']);
    expect(await applied).toMatchObject({ applied: 2, duplicates: 4 });
    expect(batch.checkpoints).toHaveLength(1);
  });

  it('applies what is new among duplicates of earlier ones, in order', async () => {
    await started((id) => consumer.apply(id));
    const [a, b] = [deliveryOf(Paid, { id: 'a' }), deliveryOf(Paid, { id: 'b' })];
    await source.hand([a, b]).ended;
    const applied = nextOf(inbox, 'applied');
    const [c, d] = [deliveryOf(Paid, { id: 'c' }), deliveryOf(Paid, { id: 'd' })];
    const batch = source.hand([again(b), c, again(a), d]);
    await batch.ended;
    expect(consumer.effects()).toEqual(['a', 'b', 'c', 'd']);
    expect(await applied).toMatchObject({ applied: 2, duplicates: 2 });
    expect(batch.checkpoints).toEqual([d.offset]);
  });

  it('passes over events without a handler here', async () => {
    await started((id) => consumer.apply(id));
    const applied = nextOf(inbox, 'applied');
    const [placed, a, last] = [deliveryOf(Placed, { id: 'x' }), deliveryOf(Paid, { id: 'a' }), deliveryOf(Placed, { id: 'y' })];
    const batch = source.hand([placed, a, last]);
    await batch.ended;
    expect(await applied).toMatchObject({ applied: 1, skipped: 2 });
    expect(batch.checkpoints).toEqual([last.offset]);
    const nothing = deliveryOf(Placed, { id: 'z' });
    const second = source.hand([nothing]);
    await second.ended;
    expect(second.checkpoints).toEqual([nothing.offset]);
    expect(await inbox.status()).toMatchObject({ applied: 1, skipped: 3 });
  });
});

describe('a handler that throws', () => {
  it('holds its lane at its message, in order and visibly, while others flow, and recovers', async () => {
    let broken = true;
    await started(
      (id, ctx) => {
        consumer.apply(id);
        if (broken && id === 'bad') throw new Error(`no money, try ${ctx.attempt}`);
      },
      { retry: { baseMs: 1, capMs: 1 } },
    );
    const deliveries = ['a', 'bad', 'c'].map((id) => deliveryOf(Paid, { id }));
    const released = nextOf(inbox, 'released');
    const batch = source.hand(deliveries);
    let held = await nextOf(inbox, 'held');
    while (held.attempts < 3) held = await nextOf(inbox, 'held');
    expect(held).toMatchObject({
      topic: 'orders',
      partition: 0,
      offset: deliveries[1]?.offset,
      type: 'order.paid',
      code: 'HANDLER_FAILED',
      reason: 'no money, try 3',
    });
    expect(consumer.effects()).toEqual(['a']);
    expect(batch.checkpoints).toEqual([deliveries[0]?.offset]);
    expect((await inbox.status()).lanes).toMatchObject([{ topic: 'orders', partition: 0, held: { code: 'HANDLER_FAILED' } }]);

    await source.hand([deliveryOf(Paid, { id: 'elsewhere' }, { partition: 1 })]).ended;
    expect(consumer.effects()).toEqual(['a', 'elsewhere']);

    broken = false;
    await batch.ended;
    await released;
    expect(consumer.effects()).toEqual(['a', 'elsewhere', 'bad', 'c']);
    expect(batch.checkpoints.at(-1)).toBe(deliveries[2]?.offset);
    expect((await inbox.status()).lanes).toMatchObject([{ held: undefined }, { held: undefined }]);
  });

  it('keeps telling the broker that it is alive, also during its back-off', async () => {
    await started(
      () => {
        throw new Error('never');
      },
      { retry: { baseMs: 60_000, capMs: 60_000 } },
    );
    const batch = source.hand([deliveryOf(Paid, { id: 'bad' })]);
    await nextOf(inbox, 'held');
    await expect.poll(() => batch.heartbeats()).toBeGreaterThan(2);
    await inbox.stop();
    await batch.ended;
    expect(batch.checkpoints).toEqual([]);
  });

  it('does not count a unique-key violation of its own as duplicate', async () => {
    let unique = false;
    await started((id) => {
      if (id !== 'bad' || unique) return consumer.apply(id);
      consumer.database.prepare("INSERT INTO effects (value, once) VALUES ('x', 'one'), ('y', 'one')").run();
    });
    const batch = source.hand(['a', 'bad', 'c'].map((id) => deliveryOf(Paid, { id })));
    expect(await nextOf(inbox, 'held')).toMatchObject({ code: 'HANDLER_FAILED', reason: expect.stringContaining('UNIQUE') });
    unique = true;
    await batch.ended;
    expect(consumer.effects()).toEqual(['a', 'bad', 'c']);
    expect((await inbox.status()).duplicates).toBe(0);
  });
});

describe('an unreadable message', () => {
  it('holds its lane with a code, behind what came before it', async () => {
    await started((id) => consumer.apply(id));
    const a = deliveryOf(Paid, { id: 'a' });
    const foreign = deliveryOf(Paid, { id: 'x' }, { headers: [['traceparent', Buffer.from('other')]] });
    const batch = source.hand([a, foreign, deliveryOf(Paid, { id: 'c' })]);
    expect(await nextOf(inbox, 'held')).toMatchObject({ code: 'MESSAGE_FOREIGN', offset: foreign.offset, messageId: undefined });
    expect(consumer.effects()).toEqual(['a']);
    expect(batch.checkpoints).toEqual([a.offset]);
    await inbox.stop();
    await batch.ended;
    expect(batch.checkpoints).toEqual([a.offset]);
  });

  it('is passed over when told to, and said', async () => {
    await started((id) => consumer.apply(id), { onUnknown: 'skip' });
    const unreadable = nextOf(inbox, 'unreadable');
    const damaged = deliveryOf(Paid, { id: 'x' }, { value: Buffer.from('{') });
    const last = deliveryOf(Paid, { id: 'c' });
    const batch = source.hand([deliveryOf(Paid, { id: 'a' }), damaged, last]);
    await batch.ended;
    expect(await unreadable).toMatchObject({ offset: damaged.offset, error: { code: 'PAYLOAD_NOT_DECODABLE' } });
    expect(consumer.effects()).toEqual(['a', 'c']);
    expect(batch.checkpoints).toEqual([last.offset]);
  });
});

describe('between COMMIT and checkpoint', () => {
  it('a failure leads to a second delivery, which changes nothing', async () => {
    await started((id) => consumer.apply(id));
    const deliveries = ['a', 'b'].map((id) => deliveryOf(Paid, { id }));
    source.beforeCheckpoint = () => {
      throw new TxboxError('BROKER_UNAVAILABLE', 'The broker went away.');
    };
    await expect(source.hand(deliveries).ended).rejects.toMatchObject({ code: 'BROKER_UNAVAILABLE' });
    expect(consumer.effects()).toEqual(['a', 'b']);
    source.beforeCheckpoint = () => undefined;
    const second = source.hand(deliveries);
    await second.ended;
    expect(consumer.effects()).toEqual(['a', 'b']);
    expect(second.checkpoints).toEqual([deliveries[1]?.offset]);
    expect((await inbox.status()).duplicates).toBe(2);
  });

  it('a loss of the lane ends the batch quietly', async () => {
    await started((id) => consumer.apply(id));
    source.beforeCheckpoint = () => {
      throw new TxboxError('ASSIGNMENT_LOST', 'Somebody else has the lane.');
    };
    const batch = source.hand([deliveryOf(Paid, { id: 'a' })]);
    await batch.ended;
    expect(batch.checkpoints).toEqual([]);
    expect(consumer.effects()).toEqual(['a']);
  });
});

describe('a lost lane', () => {
  it('ends the batch before its next handler and leaves no trace of it', async () => {
    const first = gate();
    const handled: string[] = [];
    await started(async (id, ctx) => {
      handled.push(id);
      consumer.apply(id);
      await first.pass();
      expect(ctx.signal.aborted).toBe(true);
    });
    const batch = source.hand(['a', 'b'].map((id) => deliveryOf(Paid, { id })));
    await first.reached;
    batch.lose();
    first.open();
    await batch.ended;
    expect(handled).toEqual(['a']);
    expect(consumer.effects()).toEqual([]);
    expect(consumer.remembered()).toBe(0);
  });

  it('is noticed by a heartbeat too', async () => {
    await started(
      () => {
        throw new Error('never');
      },
      { retry: { baseMs: 60_000, capMs: 60_000 } },
    );
    const batch = source.hand([deliveryOf(Paid, { id: 'bad' })]);
    await nextOf(inbox, 'held');
    batch.lose();
    await batch.ended;
    expect(batch.checkpoints).toEqual([]);
  });
});

describe('stop', () => {
  it('lets a running batch commit and check-point, and begins nothing', async () => {
    const first = gate();
    await started(async (id) => {
      consumer.apply(id);
      await first.pass();
    });
    const deliveries = ['a', 'b'].map((id) => deliveryOf(Paid, { id }));
    const batch = source.hand(deliveries);
    await first.reached;
    const stopped = inbox.stop();
    first.open();
    await stopped;
    expect(consumer.effects()).toEqual(['a', 'b']);
    expect(batch.checkpoints).toEqual([deliveries[1]?.offset]);
    expect(source.closed).toBe(1);
  });

  it('rolls back what has not ended within the grace', async () => {
    const first = gate();
    await started(async (id, ctx) => {
      consumer.apply(id);
      await Promise.race([first.pass(), new Promise((resolve) => ctx.signal.addEventListener('abort', resolve))]);
      ctx.signal.throwIfAborted();
    });
    const batch = source.hand(['a', 'b'].map((id) => deliveryOf(Paid, { id })));
    await first.reached;
    await inbox.stop({ graceMs: 0 });
    await batch.ended;
    expect(consumer.effects()).toEqual([]);
    expect(batch.checkpoints).toEqual([]);
  });

  it('does not wait for ever for a handler that ignores its signal', async () => {
    const first = gate();
    await started(async (id) => {
      consumer.apply(id);
      await first.pass();
    });
    const batch = source.hand([deliveryOf(Paid, { id: 'a' })]);
    await first.reached;
    await inbox.stop({ graceMs: 0 });
    await batch.ended;
    expect(batch.checkpoints).toEqual([]);
    first.open();
    // What was left behind is rolled back as a whole when it ends.
    await expect.poll(() => consumer.database.inTransaction).toBe(false);
    expect(consumer.effects()).toEqual([]);
    expect(consumer.remembered()).toBe(0);
  });
});
