// findOne with each of TypeORM's lock modes by a plain repository inside a transaction, on a locked row and on a free one.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Connection, RowDataPacket } from 'mysql2/promise';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { LANES, type Order, Placed, type Service, startService } from './lane.ts';

/** What becomes of the read where somebody else has the row: it waits, finds nothing, finds the row all the same, or fails with that. */
type OnLocked = 'waits' | 'finds nothing' | 'finds the row' | `ER_${string}` | 'LockNotSupportedOnGivenDriverError';
/** Whom the read keeps from the row. */
type Keeps = 'nobody' | 'writers' | 'everybody';
/** On MariaDB, on MySQL since 8, on MySQL 5.7. */
type PerServer<T> = readonly [mariadb: T, mysql: T, mysql57: T];
type LockMode = readonly [mode: string, onLocked: string, locked: PerServer<OnLocked>, keeps: PerServer<Keeps>];

const same = <T>(value: T): PerServer<T> => [value, value, value];
const unlessOld = <T>(value: T, old: T): PerServer<T> => [value, value, old];
const NO_WAIT: PerServer<OnLocked> = ['ER_LOCK_WAIT_TIMEOUT', 'ER_LOCK_NOWAIT', 'ER_PARSE_ERROR'];

const LOCK_MODES: readonly LockMode[] = [
  ['pessimistic_read', 'waiting', same('waits'), same('writers')],
  // TypeORM leaves the rest out where the server has it for other locks only.
  ['pessimistic_read', 'nowait', ['waits', 'ER_LOCK_NOWAIT', 'waits'], same('writers')],
  ['pessimistic_read', 'skip_locked', ['waits', 'finds nothing', 'waits'], same('writers')],
  ['pessimistic_write', 'waiting', same('waits'), same('everybody')],
  ['pessimistic_write', 'nowait', NO_WAIT, unlessOld('everybody', 'nobody')],
  ['pessimistic_write', 'skip_locked', unlessOld('finds nothing', 'ER_PARSE_ERROR'), unlessOld('everybody', 'nobody')],
  ['dirty_read', 'waiting', same('finds the row'), same('nobody')],
  ['for_no_key_update', 'waiting', same('LockNotSupportedOnGivenDriverError'), same('nobody')],
  ['for_key_share', 'waiting', same('LockNotSupportedOnGivenDriverError'), same('nobody')],
];
/** Modes that TypeORM 1 has no more. */
const OLD_LOCK_MODES: readonly LockMode[] = [
  ['pessimistic_partial_write', 'waiting', unlessOld('finds nothing', 'ER_PARSE_ERROR'), unlessOld('everybody', 'nobody')],
  ['pessimistic_write_or_fail', 'waiting', NO_WAIT, unlessOld('everybody', 'nobody')],
];

/** Orders, plain and with the amount as their version. */
function entitiesOf({ EntitySchema }: (typeof LANES)[number][2]): unknown[] {
  return ['Order', 'Counted'].map(
    (name) =>
      new EntitySchema<Order>({
        name,
        tableName: 'orders',
        columns: { id: { type: 'varchar', length: 64, primary: true }, amount: { type: 'int', version: name === 'Counted' } },
      }),
  );
}

/**
 * Whether a connection waits for a lock of somebody else now. Not information_schema.innodb_trx, which may be 100 ms old; the
 * monitor lists transactions that have written something.
 */
async function isWaiting(admin: Connection, threadId: number, isOld: boolean): Promise<boolean> {
  if (isOld) {
    const [[monitor]] = await admin.query<RowDataPacket[]>('SHOW ENGINE INNODB STATUS');
    const transactions = String(monitor?.['Status']).split('---TRANSACTION');
    return transactions.some((text) => text.includes('LOCK WAIT') && text.includes(`thread id ${threadId},`));
  }
  const [waits] = await admin.query<RowDataPacket[]>(
    'SELECT 1 FROM performance_schema.data_lock_waits w JOIN performance_schema.threads t ON t.thread_id = w.requesting_thread_id WHERE t.processlist_id = ?',
    [threadId],
  );
  return waits.length > 0;
}

const KEEPS: Readonly<Record<string, Keeps>> = { 'answered,answered': 'nobody', 'answered,waits': 'writers', 'waits,waits': 'everybody' };

describe.each(LANES)('%s', (name, server, typeorm) => {
  const mariadb = server[0].startsWith('MariaDB');
  const column = mariadb ? 0 : server[0] === 'MySQL 5.7' ? 2 : 1;
  const modes = name.startsWith('TypeORM 1') ? LOCK_MODES : [...LOCK_MODES, ...OLD_LOCK_MODES];

  let service: Service;
  let other: Connection;
  beforeAll(async () => {
    service = await startService(server, typeorm, { dataSource: { type: mariadb ? 'mariadb' : 'mysql', entities: entitiesOf(typeorm) } });
    other = await service.database.connect();
  });
  afterAll(async () => {
    await other?.end();
    await service?.close();
  });
  beforeEach(async () => {
    // Of a test that failed.
    await other.query('ROLLBACK');
    await service.database.clear();
    await service.orders.insert({ id: 'a', amount: 1 });
  });

  /** Whether the query is answered, or waits for a lock of somebody else. */
  async function answeredOrWaits(threadId: number, query: Promise<unknown>): Promise<'answered' | 'waits'> {
    let answered = false;
    const settle = (): void => {
      answered = true;
    };
    query.then(settle, settle);
    while (!answered) {
      if (await isWaiting(service.database.admin, threadId, column !== 1)) return 'waits';
      await sleep(5);
    }
    return 'answered';
  }

  const read = (mode: string, onLocked: string): Promise<Order | null> =>
    service.orders.findOne({ where: { id: 'a' }, lock: { mode, ...(onLocked !== 'waiting' && { onLocked }) } as never });

  it.each(modes)('%s, %s, of a row that somebody else has', async (mode, onLocked, locked) => {
    const { outbox, orders, database, dataSource } = service;
    await other.query('START TRANSACTION');
    await other.query("SELECT id FROM orders WHERE id = 'a' FOR UPDATE");
    let outcome: string | undefined;
    await outbox.transaction(async (tx) => {
      const [{ id }] = (await dataSource.query('SELECT CONNECTION_ID() AS id')) as [{ id: string }];
      await orders.insert({ id: 'b', amount: 1 });
      const reading = read(mode, onLocked).then(
        (row) => (row ? 'finds the row' : 'finds nothing'),
        (error: { code?: string; name: string }) => error.code ?? error.name,
      );
      const first = await answeredOrWaits(Number(id), reading);
      await other.query('COMMIT');
      outcome = first === 'waits' ? first : await reading;
      expect(await reading).toBe(first === 'waits' ? 'finds the row' : outcome);
      // What failed was undone by itself, and the transaction goes on.
      await orders.insert({ id: 'c', amount: 1 });
      tx.add(Placed, { id: 'b' });
    });
    expect(outcome).toBe(locked[column]);
    expect([await database.orders(), await database.events()]).toEqual([['a', 'b', 'c'], ['b']]);
  });

  it.each(modes)('%s, %s, of a free row', async (mode, onLocked, _locked, keeps) => {
    const { outbox } = service;
    const [[{ id }]] = (await other.query('SELECT CONNECTION_ID() AS id')) as unknown as [[{ id: number }]];
    const attempts: string[] = [];
    for (const lock of ['LOCK IN SHARE MODE', 'FOR UPDATE']) {
      await other.query('START TRANSACTION');
      await other.query("INSERT INTO orders VALUES ('other', 1)");
      let attempt: Promise<unknown> | undefined;
      await outbox.transaction(async () => {
        await read(mode, onLocked).catch(() => undefined);
        attempt = other.query(`SELECT id FROM orders WHERE id = 'a' ${lock}`);
        attempts.push(await answeredOrWaits(id, attempt));
      });
      await attempt;
      await other.query('ROLLBACK');
    }
    expect(KEEPS[attempts.join()]).toBe(keeps[column]);
  });

  it('optimistic, which is a comparison and no lock', async () => {
    const { outbox, dataSource, database } = service;
    const { OptimisticLockVersionMismatchError } = typeorm;
    await outbox.transaction(async (tx) => {
      const rows = dataSource.getRepository<Order>('Counted');
      await rows.update({ id: 'a' }, { amount: 3 });
      const at = (version: number) => rows.findOne({ where: { id: 'a' }, lock: { mode: 'optimistic', version } });
      expect(await at(3)).toMatchObject({ amount: 3 });
      await expect(at(2)).rejects.toBeInstanceOf(OptimisticLockVersionMismatchError);
      tx.add(Placed, { id: 'a' });
    });
    expect(await database.events()).toEqual(['a']);
  });

  it.each(['pessimistic_read', 'pessimistic_write'])(
    '%s needs a transaction, which a plain repository has inside one only',
    async (mode) => {
      const { outbox, orders } = service;
      const needed = expect.objectContaining({ name: 'PessimisticLockTransactionRequiredError' });
      await expect(read(mode, 'waiting')).rejects.toEqual(needed);
      await outbox.transaction(async () => {
        await expect(outbox.outside(() => read(mode, 'waiting'))).rejects.toEqual(needed);
        expect(await read(mode, 'waiting')).toMatchObject({ id: 'a' });
        expect(
          await orders
            .createQueryBuilder('o')
            .setLock(mode as 'pessimistic_read')
            .getCount(),
        ).toBe(1);
      });
    },
  );
});
