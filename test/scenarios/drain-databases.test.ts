// expectAdded and drain on the outbox tables of real databases, with pools of one connection.
import { randomBytes } from 'node:crypto';
import { defineEvent, type PayloadOf } from '@txbox/core';
import { Handles } from '@txbox/inbox';
import { createInbox as createTypeormInbox, type TypeormHandlerContext } from '@txbox/inbox/typeorm';
import { createOutbox as createMysql2Outbox } from '@txbox/outbox/mysql2';
import { createOutbox as createSqliteOutbox } from '@txbox/outbox/sqlite';
import { createOutbox as createTypeormOutbox } from '@txbox/outbox/typeorm';
import { addedEvents, clearAdded, drain, expectAdded, expectNotAdded } from '@txbox/testing';
import Database from 'better-sqlite3';
import { createConnection, createPool, type PoolConnection } from 'mysql2/promise';
import { DataSource, type EntityManager } from 'typeorm';
import { describe, expect, it, onTestFinished } from 'vitest';
import { backendUrl } from '../conformance/backend-url.ts';

const Paid = defineEvent('order.paid', { topic: 'orders', key: (order: { id: string; amount: number }) => order.id });
const Invoiced = defineEvent('order.invoiced', { topic: 'invoices', key: (invoice: { id: string }) => invoice.id });

const TABLES = ['CREATE TABLE orders (id VARCHAR(64) PRIMARY KEY)', 'CREATE TABLE invoices (id VARCHAR(64) PRIMARY KEY, amount INT)'];

/** Writes an invoice by whatever the context has, and adds an event about it. */
class Billing {
  failures = 0;
  readonly attempts: number[] = [];
  readonly #insert: (ctx: never, id: string, amount: number) => unknown;

  constructor(insert: (ctx: never, id: string, amount: number) => unknown) {
    this.#insert = insert;
  }

  @Handles(Paid)
  async invoice({ id, amount }: PayloadOf<typeof Paid>, ctx: TypeormHandlerContext): Promise<void> {
    this.attempts.push(ctx.attempt);
    await this.#insert(ctx as never, id, amount);
    ctx.add(Invoiced, { id });
    if (this.failures-- > 0) throw new RangeError('no paper');
  }
}

const INSERT = 'INSERT INTO invoices VALUES (?, ?)';

async function emptyDatabase(variable: string, service: string): Promise<string> {
  const url = new URL(backendUrl(variable, service).replace(/^mariadb:/, 'mysql:'));
  const name = `txbox_drain_${randomBytes(6).toString('hex')}`;
  const admin = await createConnection(url.href);
  await admin.query(`CREATE DATABASE ${name}`);
  onTestFinished(async () => {
    await admin.query(`DROP DATABASE ${name}`);
    await admin.end();
  });
  url.pathname = `/${name}`;
  return url.href;
}

async function typeormOn(variable: string, service: string): Promise<DataSource> {
  const url = await emptyDatabase(variable, service);
  const dataSource = await new DataSource({ type: 'mysql', url, extra: { connectionLimit: 1 } }).initialize();
  onTestFinished(() => dataSource.destroy());
  for (const table of TABLES) await dataSource.query(table);
  return dataSource;
}

const insertByManager = (ctx: { manager: EntityManager }, id: string, amount: number): Promise<unknown> =>
  ctx.manager.query(INSERT, [id, amount]);

describe('drain', () => {
  it('works with a DataSource of its own for each side, on MariaDB and MySQL', async () => {
    const shop = await typeormOn('TXBOX_TEST_MARIADB_URL', 'mariadb');
    const billingSource = await typeormOn('TXBOX_TEST_MYSQL9_URL', 'mysql9');
    const outbox = createTypeormOutbox({ dataSource: shop, name: 'shop' });
    const billingOutbox = createTypeormOutbox({ dataSource: billingSource, name: 'billing' });
    const billing = new Billing(insertByManager);
    const inbox = createTypeormInbox({ dataSource: billingSource, group: 'billing', handlers: [billing] });
    await Promise.all([outbox.migrate(), billingOutbox.migrate()]);
    await inbox.migrate();
    onTestFinished(async () => void (await Promise.all([outbox.close(), billingOutbox.close(), inbox.stop()])));

    await outbox.transaction(async (tx) => {
      await tx.manager.query("INSERT INTO orders VALUES ('1')");
      tx.add(Paid, { id: '1', amount: 9 });
      await expect(expectAdded(outbox, Paid)).rejects.toThrow('open transaction');
    });
    await expectAdded(outbox, Paid, { amount: 9 }, { times: 1 });
    billing.failures = 1;
    const options = { outbox: [outbox, billingOutbox], inboxes: [inbox] };
    await expect(drain(options)).rejects.toThrow(RangeError);
    expect(await billingSource.query('SELECT * FROM invoices')).toEqual([]);
    await expectNotAdded(billingOutbox);
    const drained = await drain(options);
    expect(await billingSource.query('SELECT * FROM invoices')).toEqual([{ id: '1', amount: 9 }]);
    expect(billing.attempts).toEqual([1, 2]);
    await expectAdded(drained, Invoiced, { id: '1' }, { times: 1 });
    expect(drained.unhandled.map(({ type }) => type)).toEqual(['order.invoiced']);
    // Nothing of the drain stays where a relay would take it for its own.
    expect(await shop.query('SELECT topic FROM txbox_topic')).toEqual([]);
    expect(await shop.query('SELECT id FROM txbox_relay')).toEqual([]);
  });

  it('works on a mysql2 pool, with handlers beside the outbox', async () => {
    const pool = createPool({ uri: await emptyDatabase('TXBOX_TEST_MARIADB_URL', 'mariadb'), connectionLimit: 1 });
    onTestFinished(() => pool.end());
    for (const table of TABLES) await pool.query(table);
    await using outbox = createMysql2Outbox({ pool });
    await expect(expectAdded(outbox, Paid)).rejects.toThrow('outbox.migrate()');
    await outbox.migrate();
    for (const id of ['b', 'a', 'c']) await outbox.transaction(async () => void outbox.add(Paid, { id, amount: 1 }));
    expect((await addedEvents(outbox, Paid)).map(({ payload }) => payload.id)).toEqual(['b', 'a', 'c']);
    const billing = new Billing((ctx: { connection: PoolConnection }, id: string, amount: number) =>
      ctx.connection.query(INSERT, [id, amount]),
    );
    const { published, handled } = await drain({ outbox, handlers: [billing] });
    expect(published.map(({ type, key }) => `${type} ${key}`)).toEqual([
      ...['order.paid b', 'order.paid a', 'order.paid c'],
      ...['order.invoiced b', 'order.invoiced a', 'order.invoiced c'],
    ]);
    expect(handled).toBe(3);
    await outbox.transaction(async () => void outbox.add(Paid, { id: 'd', amount: 1 }));
    await clearAdded(outbox);
    expect(await drain({ outbox, handlers: [billing] })).toMatchObject({ published: [], handled: 0 });
  });

  it('works on SQLite in memory', async () => {
    const database = new Database(':memory:');
    onTestFinished(() => void database.close());
    for (const table of TABLES) database.exec(table);
    await using outbox = createSqliteOutbox({ database });
    await outbox.migrate();
    await outbox.transaction(async () => void outbox.add(Paid, { id: '1', amount: 9 }));
    const billing = new Billing((ctx: { database: Database.Database }, id: string, amount: number) =>
      ctx.database.prepare(INSERT).run(id, amount),
    );
    billing.failures = 1;
    await expect(drain({ outbox, handlers: [billing] })).rejects.toThrow('no paper');
    expect(database.prepare('SELECT * FROM invoices').all()).toEqual([]);
    const drained = await drain({ outbox, handlers: [billing] });
    expect(database.prepare('SELECT * FROM invoices').all()).toEqual([{ id: '1', amount: 9 }]);
    await expectAdded(drained, Invoiced, {}, { times: 1 });
  });

  it('says who has the events when another relay does', async () => {
    const pool = createPool({ uri: await emptyDatabase('TXBOX_TEST_MARIADB_URL', 'mariadb'), connectionLimit: 2 });
    onTestFinished(() => pool.end());
    await using outbox = createMysql2Outbox({ pool });
    await outbox.migrate();
    await outbox.transaction(async () => void outbox.add(Paid, { id: '1', amount: 1 }));
    await drain({ outbox });
    await pool.query("UPDATE txbox_lease SET owner = UNHEX(REPEAT('00', 16)), expires_at = UTC_TIMESTAMP(6) + INTERVAL 3 SECOND");
    await outbox.transaction(async () => void outbox.add(Paid, { id: '2', amount: 1 }));
    await expect(drain({ outbox })).rejects.toThrow('1 of 1 events of outbox "default" could not be published (another relay');
    await expectAdded(outbox, Paid, { id: '2' });
  });
});
