import { type Clock, driverErrorOf, type OwnedSession, type SqlSession, tableNames } from '@txbox/core/spi';
import { type MissingRight, missingRights, relayTables, type TablesInUse } from './database-rights.ts';

/** What a database server says of itself, as far as rules look at it. */
export interface DatabaseFacts {
  /** Global variables by name, lower case; those that the server does not have are left out. */
  readonly variables: ReadonlyMap<string, string>;
  /** The storage engine of each table that the relay uses, by the table's name. */
  readonly engines: ReadonlyMap<string, string>;
  /** Whether it applies what another server did; `undefined` when this account may not know. */
  readonly replicates: boolean | undefined;
  /** Names of the servers that answered reads, and of the one that took a write; `undefined` when it took none. */
  readonly readBy: readonly string[];
  readonly writtenBy: string | undefined;
  /** What the server said to a write that it refused because it takes none. */
  readonly writeRefusal: string | undefined;
  /** Parts of a sharded TDSQL; empty elsewhere. */
  readonly sets: readonly string[];
  /** `undefined` = not looked for, because there are no tables. */
  readonly missingRights: readonly MissingRight[] | undefined;
  /** How far the server's clock is before this process's, milliseconds, and how uncertain that is. */
  readonly clock: { readonly aheadMs: number; readonly uncertainMs: number };
  /** `innodb_lock_wait_timeout` of the relay's sessions, milliseconds. */
  readonly lockWaitMs: number;
  readonly database: string;
}

const VARIABLES = [
  'auto_increment_increment',
  'binlog_format',
  'group_replication_group_name',
  'group_replication_single_primary_mode',
  'innodb_flush_log_at_trx_commit',
  'innodb_read_only',
  'log_bin',
  'read_only',
  'server_uuid',
  'sql_mode',
  'super_read_only',
  'sync_binlog',
  'version',
  'version_comment',
  'wsrep_on',
] as const;

/**
 * Looks at the server behind a session; changes nothing. `undefined` for a database that is no server. Without the relay's
 * schema (`hasSchema` false) what needs its tables is left out.
 */
export async function inspectDatabase(
  session: OwnedSession,
  inUse: TablesInUse,
  clock: Clock,
  hasSchema: boolean,
): Promise<DatabaseFacts | undefined> {
  if (session.dialect.name !== 'mysql') return undefined;
  const variables = await variablesOf(session);
  return {
    variables,
    engines: await enginesOf(session, relayTables(inUse)),
    replicates: await replicates(session, /mariadb/i.test(variables.get('version') ?? '')),
    sets: await setsOf(session, variables),
    ...(hasSchema ? await serversOf(session, inUse.tablePrefix, variables.has('server_uuid')) : NO_SERVERS),
    missingRights: hasSchema ? await missingRights(session, inUse) : undefined,
    ...(await clockOf(session, clock)),
  };
}

type Servers = Pick<DatabaseFacts, 'readBy' | 'writtenBy' | 'writeRefusal'>;

const NO_SERVERS: Servers = { readBy: [], writtenBy: undefined, writeRefusal: undefined };

/** Who answers reads before and after a write, and who takes the write. */
async function serversOf(session: OwnedSession, tablePrefix: string, hasUuid: boolean): Promise<Servers> {
  const self = hasUuid ? '@@server_uuid' : "CONCAT(@@hostname, ':', @@port, ', server_id ', @@server_id)";
  const read = `SELECT ${self} FROM ${tableNames(tablePrefix).meta} LIMIT 1`;
  const before = await session.query(read);
  const write = await writeAway(session, tablePrefix, self);
  const after = await session.query(read);
  return { readBy: [...new Set([...before, ...after].map(([name]) => String(name)))], ...write };
}

async function variablesOf(session: SqlSession): Promise<Map<string, string>> {
  const names = VARIABLES.map(() => '?').join(', ');
  const rows = await session.query(`SHOW GLOBAL VARIABLES WHERE Variable_name IN (${names})`, [...VARIABLES]);
  return new Map(rows.map(([name, value]) => [String(name).toLowerCase(), String(value)]));
}

async function enginesOf(session: SqlSession, tables: readonly string[]): Promise<Map<string, string>> {
  const rows = await session.query(
    `SELECT table_name, engine FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name IN (${tables.map(() => '?').join(', ')})`,
    tables,
  );
  return new Map(rows.map(([name, engine]) => [String(name), String(engine)]));
}

/** MariaDB tells everybody whether a replica's threads run; MySQL those who may read its performance schema. */
async function replicates(session: SqlSession, isMariadb: boolean): Promise<boolean | undefined> {
  try {
    if (isMariadb) return Number((await session.query("SHOW GLOBAL STATUS LIKE 'Slaves_running'"))[0]?.[1]) > 0;
    const [row] = await session.query(
      "SELECT COUNT(*) FROM performance_schema.replication_connection_status WHERE service_state <> 'OFF' AND channel_name NOT LIKE 'group\\_replication\\_%'",
    );
    return Number(row?.[0]) > 0;
  } catch (error) {
    if (session.dialect.classify(error) === 'connection-lost') throw error;
    return undefined;
  }
}

/** Who takes a write: told from inside its transaction, which is rolled back. */
async function writeAway(session: OwnedSession, tablePrefix: string, self: string): Promise<Omit<Servers, 'readBy'>> {
  const { relay } = tableNames(tablePrefix);
  const id = Buffer.alloc(16);
  const { now } = session.dialect;
  await session.begin();
  try {
    await session.execute(`INSERT INTO ${relay} (id, started_at, seen_at, version) VALUES (?, ${now}, ${now}, 'doctor')`, [id]);
    const [row] = await session.query(`SELECT ${self} FROM ${relay} WHERE id = ?`, [id]);
    return { writtenBy: row === undefined ? 'one that does not show what was written' : String(row[0]), writeRefusal: undefined };
  } catch (error) {
    if (session.dialect.classify(error) === 'connection-lost') throw error;
    const { errno, message } = driverErrorOf(error);
    return { writtenBy: undefined, writeRefusal: REFUSES_WRITES.has(errno) ? message : undefined };
  } finally {
    await session.rollback();
  }
}

/** ER_OPTION_PREVENTS_STATEMENT, ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION, ER_READ_ONLY_MODE, ER_INNODB_READ_ONLY. */
const REFUSES_WRITES: ReadonlySet<number> = new Set([1290, 1792, 1836, 1874]);

/** The proxy of a sharded TDSQL answers this comment itself; any other server would show its status. */
async function setsOf(session: SqlSession, variables: ReadonlyMap<string, string>): Promise<string[]> {
  if (!/tdsql|txsql/i.test(`${variables.get('version')} ${variables.get('version_comment')}`)) return [];
  const rows = await session.query('/*proxy*/show status');
  const sets = rows.find(([name]) => name === 'set')?.[1];
  return sets === undefined || sets === null ? [] : String(sets).split(',');
}

async function clockOf(session: SqlSession, clock: Clock): Promise<Pick<DatabaseFacts, 'clock' | 'lockWaitMs' | 'database'>> {
  const [wall, sentAt] = [clock.now(), clock.monotonic()];
  const [row] = await session.query(`SELECT ${session.dialect.now}, @@SESSION.innodb_lock_wait_timeout, DATABASE()`);
  const uncertainMs = (clock.monotonic() - sentAt) / 2;
  const theirs = Date.parse(`${String(row?.[0]).slice(0, 23).replace(' ', 'T')}Z`);
  return {
    clock: { aheadMs: theirs - (wall + uncertainMs), uncertainMs },
    lockWaitMs: Number(row?.[1]) * 1_000,
    database: String(row?.[2]),
  };
}
