// What is written wrongly is told where it is written, with the way out.
import { defineEvent } from '@txbox/core';
import { createInbox } from '@txbox/inbox/sqlite';
import { createInbox as createTypeormInbox } from '@txbox/inbox/typeorm';
import { Publishes, PublishesEach, Transactional } from '@txbox/outbox';
import { createOutbox as createMysql2Outbox } from '@txbox/outbox/mysql2';
import { createOutbox as createSqliteOutbox } from '@txbox/outbox/sqlite';
import { createOutbox as createTypeormOutbox } from '@txbox/outbox/typeorm';
import Database from 'better-sqlite3';
import { createPool } from 'mysql2/promise';
import { DataSource } from 'typeorm';
import { describe, expect, it, onTestFinished } from 'vitest';

const Placed = defineEvent('order.placed', { topic: 'orders', key: (payload: { id: string }) => payload.id });
/** An error with that code whose message has these parts in that order. */
const thrown = (code: string, ...parts: readonly string[]) =>
  expect.objectContaining({
    code,
    message: expect.stringMatching(new RegExp(parts.map((part) => part.replace(/[^\w\s]/g, '\\$&')).join('[\\s\\S]*'))),
  });
const legacy = (decorator: unknown) => () => {
  class Service {
    async run(): Promise<void> {}
  }
  const descriptor = Object.getOwnPropertyDescriptor(Service.prototype, 'run');
  (decorator as (...args: unknown[]) => unknown)(Service.prototype, 'run', descriptor);
};
const standard = (decorator: unknown) => () => {
  (decorator as (...args: unknown[]) => unknown)(async () => undefined, { kind: 'method', name: 'run' });
};

describe('a decorator', () => {
  it.each([
    ['@Transactional', Transactional],
    ['@Publishes', Publishes],
    ['@PublishesEach', PublishesEach],
  ])('%s needs parentheses, in both forms', (name, decorator) => {
    expect(legacy(decorator)).toThrow(thrown('DECORATOR_MISUSE', `${name} on run needs parentheses`));
    expect(standard(decorator)).toThrow(thrown('DECORATOR_MISUSE', `${name} on run needs parentheses`));
  });

  it.each<[() => unknown, string, ...string[]]>([
    [() => Publishes(undefined as never), 'EVENT_INVALID', '@Publishes takes an event', 'not defined yet'],
    [() => Publishes('order.placed' as never), 'EVENT_INVALID', 'got "order.placed"'],
    [() => Publishes(Placed, { id: 'a' } as never), 'DECORATOR_MISUSE', '@Publishes(order.placed)', 'function', 'got object'],
    [() => PublishesEach(Placed, undefined as never), 'DECORATOR_MISUSE', 'got undefined'],
    [() => Publishes(Placed, undefined, { om: 'x' } as never), 'OPTIONS_INVALID', 'unknown option om, did you mean on? (known: on)'],
    [() => Transactional({ isolation: 'x' } as never), 'OPTIONS_INVALID', 'unknown option isolation'],
  ])('is checked where it stands: %#', (decorate, code, ...parts) => {
    expect(decorate).toThrow(thrown(code, ...parts));
  });
});

it('an event has all its problems told at once', () => {
  expect(() => defineEvent('my event', { topc: 'orders', key: 'id', version: '1' } as never)).toThrow(
    thrown('EVENT_INVALID', 'the name must have', 'unknown option topc', 'topic is required', 'version must be', 'key must be a function'),
  );
});

describe('what was mixed up is named:', () => {
  const pool = createPool('mysql://nobody@127.0.0.1:1/none');
  const sqlite = new Database(':memory:');
  const dataSource = new DataSource({ type: 'better-sqlite3', database: ':memory:' });
  it.each([
    ['a pool as a DataSource', () => createTypeormOutbox({ dataSource: pool as never }), 'got a mysql2 pool (for the entries /mysql2)'],
    [
      'a DataSource as a pool',
      () => createMysql2Outbox({ pool: dataSource as never }),
      'got a TypeORM DataSource (for the entries /typeorm)',
    ],
    [
      'a connection as a pool',
      () => createMysql2Outbox({ pool: { beginTransaction() {}, query() {} } as never }),
      'got one connection, where a pool is needed',
    ],
    ['a promise', () => createMysql2Outbox({ pool: Promise.resolve(pool) as never }), 'got a promise: await it'],
    ['a pool as a file', () => createSqliteOutbox({ database: pool as never }), 'got a mysql2 pool'],
    [
      'a publisher as a source',
      () => createInbox({ database: sqlite, group: 'g', source: { publish() {}, describeTopic() {} } as never }),
      'got a publisher',
    ],
    ['data as a source', () => createInbox({ database: sqlite, group: 'g', source: { kind: 'kafkajs' } as never }), 'got data with a kind'],
  ])('%s', (_what, create, text) => {
    expect(create).toThrow(thrown('OPTIONS_INVALID', text));
  });
});

describe('an inbox takes handlers of events only', () => {
  const inbox = createInbox({ database: new Database(':memory:'), group: 'g' });
  it.each([
    [() => inbox.on(Placed, undefined as never), 'inbox.on(order.placed) takes a function'],
    [
      () =>
        inbox.on(Placed, async function* () {
          yield 1;
        }),
      'inbox.on(order.placed): the handler is a generator',
    ],
    [() => inbox.on(undefined as never, () => undefined), 'inbox.on takes an event made by defineEvent'],
  ])('%#', (register, text) => {
    expect(register).toThrow(thrown('HANDLER_INVALID', text));
  });
});

it('a database that is away is called so, whatever is asked of it', async () => {
  const pool = createPool('mysql://nobody@127.0.0.1:1/none');
  const outbox = createMysql2Outbox({ pool });
  onTestFinished(async () => {
    await outbox.close();
    await pool.end();
  });
  const away = { code: 'DATABASE_UNAVAILABLE', retryable: true, message: expect.stringContaining('mysql2 pool') };
  await expect(outbox.migrate()).rejects.toMatchObject(away);
  await expect(outbox.transaction(async () => undefined)).rejects.toMatchObject(away);
});

it('a DataSource that was not initialized is called so', async () => {
  const dataSource = new DataSource({ type: 'better-sqlite3', database: ':memory:' });
  const outbox = createTypeormOutbox({ dataSource });
  onTestFinished(() => outbox.close());
  const said = { code: 'DATABASE_UNAVAILABLE', message: expect.stringContaining('await dataSource.initialize()') };
  await expect(outbox.migrate()).rejects.toMatchObject(said);
  await expect(outbox.transaction(async () => undefined)).rejects.toMatchObject(said);
  await expect(createTypeormInbox({ dataSource, group: 'g' }).migrate()).rejects.toMatchObject(said);
});
