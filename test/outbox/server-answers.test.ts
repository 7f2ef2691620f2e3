import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { LANES, Placed, type Service, startService } from './lane.ts';
import { WireTap } from './wire-tap.ts';

/**
 * Answers that servers give under settings and in clusters that no test server has: a proxy sends what the server would
 * have done by itself, and answers as it would.
 */
describe.each(LANES)('answers of a server to %s', (_name, server, typeorm) => {
  let tap: WireTap;
  let service: Service;
  async function start(outbox: object): Promise<Service> {
    const started = await startService(server, typeorm, {
      outbox: { wake: false, ...outbox },
      url: async (url) => {
        tap = await WireTap.start(url);
        return tap.urlOf(url);
      },
    });
    await started.outbox.transaction(async (tx) => void tx.add(Placed, { id: 'first' }));
    await started.database.clear();
    return started;
  }
  async function stop(): Promise<void> {
    await service.close();
    await tap[Symbol.asyncDispose]();
  }
  const committed = async (): Promise<[string[], string[]]> => [await service.database.orders(), await service.database.events()];

  describe('with settings as they come', () => {
    beforeAll(async () => {
      service = await start({});
    });
    afterAll(stop);
    beforeEach(() => service.database.clear());

    /** 1317: interrupted; 1105: unknown error; 1180: got an error during COMMIT. */
    it.each([1317, 1105, 1180])('an error %i at COMMIT does not say what became of it, so the outcome is unknown', async (errno) => {
      const { outbox, orders } = service;
      for (const instead of [undefined, 'ROLLBACK']) {
        tap.lieAt({ text: 'COMMIT', errno, ...(instead && { instead }) });
        const attempts: number[] = [];
        await expect(
          outbox.transaction({ retry: { maxAttempts: 3 } }, async (tx) => {
            attempts.push(tx.attempt);
            await orders.insert({ id: 'a', amount: 1 });
            tx.add(Placed, { id: 'a' });
          }),
        ).rejects.toMatchObject({ code: 'OUTCOME_UNKNOWN', retryable: false });
        expect(attempts).toEqual([1]);
        expect(await committed()).toEqual(instead ? [[], []] : [['a'], ['a']]);
        await service.database.clear();
      }
    });

    it('a deadlock at COMMIT, as clusters report it, is a rollback, and may run again', async () => {
      const { outbox, orders } = service;
      const attempts: number[] = [];
      const run = (maxAttempts: number): Promise<void> =>
        outbox.transaction({ retry: { maxAttempts } }, async (tx) => {
          attempts.push(tx.attempt);
          await orders.insert({ id: 'a', amount: 1 });
          tx.add(Placed, { id: `attempt${tx.attempt}` });
        });
      tap.lieAt({ text: 'COMMIT', instead: 'ROLLBACK', errno: 1213 });
      await expect(run(1)).rejects.toMatchObject({ errno: 1213 });
      expect(await committed()).toEqual([[], []]);
      tap.lieAt({ text: 'COMMIT', instead: 'ROLLBACK', errno: 1213 });
      await run(3);
      expect(attempts).toEqual([1, 1, 2]);
      expect(await committed()).toEqual([['a'], ['attempt2']]);
    });

    it('a refused NOWAIT that rolled everything back (innodb_rollback_on_timeout) dooms', async () => {
      const { outbox, orders } = service;
      tap.lieAt({ text: 'SELECT * FROM orders FOR UPDATE NOWAIT', instead: 'ROLLBACK', errno: 1205 });
      await expect(
        outbox.transaction(async (tx) => {
          await orders.insert({ id: 'a', amount: 1 });
          tx.add(Placed, { id: 'ghost' });
          await tx.manager.query('SELECT * FROM orders FOR UPDATE NOWAIT').catch(() => undefined);
          await expect(orders.insert({ id: 'late', amount: 1 })).rejects.toMatchObject({ code: 'UNIT_DOOMED' });
        }),
      ).rejects.toMatchObject({ code: 'UNIT_DOOMED', message: expect.stringContaining('rolled back everything') });
      expect(await committed()).toEqual([[], []]);
    });
  });

  describe("with onLockTimeout: 'continue'", () => {
    beforeAll(async () => {
      service = await start({ onLockTimeout: 'continue' });
    });
    afterAll(stop);
    beforeEach(() => service.database.clear());

    it('a lock time-out that rolled everything back (innodb_rollback_on_timeout) dooms all the same', async () => {
      const { outbox, orders } = service;
      tap.lieAt({ text: 'UPDATE orders', instead: 'ROLLBACK', errno: 1205 });
      await expect(
        outbox.transaction(async (tx) => {
          await orders.insert({ id: 'a', amount: 1 });
          tx.add(Placed, { id: 'ghost' });
          const outcomes = await Promise.allSettled([
            tx.manager.query('UPDATE orders SET amount = 2'),
            tx.manager.query("INSERT INTO orders VALUES ('queued', 1)"),
          ]);
          expect(outcomes.map((outcome) => (outcome as PromiseRejectedResult).reason.code)).toEqual([
            'ER_LOCK_WAIT_TIMEOUT',
            'UNIT_DOOMED',
          ]);
        }),
      ).rejects.toMatchObject({ code: 'UNIT_DOOMED', message: expect.stringContaining('rolled back everything') });
      expect(await committed()).toEqual([[], []]);
    });
  });
});

describe.each(LANES.filter(([name]) => name.startsWith('TypeORM 1')))(
  'an isolation level of the whole DataSource with %s',
  (_name, server, typeorm) => {
    it('is the level of its transactions, which an inner one may not exceed', async () => {
      const service = await startService(server, typeorm, { dataSource: { isolationLevel: 'READ COMMITTED' } });
      const { outbox, orders, database } = service;
      try {
        await outbox.transaction(async (tx) => {
          expect(await orders.count()).toBe(0);
          await database.admin.query("INSERT INTO orders VALUES ('between', 0)");
          expect(await orders.count()).toBe(1);
          await expect(outbox.transaction({ isolationLevel: 'REPEATABLE READ' }, async () => undefined)).rejects.toMatchObject({
            code: 'ISOLATION_TOO_WEAK',
          });
          await outbox.transaction({ isolationLevel: 'READ COMMITTED' }, async () => undefined);
          tx.add(Placed, { id: 'a' });
        });
        expect(await database.events()).toEqual(['a']);
      } finally {
        await service.close();
      }
    });
  },
);
