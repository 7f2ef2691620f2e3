import { randomBytes } from 'node:crypto';
import { defineEvent } from '@txbox/core';
import { createOutbox } from '@txbox/outbox/mysql2';
import { type Connection, createConnection, createPool, type RowDataPacket } from 'mysql2/promise';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Placed } from './lane.ts';
import { type StartSubject, SUBJECTS, type Subject } from './subject.ts';

const Strict = defineEvent('strict', { topic: 'orders', key: (payload: { id: string }) => payload.id, strictOrder: true });
/** The table of docs/adding-events.md. */
const LEAST = {
  orders: 'SELECT, INSERT',
  txbox_meta: 'SELECT',
  txbox_outbox: 'INSERT',
  txbox_sequence: 'SELECT, INSERT, UPDATE',
  txbox_idempotency: 'SELECT, INSERT, UPDATE, DELETE',
};

/** MySQL 8.0 before 8.0.22 refuses locking reads to those who have rights on single tables only. */
const NEEDS_LOCK_TABLES = /^8\.0\.(?:1?\d|2[01])(?!\d)/;

/** A user of its own in the database of one subject. */
class User implements AsyncDisposable {
  readonly #admin: Connection;
  readonly #database: string;
  readonly #name = `u${randomBytes(6).toString('hex')}`;

  private constructor(admin: Connection, database: string) {
    this.#admin = admin;
    this.#database = database;
  }

  static async create(url: string): Promise<User> {
    const user = new User(await createConnection(url), new URL(url).pathname.slice(1));
    await user.#admin.query(`CREATE USER ${user.#name} IDENTIFIED BY 'secret'`);
    const [[server]] = await user.#admin.query<RowDataPacket[]>('SELECT VERSION() AS version');
    if (NEEDS_LOCK_TABLES.test(server?.['version'])) await user.#admin.query(`GRANT LOCK TABLES ON ${user.#database}.* TO ${user.#name}`);
    return user;
  }

  urlOf(url: string): string {
    const own = new URL(url);
    own.username = this.#name;
    own.password = 'secret';
    return own.href;
  }

  async grant(rights: Readonly<Record<string, string>>): Promise<void> {
    for (const [table, some] of Object.entries(rights))
      await this.#admin.query(`GRANT ${some} ON ${this.#database}.${table} TO ${this.#name}`);
  }

  async revoke(right: string, table: string): Promise<void> {
    await this.#admin.query(`REVOKE ${right} ON ${this.#database}.${table} FROM ${this.#name}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#admin.query(`DROP USER ${this.#name}`);
    await this.#admin.end();
  }
}

/** A service whose user has these rights on tables that somebody else has installed. */
async function startAs(start: StartSubject, rights: Readonly<Record<string, string>>): Promise<{ subject: Subject; user: User }> {
  let user: User | undefined;
  const subject = await start({
    connections: 1,
    url: async (url) => {
      const pool = createPool(url);
      const outbox = createOutbox({ pool, name: 'migrating' });
      await outbox.migrate();
      await outbox.close();
      await pool.end();
      user = await User.create(url);
      await user.grant(rights);
      return user.urlOf(url);
    },
  });
  return { subject, user: user as User };
}

describe.each(SUBJECTS)('rights, with %s', (_name, start) => {
  let subject: Subject;
  let user: User;
  beforeAll(async () => {
    ({ subject, user } = await startAs(start, LEAST));
  });
  afterAll(async () => {
    await subject.close();
    await user[Symbol.asyncDispose]();
  });
  beforeEach(async () => {
    await user.grant(LEAST);
    await subject.database.admin.query('DELETE FROM orders; DELETE FROM txbox_outbox; DELETE FROM txbox_idempotency');
  });

  const committed = async (): Promise<[string[], string[]]> => [await subject.database.orders(), await subject.database.events()];
  const order = (id: string): Promise<unknown> =>
    subject.outbox.transaction({ idempotencyKey: id }, async (tx) => {
      await subject.place(id);
      tx.add(Placed, { id });
      tx.add(Strict, { id });
      return id;
    });

  it('the least of them are enough for events, strictOrder, idempotencyKey and addTo', async () => {
    expect([await order('a'), await order('a')]).toEqual(['a', 'a']);
    await subject.foreign(async (addTo) => void (await addTo(Strict, 'b')));
    expect(await committed()).toEqual([['a'], ['a', 'a', 'b']]);
  });

  it.each([
    ['INSERT', 'txbox_outbox'],
    ['UPDATE', 'txbox_sequence'],
    ['INSERT', 'txbox_idempotency'],
    ['UPDATE', 'txbox_idempotency'],
  ])('without %s on %s nothing is committed, the error names both, and with it the same call does its work', async (right, table) => {
    await user.revoke(right, table);
    await expect(order('a')).rejects.toMatchObject({
      code: 'SCHEMA_NOT_WRITABLE',
      retryable: false,
      message: expect.stringMatching(new RegExp(`${right} command denied to user .*${table}.* No event was written`)),
      cause: { errno: 1142 },
    });
    expect(await committed()).toEqual([[], []]);
    await user.grant({ [table]: right });
    await order('a');
    expect(await committed()).toEqual([['a'], ['a', 'a']]);
  });

  it('addTo without INSERT on the outbox says the same, and the foreign transaction is its own affair', async () => {
    await user.revoke('INSERT', 'txbox_outbox');
    await subject.foreign(async (addTo) => {
      await expect(addTo(Placed, 'a')).rejects.toMatchObject({ code: 'SCHEMA_NOT_WRITABLE' });
    });
    expect(await committed()).toEqual([[], []]);
  });

  it('a user who may only read writes neither order nor event, also when it swallows what the server says', async () => {
    for (const [table, right] of [
      ['orders', 'INSERT'],
      ['txbox_outbox', 'INSERT'],
      ['txbox_sequence', 'INSERT, UPDATE'],
      ['txbox_idempotency', 'INSERT, UPDATE, DELETE'],
    ] as const)
      await user.revoke(right, table);
    await expect(subject.outbox.transaction(() => subject.place('a'))).rejects.toMatchObject({ errno: 1142 });
    await expect(
      subject.outbox.transaction(async (tx) => {
        await expect(subject.place('a')).rejects.toMatchObject({ errno: 1142 });
        tx.add(Placed, { id: 'a' });
      }),
    ).rejects.toMatchObject({ code: 'SCHEMA_NOT_WRITABLE' });
    expect(await committed()).toEqual([[], []]);
    await subject.outbox.transaction({ readOnly: true }, async () => expect(await subject.query('SELECT * FROM orders')).toEqual([]));
  });

  it('a session that only reads takes no event', async () => {
    await subject.query('SET SESSION TRANSACTION READ ONLY');
    const event = subject.outbox.transaction(async (tx) => void tx.add(Placed, { id: 'a' }));
    await expect(event).rejects.toMatchObject({ code: 'SCHEMA_NOT_WRITABLE', cause: { errno: 1792 } });
    await subject.query('SET SESSION TRANSACTION READ WRITE');
    await order('a');
    expect(await committed()).toEqual([['a'], ['a', 'a']]);
  });

  it('without SELECT on txbox_meta, the first event and migrate say so', async () => {
    const fresh = await startAs(start, LEAST);
    try {
      await fresh.user.revoke('SELECT', 'txbox_meta');
      const denied = { message: expect.stringContaining('SELECT command denied') };
      const add = (): Promise<void> => fresh.subject.outbox.transaction(async (tx) => void tx.add(Placed, { id: 'a' }));
      await expect(add()).rejects.toMatchObject({ code: 'SCHEMA_NOT_WRITABLE', ...denied });
      await expect(fresh.subject.outbox.migrate()).rejects.toMatchObject({ code: 'MIGRATION_FAILED', ...denied });
      await fresh.user.grant({ txbox_meta: 'SELECT' });
      await add();
      expect(await fresh.subject.outbox.migrate()).toEqual([]);
      await fresh.subject.database.admin.query('DROP TABLE txbox_outbox; UPDATE txbox_meta SET version = 0');
      const makes = { code: 'MIGRATION_FAILED', message: expect.stringContaining('CREATE command denied') };
      await expect(fresh.subject.outbox.migrate()).rejects.toMatchObject(makes);
    } finally {
      await fresh.subject.close();
      await fresh.user[Symbol.asyncDispose]();
    }
  });
});
