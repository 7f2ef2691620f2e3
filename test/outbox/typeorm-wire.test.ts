import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { LANES, Placed, type Service, startService, untilWaiting } from './lane.ts';
import { WireTap } from './wire-tap.ts';

describe.each(LANES)('on the wire, with %s', (_name, server, typeorm) => {
  let tap: WireTap;
  let service: Service;
  beforeAll(async () => {
    service = await startService(server, typeorm, {
      outbox: { wake: false },
      url: async (url) => {
        tap = await WireTap.start(url);
        return tap.urlOf(url);
      },
    });
    // The first event of a process looks at the schema.
    await service.outbox.transaction(async (tx) => void tx.add(Placed, { id: 'first' }));
  });
  afterAll(async () => {
    await service.close();
    await tap[Symbol.asyncDispose]();
  });
  beforeEach(async () => {
    await service.database.clear();
    tap.statements.length = 0;
  });

  const short = (sql: string): string => /^\w+(?: (?:INTO|TRANSACTION) ?\w*)?/.exec(sql.replaceAll('`', ''))?.[0] ?? sql;

  it.each([1, 10, 500])('a transaction of %i events has one statement more than without, the last before COMMIT', async (count) => {
    const { outbox, orders } = service;
    await outbox.transaction(async (tx) => {
      for (let n = 0; n < count; n += 1) tx.add(Placed, { id: `e${n}` });
      await orders.insert({ id: 'a', amount: 1 });
    });
    expect(tap.statements.map(short)).toEqual(['START TRANSACTION', 'INSERT INTO orders', 'INSERT INTO txbox_outbox', 'COMMIT']);
  });

  it('a transaction without events has none more', async () => {
    const { outbox, orders } = service;
    await outbox.transaction(() => orders.insert({ id: 'a', amount: 1 }));
    expect(tap.statements.map(short)).toEqual(['START TRANSACTION', 'INSERT INTO orders', 'COMMIT']);
  });

  it('positions follow the lock of the aggregate, whoever began first', async () => {
    const { outbox, database } = service;
    await database.admin.query("INSERT INTO orders VALUES ('a', 0)");
    const lock = "UPDATE orders SET amount = amount + 1 WHERE id = 'a'";
    const second = Promise.withResolvers<void>();
    let waiting: Promise<void> | undefined;
    await outbox.transaction(async (tx) => {
      await tx.manager.query(lock);
      waiting = outbox.outside(() =>
        outbox.transaction(async (other) => {
          const [{ id }] = (await other.manager.query('SELECT CONNECTION_ID() AS id')) as [{ id: number }];
          // Its event is added long before that of the one which has the lock.
          other.add(Placed, { id: 'second' });
          void untilWaiting(database.admin, id).then(second.resolve);
          await other.manager.query(lock);
        }),
      );
      await second.promise;
      tx.add(Placed, { id: 'first' });
    });
    await waiting;
    expect(await database.events()).toEqual(['first', 'second']);
  });

  it('nothing of a rolled back transaction but its own statements', async () => {
    const { outbox, orders } = service;
    await expect(
      outbox.transaction(async (tx) => {
        tx.add(Placed, { id: 'a' });
        await orders.insert({ id: 'a', amount: 1 });
        throw new Error('declined');
      }),
    ).rejects.toThrow('declined');
    expect(tap.statements.map(short)).toEqual(['START TRANSACTION', 'INSERT INTO orders', 'ROLLBACK']);
  });

  describe('when the connection is lost', () => {
    it.each([
      ['statement', [], []],
      ['answer', ['a'], ['a']],
    ] as const)('with the %s of COMMIT, the outcome is called unknown', async (lose, orders, events) => {
      const { outbox, database } = service;
      tap.cutAt({ text: 'COMMIT', lose });
      let after = 0;
      await expect(
        outbox.transaction(async (tx) => {
          await tx.manager.insert('Order', { id: 'a', amount: 1 });
          tx.add(Placed, { id: 'a' });
          tx.afterCommit(() => {
            after += 1;
          });
        }),
      ).rejects.toMatchObject({ code: 'OUTCOME_UNKNOWN', retryable: false });
      expect(after).toBe(0);
      // What really happened is the server's secret; here it is known.
      await expect.poll(() => database.orders()).toEqual(orders);
      expect(await database.events()).toEqual(events);
    });

    it('an unknown outcome is not run again', async () => {
      const { outbox } = service;
      tap.cutAt({ text: 'COMMIT', lose: 'answer' });
      const attempts: number[] = [];
      await expect(
        outbox.transaction({ retry: { maxAttempts: 3 } }, async (tx) => {
          attempts.push(tx.attempt);
          tx.add(Placed, { id: 'a' });
        }),
      ).rejects.toMatchObject({ code: 'OUTCOME_UNKNOWN' });
      expect(attempts).toEqual([1]);
    });

    it.each(['statement', 'answer'] as const)('with the %s of the INSERT of the events, everything is rolled back', async (lose) => {
      const { outbox, database } = service;
      tap.cutAt({ text: 'INSERT INTO `txbox_outbox`', lose });
      await expect(
        outbox.transaction(async (tx) => {
          await tx.manager.insert('Order', { id: 'a', amount: 1 });
          tx.add(Placed, { id: 'a' });
        }),
      ).rejects.toMatchObject({ code: expect.stringMatching(/^(UNIT_DOOMED|PROTOCOL_CONNECTION_LOST|ECONNRESET|EPIPE)$/) });
      expect([await database.orders(), await database.events()]).toEqual([[], []]);
    });

    it('at BEGIN, the database is called unavailable', async () => {
      const { outbox } = service;
      tap.cutAt({ text: 'START TRANSACTION', lose: 'statement' });
      await expect(outbox.transaction(async () => undefined)).rejects.toMatchObject({ code: 'DATABASE_UNAVAILABLE', retryable: true });
      await outbox.transaction(async () => undefined);
    });

    it('with all the idle ones, the next transaction finds a new one', async () => {
      const { outbox, orders, database } = service;
      tap.cut();
      await expect
        .poll(() => outbox.transaction(async () => void (await orders.insert({ id: 'a', amount: 1 }))).then(() => 'ok', String))
        .toBe('ok');
      expect(await database.orders()).toEqual(['a']);
    });
  });
});
