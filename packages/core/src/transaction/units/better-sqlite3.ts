import { sqliteDialect } from '../../sql/dialects/sqlite.ts';
import { runUnit } from '../open-unit.ts';
import type { Connect } from '../unit-connection.ts';
import type { TransactionResource } from '../unit-of-work.ts';
import { exclusiveTurn } from './exclusive-turn.ts';
import { Mutex } from './mutex.ts';
import { resourceOf } from './resource-registry.ts';
import { SqliteGate } from './sqlite-gate.ts';
import { beginSqlite, endReadOnly, type SqliteDatabase, sessionOfDatabase } from './sqlite-wire.ts';
import { StatementWatch } from './statement-watch.ts';
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
    const free = await exclusiveTurn(mutex, database);
    const gate = new SqliteGate(
      database,
      unit,
      new StatementWatch({ unit, dialect: sqliteDialect, onLockTimeout: settings.onLockTimeout }),
    );
    return {
      handle: database,
      session: gate.session,
      begin: () => beginSqlite(database, unit.readOnly),
      quiet: () => gate.quiet(),
      commit: () => gate.commit(),
      rollback: async () => {
        if (database.inTransaction) database.exec('ROLLBACK');
      },
      interrupt: () => undefined,
      release: async () => {
        if (unit.readOnly) endReadOnly(database);
        free();
      },
    };
  };
  const resource: SqliteResource = {
    key: database,
    kind: 'sqlite',
    dialect: sqliteDialect,
    maxConnections: 1,
    configure: (given) => {
      settings = { ...settings, ...given };
    },
    run: (options, fn, attempt = 1) => runUnit({ resource, connect, options, attempt, settings }, fn),
    withSession: async (fn) => {
      const free = await exclusiveTurn(mutex, database);
      try {
        return await fn(sessionOfDatabase(database));
      } finally {
        free();
      }
    },
  };
  return resource;
}
