import { sqliteDialect } from '../../sql/dialects/sqlite.ts';
import { type Connect, runUnit } from '../open-unit.ts';
import type { TransactionResource } from '../unit-of-work.ts';
import { Mutex } from './mutex.ts';
import { resourceOf } from './resource-registry.ts';
import { beginImmediate, type SqliteDatabase, sqliteWireSession } from './sqlite-wire.ts';
import { openGate, StatementWatch } from './statement-watch.ts';
import { DEFAULT_UNIT_SETTINGS, type UnitSettings } from './unit-settings.ts';

/** A better-sqlite3 database in which units can be opened. */
export interface SqliteResource extends TransactionResource {
  readonly kind: 'sqlite';
  configure(settings: UnitSettings): void;
}

/**
 * The resource of a better-sqlite3 database; one per database. Units run one after another (P-W9). The database has one
 * connection: statements that others send through it while a unit is open become part of that unit.
 */
export function sqliteResource(database: SqliteDatabase): SqliteResource {
  return resourceOf(database, () => makeSqliteResource(database));
}

function makeSqliteResource(database: SqliteDatabase): SqliteResource {
  const mutex = new Mutex();
  let settings = DEFAULT_UNIT_SETTINGS;
  const connect: Connect = async (unit) => {
    const free = await mutex.take();
    const watch = new StatementWatch(unit, sqliteDialect, settings.onLockTimeout);
    return {
      handle: database,
      session: sqliteWireSession(database, watch),
      begin: async () => await beginImmediate(database),
      commit: async () => {
        database.exec('COMMIT');
      },
      rollback: async () => {
        if (database.inTransaction) database.exec('ROLLBACK');
      },
      release: async () => free(),
    };
  };
  const resource: SqliteResource = {
    key: database,
    kind: 'sqlite',
    dialect: sqliteDialect,
    configure: (given) => {
      settings = { ...settings, ...given };
    },
    run: (options, fn, attempt = 1) => {
      const plan = { resource, connect, isolationLevel: options.isolationLevel, attempt, logger: settings.logger };
      return runUnit(plan, async (unit) => {
        unit.beforeCommit(async () => doomUnlessOpen(unit));
        const result = await fn(unit);
        // The users' statements are not watched here, so the state of the connection tells what they did.
        doomUnlessOpen(unit);
        return result;
      });
    },
    withSession: async (fn) => {
      const free = await mutex.take();
      try {
        return await fn(sqliteWireSession(database, openGate));
      } finally {
        free();
      }
    },
  };
  return resource;

  function doomUnlessOpen(unit: { doomWith(doom: { reason: string }): void }): void {
    if (!database.inTransaction)
      unit.doomWith({ reason: 'the transaction was ended on its own connection (COMMIT, ROLLBACK, or an error that rolled it back)' });
  }
}
