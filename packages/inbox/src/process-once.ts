import {
  eventSinkOf,
  isTxboxError,
  outsideUnit,
  systemClock,
  type TransactionResource,
  TxboxError,
  type UnitOfWork,
} from '@txbox/core/spi';
import type { Work } from './batch.ts';
import type { HandlerContext } from './handler-context.ts';
import type { InboxStore, RecordOutcome } from './inbox-store.ts';

/** What {@link processOnce} works with. */
export interface ProcessOnceContext {
  readonly resource: TransactionResource;
  readonly store: InboxStore;
  readonly group: string;
  /** The property of a handler context that holds the unit's handle: `manager`, `connection`, `database`. */
  readonly handleName: string;
}

/** One run of {@link processOnce}. */
export interface ProcessOnceRun {
  /** Number of this try of a message, from 1. */
  attemptOf(work: Work): number;
  /** Aborted: no further handler begins and nothing is committed. */
  readonly signal: AbortSignal;
}

/** What became of the works. Everything but `applied` and `unknown` left no trace in the database, unless a handler committed by itself. */
export type ProcessOnceOutcome =
  /** All have had their effect, those in `duplicates` earlier. */
  | { readonly kind: 'applied'; readonly duplicates: readonly Work[] }
  | { readonly kind: 'stopped' }
  /** Somebody else's transaction was in the way: the same again, later. */
  | { readonly kind: 'contended' }
  | { readonly kind: 'deadlock'; readonly error: unknown }
  /** Nobody answered to COMMIT. The same again: the recorded ids tell (P-W5). */
  | { readonly kind: 'unknown'; readonly error: unknown }
  /** The database is away. */
  | { readonly kind: 'unavailable'; readonly error: unknown }
  /** `work`: whose handler failed, where it is known. */
  | { readonly kind: 'failed'; readonly error: unknown; readonly work: Work | undefined };

/** Records the works of a lane and runs their handlers, in order, in one transaction (P-I1 to P-I3). Never rejects. */
export async function processOnce(context: ProcessOnceContext, works: readonly Work[], run: ProcessOnceRun): Promise<ProcessOnceOutcome> {
  const first = await new Attempt(context, run, works).run();
  if (first.kind !== 'duplicate') return first;
  // P-I2: the error names one id at most, so the known ones are looked up, once; a further duplicate is one in the making.
  const second = await new Attempt(context, run, works, 'known looked up').run();
  return second.kind === 'duplicate' ? { kind: 'contended' } : second;
}

/** One transaction. */
class Attempt {
  readonly #context: ProcessOnceContext;
  readonly #run: ProcessOnceRun;
  readonly #works: readonly Work[];
  readonly #lookUp: boolean;
  #unit: UnitOfWork | undefined;
  #refusal: Exclude<RecordOutcome, 'recorded'> | undefined;
  #stopped = false;
  #handling: Work | undefined;
  #duplicates: readonly Work[] = [];
  /** Works whose ids this transaction recorded, and whose handlers are not done. */
  #undone: readonly Work[] = [];

  constructor(context: ProcessOnceContext, run: ProcessOnceRun, works: readonly Work[], lookUp?: 'known looked up') {
    this.#context = context;
    this.#run = run;
    this.#works = works;
    this.#lookUp = lookUp !== undefined;
  }

  async run(): Promise<ProcessOnceOutcome | { readonly kind: 'duplicate' }> {
    const { resource } = this.#context;
    try {
      // P-I1. A SQLite transaction has one level.
      await resource.run(resource.dialect.name === 'sqlite' ? {} : { isolationLevel: 'READ COMMITTED' }, async (unit) => {
        this.#unit = unit;
        await this.#inside(unit);
      });
      return { kind: 'applied', duplicates: this.#duplicates };
    } catch (error) {
      if (this.#unit?.doom?.half && this.#undone.length > 0) return await this.#takeBack(error);
      try {
        return this.#outcomeOf(error);
      } catch {
        return {
          kind: 'failed',
          error: new TxboxError('HANDLER_FAILED', 'Something was thrown that cannot be read.'),
          work: this.#handling,
        };
      }
    }
  }

  /**
   * A handler made the server commit half-way, for example by a stored procedure, and the recorded ids with it: they would
   * make duplicates of messages that are not done. A crash right here leaves them so; only the handler can prevent that,
   * because the commit was its own.
   */
  async #takeBack(cause: unknown): Promise<ProcessOnceOutcome> {
    const { resource, store, group } = this.#context;
    const ids = this.#undone.map(({ id }) => id);
    for (let pauseMs = 100; ; pauseMs = Math.min(2 * pauseMs, 2_000)) {
      try {
        await outsideUnit(resource.key, () => resource.withSession((session) => store.forget(session, group, ids)));
        break;
      } catch (error) {
        if (this.#run.signal.aborted) return { kind: 'failed', error, work: this.#handling };
        await systemClock.sleep(pauseMs, this.#run.signal);
      }
    }
    const reason = this.#unit?.doom?.reason ?? 'unknown';
    const error = new TxboxError(
      'HANDLER_FAILED',
      `The handler ended its transaction half-way: ${reason}. What it did before that is committed; the message counts as not processed and is tried again. ` +
        'Leave committing to the inbox.',
      { cause },
    );
    return { kind: 'failed', error, work: this.#handling };
  }

  async #inside(unit: UnitOfWork): Promise<void> {
    const { store, group } = this.#context;
    let fresh = this.#works;
    if (this.#lookUp) {
      const known = await store.known(
        unit.session,
        group,
        fresh.map(({ id }) => id),
      );
      const isKnown = ({ id }: Work): boolean => known.some((one) => one.equals(id));
      this.#duplicates = fresh.filter(isKnown);
      fresh = fresh.filter((work) => !isKnown(work));
    }
    const outcome = await store.record(
      unit.session,
      group,
      fresh.map(({ id }) => id),
    );
    this.#undone = outcome === 'recorded' ? fresh : [];
    if (outcome !== 'recorded') {
      this.#refusal = outcome;
      throw new TxboxError('MESSAGE_IN_PROGRESS', `Messages could not be recorded: ${outcome}.`);
    }
    const signal = AbortSignal.any([this.#run.signal, unit.signal]);
    for (const work of fresh) {
      this.#refuseStopped();
      this.#handling = work;
      await work.handler.invoke(work.payload, this.#handlerContext(unit, work, signal));
      // P-W3: after a swallowed deadlock the next handler's statements would commit by themselves.
      if (unit.doom) throw new TxboxError('UNIT_DOOMED', `The transaction cannot commit: ${unit.doom.reason}.`, { cause: unit.doom.cause });
      this.#undone = this.#undone.filter((other) => other !== work);
    }
    this.#handling = undefined;
    this.#refuseStopped();
  }

  #refuseStopped(): void {
    if (!this.#run.signal.aborted) return;
    this.#stopped = true;
    throw new TxboxError('STOPPED', 'The inbox gave this batch up.');
  }

  #handlerContext(unit: UnitOfWork, work: Work, signal: AbortSignal): HandlerContext {
    const { message } = work;
    // What a handler adds belongs to what its message belongs to, and comes from it.
    const chain = { correlationId: message.correlationId ?? message.id, causationId: message.id };
    return {
      message,
      attempt: this.#run.attemptOf(work),
      signal,
      add: (event, payload, options) => eventSinkOf(unit).add(unit, event, payload, { ...chain, ...options }),
      [this.#context.handleName]: unit.handle,
    };
  }

  // Judged by what was going on, not by the error alone: what reaches us may be wrapped, and a handler's own
  // unique-key violation or lost HTTP connection says nothing about our statement (P-I2).
  #outcomeOf(error: unknown): ProcessOnceOutcome | { readonly kind: 'duplicate' } {
    if (this.#stopped) return { kind: 'stopped' };
    // A handler that was told to end and threw has not failed.
    if (this.#handling && this.#run.signal.aborted) return { kind: 'stopped' };
    if (this.#refusal === 'deadlock') return { kind: 'deadlock', error };
    if (this.#refusal !== undefined) return { kind: this.#refusal === 'in-progress' ? 'contended' : this.#refusal };
    if (isTxboxError(error, 'OUTCOME_UNKNOWN')) return { kind: 'unknown', error };
    if (!this.#unit) return { kind: 'unavailable', error };
    const { dialect } = this.#context.resource;
    const { doom } = this.#unit;
    // A deadlock or a lost connection of a handler's own, in another database for example, did nothing to this transaction.
    if (this.#handling && !doom) return { kind: 'failed', error, work: this.#handling };
    const kind = dialect.classify(doom ? doom.cause : isTxboxError(error, 'UNIT_DOOMED') ? error.cause : error);
    if (kind === 'deadlock') return { kind: 'deadlock', error };
    if (kind === 'lock-timeout') return { kind: 'contended' };
    if (kind === 'connection-lost') return { kind: 'unavailable', error: unavailable(error) };
    return { kind: 'failed', error, work: this.#handling };
  }
}

function unavailable(error: unknown): unknown {
  if (isTxboxError(error, 'DATABASE_UNAVAILABLE')) return error;
  return new TxboxError('DATABASE_UNAVAILABLE', 'The connection was lost, and with it the transaction; nothing of it was committed.', {
    cause: error,
  });
}
