import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  coreComponent,
  type Database,
  deadLetterStore,
  leaseStore,
  type MigrationComponent,
  migrate,
  openDatabase,
  tableNames,
} from '@txbox/core/spi';
import { inboxComponent, inboxStore } from '@txbox/inbox/store';
import { archiveRedriven, outboxArchive, outboxComponent, outboxStore, outboxWriter, RELAY_SCOPE } from '@txbox/outbox/store';
import type {
  ArchiveBackend,
  InboxStoreBackend,
  LeaseStoreBackend,
  OutboxStoreBackend,
  OutboxTransaction,
  ParkingBackend,
} from '@txbox/testing/conformance';
import { createConnection } from 'mysql2/promise';
import { backendUrl } from './backend-url.ts';

/** A database of its own with our tables. */
export interface TestDatabase {
  readonly database: Database;
  dispose(): Promise<void>;
}

const TABLES = tableNames();

/** A new database on the server that `variable` names, with the tables of the components. */
export async function mysqlDatabase(variable: string, service: string, components: readonly MigrationComponent[]): Promise<TestDatabase> {
  const server = new URL(backendUrl(variable, service));
  const name = `txbox_conformance_${randomBytes(6).toString('hex')}`;
  const admin = await createConnection(server.href.replace(/^mariadb:/, 'mysql:'));
  await admin.query(`CREATE DATABASE ${name}`);
  server.pathname = `/${name}`;
  const database = await openDatabase({ url: server.href });
  await install(database, components);
  return {
    database,
    dispose: async () => {
      await database.close();
      await admin.query(`DROP DATABASE ${name}`);
      await admin.end();
    },
  };
}

/** A new SQLite file with the tables of the components. */
export async function sqliteDatabase(components: readonly MigrationComponent[]): Promise<TestDatabase> {
  const folder = await mkdtemp(join(tmpdir(), 'txbox-conformance-'));
  const database = await openDatabase({ url: `sqlite:${join(folder, 'service.db')}` });
  await install(database, components);
  return {
    database,
    dispose: async () => {
      await database.close();
      await rm(folder, { recursive: true });
    },
  };
}

export async function outboxBackend(
  open: (components: readonly MigrationComponent[]) => Promise<TestDatabase>,
): Promise<OutboxStoreBackend> {
  return outboxIn(await open([coreComponent, outboxComponent]), false);
}

export async function archiveBackend(open: (components: readonly MigrationComponent[]) => Promise<TestDatabase>): Promise<ArchiveBackend> {
  const opened = await open([coreComponent, outboxComponent]);
  const { database } = opened;
  return {
    ...outboxIn(opened, true),
    archive: outboxArchive(database),
    deadLetters: deadLetterStore(database, RELAY_SCOPE, undefined, archiveRedriven()),
    backdate: async (ids, ageMs) => {
      const session = await database.session();
      await session.execute(
        `UPDATE ${TABLES.archive} SET published_at = ${session.dialect.nowPlusMs} WHERE id IN (${ids.map(() => '?').join(', ')})`,
        [-ageMs, ...ids],
      );
      await session.release();
    },
  };
}

function outboxIn({ database, dispose }: TestDatabase, archive: boolean): OutboxStoreBackend {
  const writer = outboxWriter();
  return {
    store: outboxStore(database, { archive }),
    begin: async () => {
      const session = await database.session();
      await session.begin();
      const end = async (ending: Promise<void>): Promise<void> => {
        await ending;
        await session.release();
      };
      return {
        insert: async (messages) => await writer.insert(session, messages),
        remove: async (ids) => {
          for (const id of ids) await session.execute(`DELETE FROM ${TABLES.outbox} WHERE id = ?`, [id]);
        },
        commit: async () => await end(session.commit()),
        rollback: async () => await end(session.rollback()),
      } satisfies OutboxTransaction;
    },
    dispose,
  };
}

export async function parkingBackend(open: (components: readonly MigrationComponent[]) => Promise<TestDatabase>): Promise<ParkingBackend> {
  const { database, dispose } = await open([coreComponent, outboxComponent]);
  const writer = outboxWriter();
  return {
    store: outboxStore(database),
    deadLetters: deadLetterStore(database, RELAY_SCOPE),
    add: async (messages) => {
      const session = await database.session();
      await session.begin();
      await writer.insert(session, messages);
      await session.commit();
      await session.release();
    },
    dispose,
  };
}

export async function leaseBackend(open: (components: readonly MigrationComponent[]) => Promise<TestDatabase>): Promise<LeaseStoreBackend> {
  const { database, dispose } = await open([coreComponent]);
  return {
    store: leaseStore(database),
    other: leaseStore(await database.session()),
    setExpiry: async ({ scope, slot }, inMs) => {
      const session = await database.session();
      await session.execute(`UPDATE ${TABLES.lease} SET expires_at = ${session.dialect.nowPlusMs} WHERE scope = ? AND slot = ?`, [
        inMs,
        scope,
        slot,
      ]);
      await session.release();
    },
    inTimeZone: async (zone) => {
      const session = await database.session();
      await session.execute(`SET time_zone = '${zone}'`);
      return leaseStore(session);
    },
    dispose,
  };
}

export async function inboxBackend(open: (components: readonly MigrationComponent[]) => Promise<TestDatabase>): Promise<InboxStoreBackend> {
  const { database, dispose } = await open([coreComponent, inboxComponent]);
  return {
    store: inboxStore(),
    begin: async () => {
      const session = await database.session();
      await session.begin();
      const end = async (ending: Promise<void>): Promise<void> => {
        await ending;
        await session.release();
      };
      return { session, commit: async () => await end(session.commit()), rollback: async () => await end(session.rollback()) };
    },
    dispose,
  };
}

async function install(database: Database, components: readonly MigrationComponent[]): Promise<void> {
  const session = await database.session();
  await migrate(session, components);
  await session.release();
}
