import { TxboxError } from '../runtime/error.ts';
import { checkOptions, integerWithin, type OptionRule, shaped } from '../runtime/options.ts';
import type { Database } from './session.ts';

/** Where a database is and how long to wait for it. */
export interface DatabaseOptions {
  /** `mysql://user:password@host:port/database` (also `mariadb://`), or `sqlite:path/to/file`. */
  readonly url: string;
  /** Milliseconds until a connection must be there. Default 10,000. */
  readonly connectTimeoutMs?: number;
  /** Milliseconds until a statement must be answered; then its connection is closed. MySQL only. Default 30,000. */
  readonly queryTimeoutMs?: number;
  /** Milliseconds a statement waits for locks of others: whole seconds on MySQL. Default 1,000; SQLite 5,000. */
  readonly lockWaitTimeoutMs?: number;
  /** Milliseconds until the server closes an idle connection (`wait_timeout`), which frees what a frozen process holds. MySQL only. Default 60,000. */
  readonly idleTimeoutMs?: number;
}

const SCHEME = /^(mysql|mariadb|sqlite):/i;

/** The rule of a database's address. */
export const databaseUrl: OptionRule = shaped({ type: 'string', pattern: '^(mysql|mariadb|sqlite):' }, (value) => {
  // What a configuration in code makes of a variable that is not there.
  if (value === '') return 'must begin with mysql://, mariadb:// or sqlite:, got an empty text (is the environment variable set?)';
  const scheme = typeof value === 'string' ? SCHEME.exec(value)?.[1]?.toLowerCase() : undefined;
  if (scheme === undefined) return 'must begin with mysql://, mariadb:// or sqlite:';
  if (scheme === 'sqlite') return /^sqlite:(?!$|:memory:$)/i.test(value as string) ? undefined : 'must name a file: sqlite:path/to/file';
  if (!URL.canParse(value as string)) return `must be a URL${ENCODED}`;
  const { username, password, pathname, hash } = new URL(value as string);
  // What follows an unencoded character of a password would be taken for host and database, and shown as such.
  if (pathname.includes('@') || hash !== '') return `must be a URL${ENCODED}`;
  if (![username, password, pathname].every(isEncoded)) return `must be a URL, and has a % that begins no encoded character${ENCODED}`;
  return pathname.length > 1 ? undefined : 'must name a database: mysql://host/database';
});

const ENCODED = ': in user and password write % # / ? @ : as %25 %23 %2F %3F %40 %3A';

function isEncoded(text: string): boolean {
  try {
    decodeURIComponent(text);
    return true;
  } catch {
    return false;
  }
}

/**
 * Opens a database for the relay, an inbox or a tool, and proves it by a first connection. Loads the client lazily.
 * Throws `OPTIONS_INVALID`, `DEPENDENCY_MISSING` or `DATABASE_UNAVAILABLE`.
 */
export async function openDatabase(options: DatabaseOptions): Promise<Database> {
  const checked = checkOptions<DatabaseOptions>('database', options, {
    defaults: { connectTimeoutMs: 10_000, queryTimeoutMs: 30_000, idleTimeoutMs: 60_000 },
    optional: ['lockWaitTimeoutMs'],
    rules: {
      url: databaseUrl,
      connectTimeoutMs: integerWithin(1),
      queryTimeoutMs: integerWithin(1),
      lockWaitTimeoutMs: integerWithin(0),
      idleTimeoutMs: integerWithin(1_000),
    },
  }) as Required<DatabaseOptions>;
  if (/^sqlite:/i.test(checked.url)) {
    const { openSqlite } = await load('better-sqlite3', () => import('./sessions/better-sqlite3.ts'));
    return openSqlite({
      path: checked.url.slice('sqlite:'.length).replace(/^\/\/(?=\/)/, ''),
      lockWaitTimeoutMs: checked.lockWaitTimeoutMs ?? 5_000,
    });
  }
  const { openMysql } = await load('mysql2', () => import('./sessions/mysql2.ts'));
  return openMysql({ ...checked, url: checked.url.replace(/^mariadb:/i, 'mysql:'), lockWaitTimeoutMs: checked.lockWaitTimeoutMs ?? 1_000 });
}

async function load<T>(client: string, load: () => Promise<T>): Promise<T> {
  try {
    return await load();
  } catch (cause) {
    throw new TxboxError(
      'DEPENDENCY_MISSING',
      `The package ${client} is needed for this database and cannot be loaded: npm install ${client}.`,
      { cause },
    );
  }
}
