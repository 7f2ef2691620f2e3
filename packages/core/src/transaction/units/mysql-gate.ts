import type { AsyncResource } from 'node:async_hooks';
import { TxboxError } from '../../runtime/error.ts';
import type { Dialect } from '../../sql/dialect.ts';
import type { SqlSession } from '../../sql/session.ts';
import { callerContext } from '../current-transaction.ts';
import { notSent, SERVER_STATUS_IN_TRANS } from '../doom.ts';
import type { ConnectedUnit } from '../unit-connection.ts';
import { CommandTap } from './command-tap.ts';
import { mysqlSession, refuseAutocommitOff, send, sendControl, statusOf, type WireCommand, type WireConnection } from './mysql-wire.ts';
import type { Origin, Passage, Sender, StatementWatch } from './statement-watch.ts';

/** The savepoint around a statement that may do anything to the transaction. */
const PROBE = 'txbox_probe';

/** A statement on its way. */
class Entry {
  readonly command: WireCommand;
  readonly sql: string;
  readonly origin: Origin;
  /** Of whoever sends it; none where the answer is a promise, which has its own. */
  readonly context: AsyncResource | undefined;
  /** It is sent while COMMIT keeps its place. */
  readonly beside: boolean;
  passage: Passage = 'unwatched';
  /** The reader of its rows, when it is read as a stream. */
  stream: { readonly destroyed: boolean; destroy(): void } | undefined;
  /** The flags of the last OK packet. */
  status: number | undefined;
  failed = false;
  settled = false;
  /** A savepoint was set before it. */
  probed = false;
  /** It failed, and the session must be asked whether it is still in the transaction. */
  doubt: { readonly error: unknown } | undefined;

  constructor(command: WireCommand, origin: Origin, context: AsyncResource | undefined, beside: boolean) {
    this.command = command;
    this.sql = command.sql ?? command.query ?? command.statement?.query ?? '';
    this.origin = origin;
    this.context = context;
    this.beside = beside;
  }
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
  /** Who sends what comes now, where the async context does not tell. */
  #sender: Sender | undefined;
  /** What comes now is answered by a promise. */
  #promised = false;
  #left = false;
  #asking = false;
  #status: number | undefined;
  /** What the driver has, and has not answered. */
  #unanswered: Entry[] = [];
  /** A statement that the driver has given up and the server has not. */
  #stuck = false;
  /** Why the connection can do nothing any more. */
  #dead: { readonly error: unknown } | undefined;
  #whenQuiet: (() => void)[] = [];

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
      return await this.#as('framework', () => send(raw, sql, values));
    });
    this.#tap = CommandTap.of(raw);
    const take = (command: WireCommand): unknown => this.#add(command);
    const lose = (error: unknown): void => this.#lost(error);
    this.#tap.taker = take;
    this.#onError = lose;
    raw.on('error', this.#onError);
  }

  /** Sends a statement that begins or ends the transaction. */
  control(sql: string): Promise<unknown> {
    return this.#as('hook', () => sendControl(this.#raw, sql));
  }

  /** For what sends a statement of the user's and returns a promise: it need not be answered in its sender's context. */
  promised<T>(work: () => T): T {
    return this.#as(undefined, work);
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
    const waiting = [...this.#unanswered];
    if (waiting.length === 0) return;
    this.#dead ??= { error };
    this.#raw.destroy();
    for (const { command } of waiting) refuse(command, error);
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

  #as<T>(sender: Sender | undefined, work: () => T): T {
    const [before, promised] = [this.#sender, this.#promised];
    this.#sender = sender;
    this.#promised = true;
    try {
      return work();
    } finally {
      this.#sender = before;
      this.#promised = promised;
    }
  }

  #add(command: WireCommand): unknown {
    // Ahead of what waits here.
    if (this.#asking) return this.#tap.send(command);
    const origin = this.#watch.origin(this.#sender);
    const beside = origin.sender === 'framework' && this.#unit.state === 'flushing';
    const entry = new Entry(command, origin, this.#promised ? undefined : callerContext(), beside);
    this.#watchAnswers(entry);
    if (beside) this.#send(entry);
    else {
      this.#queue.push(entry);
      this.#next();
    }
    return command;
  }

  /**
   * What is noticed here is noticed before the next statement goes and before the sender is told.
   *
   * Functions are put into variables first, here and wherever one is made for each unit or statement: V8 takes one that is
   * assigned to a property as it is written for a method, and allocates it where it stays until the next full collection,
   * with the whole unit that it knows (docs/decisions/functions-of-a-unit.md).
   */
  #watchAnswers(entry: Entry): void {
    const { command, context } = entry;
    const { emit, onResult, stream } = command;
    if (!context && onResult) {
      const answer: WireCommand['onResult'] = (error, rows, fields) => {
        if (error) this.#failed(entry, error);
        onResult.call(command, error, rows, fields);
      };
      // Nobody else has the command.
      const hear: WireCommand['emit'] = (event, value) => this.#heard(entry, event, value);
      command.onResult = answer;
      command.emit = hear;
      return;
    }
    const asked = context ?? callerContext();
    if (onResult) {
      const answer: WireCommand['onResult'] = (error, ...rest) => {
        if (error) this.#failed(entry, error);
        asked.runInAsyncScope(onResult, command, error, ...rest);
      };
      command.onResult = answer;
    }
    const hear: WireCommand['emit'] = (event, ...values) => {
      this.#heard(entry, event, values[0]);
      return asked.runInAsyncScope(emit, command, event, ...values);
    };
    command.emit = hear;
    if (!stream || onResult) return;
    const streamed: WireCommand['stream'] = (...args) => {
      entry.stream = stream.apply(command, args);
      return entry.stream;
    };
    command.stream = streamed;
  }

  #heard(entry: Entry, event: string, value: unknown): boolean {
    if (event === 'result') entry.status = statusOf(value) ?? entry.status;
    else if (event === 'error') this.#failed(entry, value);
    else if (event === 'end') this.#answered(entry);
    return false;
  }

  #next(): void {
    while (!this.#current) {
      const entry = this.#queue.shift();
      if (!entry) break;
      this.#current = entry;
      this.#send(entry);
    }
    if (!this.#current && this.#queue.length === 0 && this.#whenQuiet.length > 0) for (const tell of this.#whenQuiet.splice(0)) tell();
  }

  #idle(): Promise<void> {
    if (!this.#current && this.#queue.length === 0) return Promise.resolve();
    return new Promise((resolve) => this.#whenQuiet.push(resolve));
  }

  #send(entry: Entry): void {
    this.#noticeClosing();
    if (this.#dead) {
      this.#refuse(entry, this.#unit.doom ? notSent(this.#unit.doom) : this.#dead.error);
      return;
    }
    try {
      // What is no statement (a ping, the closing of a prepared one) passes like the framework's own.
      if (entry.sql !== '') entry.passage = this.#watch.admit(entry.sql, entry.origin);
    } catch (error) {
      this.#refuse(entry, error);
      return;
    }
    const { passage } = entry;
    if (passage === 'COMMIT') void this.#commit(entry);
    else if (passage !== 'unwatched' && passage.opaque) void this.#probe(entry);
    else this.#hand(entry);
  }

  async #commit(entry: Entry): Promise<void> {
    try {
      await this.#unit.flush();
      if (this.#closed) throw new TxboxError('DATABASE_UNAVAILABLE', 'The connection was closed before COMMIT was sent.');
    } catch (error) {
      this.#refuse(entry, error);
      return;
    }
    this.#unit.committing();
    this.#hand(entry);
  }

  /** A savepoint around a statement that may do anything tells whether the transaction is still the same after it. */
  async #probe(entry: Entry): Promise<void> {
    try {
      await this.#ahead(`SAVEPOINT ${PROBE}`);
      if (this.#unit.doom) throw notSent(this.#unit.doom);
    } catch (error) {
      this.#refuse(entry, error);
      return;
    }
    entry.probed = true;
    this.#hand(entry);
  }

  #hand(entry: Entry): void {
    this.#unanswered.push(entry);
    this.#tap.send(entry.command);
  }

  /** Not sent: its sender is told why. */
  #refuse(entry: Entry, error: unknown): void {
    // Nothing of it reached the server.
    entry.settled = true;
    refuse(entry.command, error);
    this.#done(entry);
  }

  #failed(entry: Entry, error: unknown): void {
    if (entry.settled) return;
    entry.failed = true;
    if (this.#watch.failed(entry.sql, entry.passage, error)) entry.doubt = { error };
    const { fatal, code } = error as { fatal?: boolean; code?: string };
    // The driver gave up waiting, the server did not: nothing can be sent behind it.
    if (code === 'PROTOCOL_SEQUENCE_TIMEOUT') this.#stuck = true;
    if (!fatal) return;
    this.#dead ??= { error };
    this.#settle(entry);
  }

  #answered(entry: Entry): void {
    if (entry.settled) return;
    const { sql, passage, status, origin } = entry;
    if (!entry.failed) {
      this.#status = status ?? this.#status;
      this.#watch.succeeded(sql, passage, status, origin.branch);
      if (passage === 'COMMIT') this.#unit.committed();
    }
    this.#settle(entry);
  }

  #settle(entry: Entry): void {
    if (entry.settled) return;
    entry.settled = true;
    if (this.#unanswered.at(-1) === entry) this.#unanswered.pop();
    else this.#unanswered = this.#unanswered.filter((other) => other !== entry);
    if (entry.doubt && !this.#dead) this.#ask(entry, entry.doubt.error);
    else this.#endProbe(entry);
  }

  /** Whether the transaction survived a lock time-out is the server's setting; the answer to a statement that does nothing tells. */
  #ask(entry: Entry, error: unknown): void {
    this.#ahead('DO 0')
      .then(
        (result) => this.#watch.asked(entry.sql, statusOf(result) ?? 0, error),
        (failure: unknown) => this.#lost(failure),
      )
      .finally(() => this.#endProbe(entry));
  }

  #endProbe(entry: Entry): void {
    if (entry.probed && (this.#dead || this.#stuck)) this.#watch.unprobed(entry.sql);
    if (!entry.probed || this.#dead || this.#stuck || this.#unit.doom) this.#done(entry);
    else
      this.#ahead(`RELEASE SAVEPOINT ${PROBE}`)
        .catch((error: unknown) => (this.#dead ? this.#watch.unprobed(entry.sql) : this.#watch.vanished(entry.sql, error)))
        .finally(() => this.#done(entry));
  }

  #done(entry: Entry): void {
    if (entry.beside) return;
    this.#current = undefined;
    this.#next();
  }

  /** Sends a statement of the gate's own before those that wait. */
  #ahead(sql: string): Promise<unknown> {
    this.#asking = true;
    try {
      return send(this.#raw, sql);
    } finally {
      this.#asking = false;
    }
  }

  #lost(error: unknown): void {
    this.#dead ??= { error };
    this.#watch.lost(error);
    for (const entry of [...this.#unanswered]) this.#settle(entry);
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
