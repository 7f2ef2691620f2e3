import mysql from 'mysql2';
import { TxboxError } from '../../runtime/error.ts';
import type { Dialect } from '../dialect.ts';
import { mysqlDialect } from '../dialects/mysql.ts';
import type { Database, OwnedSession, SqlResult, SqlRow, SqlValue } from '../session.ts';
import { driverErrorOf } from '../sql-error.ts';

/** Settings of {@link openMysql}. */
export interface MysqlSettings {
  /** `mysql://user:password@host:port/database`, parameters as mysql2 takes them. */
  readonly url: string;
  readonly connectTimeoutMs: number;
  readonly queryTimeoutMs: number;
  readonly lockWaitTimeoutMs: number;
  readonly idleTimeoutMs: number;
}

const MAX_IDLE = 4;
/** MySQL's own is 1,024. */
const MAX_CONCAT_BYTES = 4_194_304;

/** What the server says to who may not come in, beside that it is away. */
const CONNECTION_REFUSED: ReadonlyMap<number, { readonly what: string; readonly wayOut: string }> = new Map([
  // ER_ACCESS_DENIED_ERROR, ER_DBACCESS_DENIED_ERROR, ER_BAD_DB_ERROR
  [1045, { what: 'refuses the user or the password', wayOut: ' Correct them in the url, or create the user.' }],
  [1044, { what: 'is closed to this user', wayOut: ' Grant rights on its tables: txbox relay doctor prints the least ones.' }],
  [1049, { what: 'does not exist', wayOut: ' Create it (CREATE DATABASE), or correct its name in the url.' }],
]);

/** What Node says when nobody is at an address; a TLS handshake that failed says enough by itself. */
const NOBODY_THERE = /^E(?:CONN|HOST|NET|NOTFOUND|TIMEDOUT|AI_)/;

/** ER_DBACCESS_DENIED_ERROR, ER_TABLEACCESS_DENIED_ERROR, ER_COLUMNACCESS_DENIED_ERROR, ER_SPECIFIC_ACCESS_DENIED_ERROR. */
const DENIED: ReadonlySet<number> = new Set([1044, 1142, 1143, 1227]);

function rightsMissing(cause: Error): TxboxError {
  return new TxboxError(
    'RIGHTS_MISSING',
    `The database's account lacks a right: ${cause.message}. Grant it: txbox relay doctor prints the least rights of relays and services.`,
    { cause },
  );
}

/** The relay's and the tools' own access to MySQL or MariaDB by mysql2. */
export async function openMysql(settings: MysqlSettings): Promise<Database> {
  const database = new MysqlDatabase(settings);
  await database.connect();
  return database;
}

class MysqlDatabase implements Database {
  readonly description: string;
  readonly #settings: MysqlSettings;
  #dialect: Dialect = mysqlDialect();
  #idle: { readonly session: MysqlSession; readonly since: number }[] = [];
  readonly #open = new Set<MysqlSession>();
  #closed = false;

  constructor(settings: MysqlSettings) {
    this.#settings = settings;
    const url = new URL(settings.url);
    this.description = `mysql://${url.host}${url.pathname}`;
  }

  get dialect(): Dialect {
    return this.#dialect;
  }

  /** Learns what differs by server; the connection stays for the first session. */
  async connect(): Promise<void> {
    const session = await this.session();
    const [row] = await session.query('SELECT @@max_allowed_packet');
    this.#dialect = mysqlDialect(Number(row?.[0] ?? 0));
    await session.release();
  }

  async session({ dirty = false }: { readonly dirty?: boolean } = {}): Promise<OwnedSession> {
    if (this.#closed) throw new TxboxError('STOPPED', `${this.description} was closed.`);
    // The server closes what is idle for `idleTimeoutMs`; what is near that is not worth the risk.
    const staleAt = performance.now() - this.#settings.idleTimeoutMs / 2;
    for (const stale of this.#idle.filter((idle) => idle.since <= staleAt)) stale.session.destroy();
    const at = this.#idle.findLastIndex((idle) => idle.session.dirty === dirty);
    const [idle] = at < 0 ? [] : this.#idle.splice(at, 1);
    return idle?.session ?? this.#connect(dirty);
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#idle = [];
    await Promise.all([...this.#open].map((session) => session.end()));
  }

  async #connect(dirty: boolean): Promise<MysqlSession> {
    const { lockWaitTimeoutMs, idleTimeoutMs } = this.#settings;
    const connection = this.#newConnection();
    const session = new MysqlSession(connection, dirty, () => this.#dialect, this.#settings.queryTimeoutMs, {
      release: (released) => this.#takeBack(released),
      forget: (gone) => this.#forget(gone),
    });
    this.#open.add(session);
    try {
      await new Promise<void>((resolve, reject) => connection.connect((error) => (error ? reject(error) : resolve())));
      const seconds = (ms: number): number => Math.max(1, Math.ceil(ms / 1000));
      // A strict mode of our own, and no mode in which the client's escaping of literals would mean something else.
      await session.execute(
        "SET SESSION autocommit = 1, time_zone = '+00:00', sql_mode = 'STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION', " +
          `innodb_lock_wait_timeout = ${seconds(lockWaitTimeoutMs)}, wait_timeout = ${seconds(idleTimeoutMs)}, ` +
          `group_concat_max_len = ${MAX_CONCAT_BYTES}`,
      );
      await session.execute(`SET SESSION TRANSACTION ISOLATION LEVEL READ ${dirty ? 'UNCOMMITTED' : 'COMMITTED'}`);
      return session;
    } catch (cause) {
      session.destroy();
      const { code } = cause as { code?: string };
      const reason = cause instanceof Error ? cause.message || code : String(cause);
      const away = NOBODY_THERE.test(code ?? '') ? ' Does the server run, and are host and port of the url right?' : '';
      const { what, wayOut } = CONNECTION_REFUSED.get(driverErrorOf(cause).errno) ?? { what: 'cannot be reached', wayOut: away };
      throw new TxboxError('DATABASE_UNAVAILABLE', `${this.description} ${what}: ${reason}.${wayOut}`, { cause });
    }
  }

  #newConnection(): mysql.Connection {
    const { url, connectTimeoutMs } = this.#settings;
    try {
      return mysql.createConnection({
        uri: url,
        connectTimeout: connectTimeoutMs,
        rowsAsArray: true,
        dateStrings: true,
        supportBigNumbers: true,
        multipleStatements: false,
        charset: 'utf8mb4',
      });
    } catch (cause) {
      // Nothing was sent yet: what mysql2 refuses here are the parameters behind `?`.
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new TxboxError(
        'OPTIONS_INVALID',
        `mysql2 does not take the parameters in the url of ${this.description}: ${reason}. Values are JSON, for example ?ssl={"rejectUnauthorized":true}.`,
        { cause },
      );
    }
  }

  #takeBack(session: MysqlSession): void {
    if (this.#closed || session.broken || this.#idle.length >= MAX_IDLE) session.destroy();
    else this.#idle.push({ session, since: performance.now() });
  }

  #forget(session: MysqlSession): void {
    this.#open.delete(session);
    this.#idle = this.#idle.filter((idle) => idle.session !== session);
  }
}

/** What a session tells its database. */
interface SessionOwner {
  release(session: MysqlSession): void;
  forget(session: MysqlSession): void;
}

class MysqlSession implements OwnedSession {
  readonly dirty: boolean;
  readonly #connection: mysql.Connection;
  readonly #dialect: () => Dialect;
  readonly #queryTimeoutMs: number;
  readonly #owner: SessionOwner;
  readonly #unanswered = new Set<(reason: string) => void>();
  #inTransaction = false;
  #broken = false;

  constructor(connection: mysql.Connection, dirty: boolean, dialect: () => Dialect, queryTimeoutMs: number, owner: SessionOwner) {
    this.#connection = connection;
    this.dirty = dirty;
    this.#dialect = dialect;
    this.#queryTimeoutMs = queryTimeoutMs;
    this.#owner = owner;
    // An idle connection that dies says so here; without a listener the process would end.
    connection.on('error', () => this.destroy());
    connection.on('end', () => this.destroy());
  }

  get dialect(): Dialect {
    return this.#dialect();
  }

  get broken(): boolean {
    return this.#broken;
  }

  async query(sql: string, values: readonly SqlValue[] = []): Promise<SqlRow[]> {
    return (await this.#run(sql, values)) as SqlRow[];
  }

  async execute(sql: string, values: readonly SqlValue[] = []): Promise<SqlResult> {
    const { affectedRows } = (await this.#run(sql, values)) as mysql.ResultSetHeader;
    return { affectedRows };
  }

  async begin(): Promise<void> {
    this.#inTransaction = true;
    await this.execute('START TRANSACTION');
  }

  async commit(): Promise<void> {
    await this.execute('COMMIT');
    this.#inTransaction = false;
  }

  async rollback(): Promise<void> {
    await this.execute('ROLLBACK');
    this.#inTransaction = false;
  }

  async release(): Promise<void> {
    if (this.#inTransaction) this.destroy();
    else this.#owner.release(this);
  }

  destroy(): void {
    this.#destroy('The connection to the database was closed before the answer came');
  }

  /** Says goodbye, so that the server does not count an aborted client; never waits long for it. */
  async end(): Promise<void> {
    if (this.#broken) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, 1_000);
      this.#connection.end(() => {
        clearTimeout(timer);
        resolve();
      });
    });
    this.destroy();
  }

  // The text protocol: statements vary in their number of rows, and preparing each variant costs more than it saves.
  #run(sql: string, values: readonly SqlValue[]): Promise<unknown> {
    if (this.#broken) return Promise.reject(new TxboxError('DATABASE_UNAVAILABLE', 'The connection to the database is closed.'));
    return new Promise((resolve, reject) => {
      const settled = (): void => {
        clearTimeout(timer);
        this.#unanswered.delete(giveUp);
      };
      const giveUp = (reason: string): void => {
        settled();
        reject(new TxboxError('DATABASE_UNAVAILABLE', `${reason}; the outcome of the statement is unknown.`));
      };
      const timer = setTimeout(() => this.#destroy(`The database did not answer within ${this.#queryTimeoutMs} ms`), this.#queryTimeoutMs);
      this.#unanswered.add(giveUp);
      this.#connection.query(sql, values as SqlValue[], (error, result) => {
        settled();
        if (!error) return resolve(result);
        reject(DENIED.has(error.errno ?? 0) ? rightsMissing(error) : error);
        if (this.dialect.classify(error) === 'connection-lost') this.destroy();
      });
    });
  }

  #destroy(reason: string): void {
    if (this.#broken) return;
    this.#broken = true;
    this.#connection.destroy();
    // The client forgets what it was asked when it is destroyed; whoever waits must hear of it.
    for (const giveUp of [...this.#unanswered]) giveUp(reason);
    this.#owner.forget(this);
  }
}
