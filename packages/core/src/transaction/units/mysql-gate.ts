import { errorMonitor } from 'node:events';
import { TxboxError } from '../../runtime/error.ts';
import type { Dialect } from '../../sql/dialect.ts';
import type { SqlSession } from '../../sql/session.ts';
import { notSent, SERVER_STATUS_IN_TRANS } from '../doom.ts';
import type { ConnectedUnit } from '../unit-connection.ts';
import { answerInContext, CommandTap } from './command-tap.ts';
import { mysqlSession, refuseAutocommitOff, send, statusOf, type WireCommand, type WireConnection } from './mysql-wire.ts';
import type { Origin, Passage, StatementWatch } from './statement-watch.ts';

/** The savepoint around a statement that may do anything to the transaction. */
const PROBE = 'txbox_probe';

/** A statement on its way. */
interface Entry {
  readonly command: WireCommand;
  readonly sql: string;
  readonly origin: Origin;
  /** The reader of its rows, when it is read as a stream. */
  stream?: { readonly destroyed: boolean; destroy(): void };
}

/**
 * Hands the statements of a unit's mysql2 connection to the driver one at a time, each judged by the watch right before
 * it is sent. mysql2's own queue would send those behind a statement that failed with a deadlock, and they would commit
 * by themselves (P-W3).
 */
export class MysqlGate {
  readonly session: SqlSession;
  readonly #raw: WireConnection;
  readonly #unit: ConnectedUnit;
  readonly #watch: StatementWatch;
  readonly #tap: CommandTap;
  readonly #onError: (error: unknown) => void;
  #queue: Entry[] = [];
  #current: Entry | undefined;
  #sendingOwn = false;
  #left = false;
  #asking = false;
  #status: number | undefined;
  /** What the driver has, and has not answered. */
  readonly #unanswered = new Set<WireCommand>();
  /** A statement that the driver has given up and the server has not. */
  #stuck = false;
  /** Why the connection can do nothing any more. */
  #dead: { readonly error: unknown } | undefined;
  #whenQuiet: (() => void)[] = [];
  #settleCurrent: (() => void) | undefined;

  constructor(raw: WireConnection, unit: ConnectedUnit, watch: StatementWatch, dialect: Dialect) {
    if (typeof raw.addCommand !== 'function') {
      throw new TxboxError(
        'DEPENDENCY_MISSING',
        "Transactions need the client mysql2, and the connection is of another. Install mysql2 (TypeORM 0.3: connectorPackage: 'mysql2').",
      );
    }
    this.#raw = raw;
    this.#unit = unit;
    this.#watch = watch;
    this.session = mysqlSession(dialect, async (sql, values) => {
      // By then the connection is somebody else's.
      if (this.#left) throw new TxboxError('UNIT_CLOSED', `The transaction is over (${unit.state}): await everything inside it.`);
      return await this.#own(() => send(raw, sql, values));
    });
    this.#tap = CommandTap.of(raw);
    this.#tap.taker = (command) => this.#add(command);
    this.#onError = (error) => this.#lost(error);
    raw.on('error', this.#onError);
  }

  /** After START TRANSACTION. Throws `AUTOCOMMIT_OFF`. */
  refuseAutocommitOff(): void {
    refuseAutocommitOff(this.#status);
  }

  /** Resolves when nothing is on its way. A stream that nobody has read to its end dooms the unit and is closed. */
  async quiet(): Promise<void> {
    this.#noticeClosing();
    if (this.#stuck || this.#unit.doom) return;
    const open = this.#current?.stream;
    if (open && !open.destroyed) {
      this.#unit.doomWith({ reason: 'a stream was still being read at the end of the transaction: read it to its end, or destroy it' });
      this.#abandonStream();
    }
    await this.#idle();
  }

  /** Lets ROLLBACK through: nobody waits for the rest of a stream. Rejects when an answer may never come. */
  async quietForRollback(): Promise<void> {
    this.#noticeClosing();
    if (this.#stuck) throw new TxboxError('DATABASE_UNAVAILABLE', 'A statement has not been answered.');
    this.#abandonStream();
  }

  /** Those who wait for an answer get `error` instead, and the connection is closed; nothing happens when nobody waits. */
  interrupt(error: unknown): void {
    if (this.#unanswered.size === 0) return;
    const waiting = [...this.#unanswered];
    this.#dead ??= { error };
    this.#raw.destroy();
    for (const command of waiting) refuse(command, error);
    this.#lost(error);
  }

  /** Steps aside; returns whether the connection may be used again. */
  leave(): boolean {
    this.#left = true;
    const closed = this.#closed;
    this.#tap.taker = undefined;
    this.#raw.off('error', this.#onError);
    const pending = this.#current !== undefined || this.#queue.length > 0;
    return !closed && !pending && !this.#stuck && ((this.#status ?? 0) & SERVER_STATUS_IN_TRANS) === 0;
  }

  get #closed(): boolean {
    return this.#dead !== undefined || this.#tap.closed;
  }

  // A connection that was closed on this side tells nobody, not even those who wait for an answer.
  #noticeClosing(): void {
    if (this.#closed && !this.#dead) this.#lost(new TxboxError('DATABASE_UNAVAILABLE', 'The connection was closed by this process.'));
  }

  #own<T>(work: () => T): T {
    this.#sendingOwn = true;
    try {
      return work();
    } finally {
      this.#sendingOwn = false;
    }
  }

  #add(command: WireCommand): unknown {
    // Ahead of what waits here.
    if (this.#asking) return this.#tap.send(command);
    answerInContext(command);
    const origin = this.#watch.origin(this.#sendingOwn ? 'framework' : undefined);
    const sql = command.sql ?? command.query ?? command.statement?.query ?? '';
    const entry: Entry = { command, sql, origin };
    rememberStream(entry);
    // COMMIT keeps its place while the unit is flushed.
    if (origin.sender === 'framework' && this.#unit.state === 'flushing') this.#send(entry, () => undefined);
    else {
      this.#queue.push(entry);
      this.#next();
    }
    return command;
  }

  #next(): void {
    while (!this.#current) {
      const entry = this.#queue.shift();
      if (!entry) break;
      this.#current = entry;
      this.#send(entry, () => {
        this.#current = undefined;
        this.#next();
      });
    }
    if (!this.#current && this.#queue.length === 0 && this.#whenQuiet.length > 0) for (const tell of this.#whenQuiet.splice(0)) tell();
  }

  #idle(): Promise<void> {
    if (!this.#current && this.#queue.length === 0) return Promise.resolve();
    return new Promise((resolve) => this.#whenQuiet.push(resolve));
  }

  #send(entry: Entry, done: () => void): void {
    let passage: Passage;
    if (this.#dead) {
      refuse(entry.command, this.#dead.error);
      done();
      return;
    }
    try {
      // What is no statement (a ping, the closing of a prepared one) passes like the framework's own.
      passage = entry.sql === '' ? 'unwatched' : this.#watch.admit(entry.sql, entry.origin);
    } catch (error) {
      refuse(entry.command, error);
      done();
      return;
    }
    if (passage === 'COMMIT') void this.#commit(entry, done);
    else if (passage !== 'unwatched' && passage.opaque) void this.#probe(entry, passage, done);
    else this.#hand(entry, passage, done);
  }

  async #commit(entry: Entry, done: () => void): Promise<void> {
    try {
      await this.#unit.flush();
      if (this.#closed) throw new TxboxError('DATABASE_UNAVAILABLE', 'The connection was closed before COMMIT was sent.');
    } catch (error) {
      refuse(entry.command, error);
      done();
      return;
    }
    this.#unit.committing();
    this.#hand(entry, 'COMMIT', done);
  }

  /** A savepoint around a statement that may do anything tells whether the transaction is still the same after it. */
  async #probe(entry: Entry, passage: Passage, done: () => void): Promise<void> {
    try {
      await this.#ahead(`SAVEPOINT ${PROBE}`);
      if (this.#unit.doom) throw notSent(this.#unit.doom);
    } catch (error) {
      refuse(entry.command, error);
      done();
      return;
    }
    this.#hand(entry, passage, () => {
      if (this.#dead || this.#stuck || this.#unit.doom) done();
      else
        this.#ahead(`RELEASE SAVEPOINT ${PROBE}`)
          .catch((error: unknown) => this.#watch.vanished(entry.sql, error))
          .finally(done);
    });
  }

  /** To the driver, and back: what is noticed here is noticed before the next statement goes and before the sender is told. */
  #hand({ command, sql, origin }: Entry, passage: Passage, done: () => void): void {
    let failed = false;
    let ask: { readonly error: unknown } | undefined;
    let settled = false;
    const settle = (): void => {
      if (settled) return;
      settled = true;
      this.#unanswered.delete(command);
      this.#settleCurrent = undefined;
      if (ask && !this.#dead) this.#ask(sql, ask.error, done);
      else done();
    };
    const fail = (error: unknown): void => {
      failed = true;
      if (this.#watch.failed(sql, passage, error)) ask = { error };
      const { fatal, code } = error as { fatal?: boolean; code?: string };
      // The driver gave up waiting, the server did not: nothing can be sent behind it.
      if (code === 'PROTOCOL_SEQUENCE_TIMEOUT') this.#stuck = true;
      if (!fatal) return;
      this.#dead ??= { error };
      settle();
    };
    let status: number | undefined;
    command.on('result', (result) => {
      status = statusOf(result) ?? status;
    });
    const { onResult } = command;
    if (onResult) {
      command.onResult = (error, ...rest) => {
        if (error) fail(error);
        onResult.call(command, error, ...rest);
      };
    } else {
      command.on(errorMonitor, fail);
    }
    command.on('end', () => {
      if (!failed) {
        this.#status = status ?? this.#status;
        this.#watch.succeeded(sql, passage, status, origin.branch);
        if (passage === 'COMMIT') this.#unit.committed();
      }
      settle();
    });
    this.#settleCurrent = settle;
    this.#unanswered.add(command);
    this.#tap.send(command);
  }

  /** Whether the transaction survived a lock time-out is the server's setting; the answer to a statement that does nothing tells. */
  #ask(sql: string, error: unknown, done: () => void): void {
    this.#ahead('DO 0')
      .then(
        (result) => this.#watch.asked(sql, statusOf(result) ?? 0, error),
        (failure: unknown) => this.#lost(failure),
      )
      .finally(done);
  }

  /** Sends a statement of the gate's own before those that wait. */
  #ahead(sql: string): Promise<unknown> {
    this.#asking = true;
    try {
      return this.#own(() => send(this.#raw, sql));
    } finally {
      this.#asking = false;
    }
  }

  #lost(error: unknown): void {
    this.#dead ??= { error };
    this.#watch.lost(error);
    this.#settleCurrent?.();
    this.#next();
  }

  #abandonStream(): void {
    const { stream, command } = this.#current ?? {};
    if (!stream || !command) return;
    stream.destroy();
    command.removeAllListeners('result');
    this.#raw.resume();
  }
}

function rememberStream(entry: Entry): void {
  const { command } = entry;
  const { stream } = command;
  if (!stream || command.onResult) return;
  command.stream = (...args) => {
    entry.stream = stream.apply(command, args);
    return entry.stream;
  };
}

/** Tells the sender of a command that it was not sent. */
function refuse(command: WireCommand, error: unknown): void {
  if (command.onResult) {
    command.onResult(error);
    return;
  }
  // Its listeners come when the caller has it.
  process.nextTick(() => {
    if (command.listenerCount('error') > 0) command.emit('error', error);
    command.emit('end');
  });
}
