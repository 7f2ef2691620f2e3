import { sqliteDialect } from '../../sql/dialects/sqlite.ts';
import { type Connect, runUnit } from '../open-unit.ts';
import type { TransactionResource } from '../unit-of-work.ts';
import { exclusiveTurn } from './exclusive-turn.ts';
import { Mutex } from './mutex.ts';
import { resourceOf } from './resource-registry.ts';
import { SqliteGate } from './sqlite-gate.ts';
import { beginImmediate, type SqliteDatabase, sessionOfDatabase } from './sqlite-wire.ts';
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
      begin: () => beginImmediate(database),
      quiet: () => gate.quiet(),
      commit: () => gate.commit(),
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
    run: (options, fn, attempt = 1) =>
      runUnit({ resource, connect, isolationLevel: options.isolationLevel, attempt, logger: settings.logger }, fn),
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
