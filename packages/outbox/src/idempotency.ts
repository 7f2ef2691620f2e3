import {
  doomed,
  type IdempotencyKey,
  isTxboxError,
  jsonCodec,
  type Logger,
  messageIdFromBytes,
  type SqlSession,
  systemClock,
  TxboxError,
  type UnitOfWork,
} from '@txbox/core/spi';
import type { CommittedCall, IdempotencyKeys } from './outbox-store.ts';

/** Bounds of what is kept of keyed transactions. */
export interface IdempotencySettings {
  /** How long a key is remembered, milliseconds. Default 7 days. */
  readonly retentionMs: number;
  /** A result with more bytes of JSON is not stored: its repeat rejects with `ALREADY_COMMITTED`. Default 65,536. */
  readonly maxResultBytes: number;
}

/** What {@link Idempotency} works with. */
export interface IdempotencyPlan {
  readonly keys: IdempotencyKeys;
  readonly settings: IdempotencySettings;
  readonly logger: Logger;
  /** The ids of the events that the unit has added so far. */
  readonly messageIdsOf: (unit: UnitOfWork) => readonly Buffer[];
  /** Runs a statement on the tables; rejects with `SCHEMA_MISSING` or `SCHEMA_NOT_WRITABLE`. */
  readonly onTables: <T>(session: SqlSession, work: () => Promise<T>) => Promise<T>;
}

const PRUNE_EVERY_MS = 10 * 60_000;
const PRUNE_KEYS = 1_000;
/** Of a transaction with more events the first ids are kept. */
const MAX_MESSAGE_IDS = 10_000;

/** Transactions that are done once per key (P-W5). */
export class Idempotency {
  readonly #plan: IdempotencyPlan;
  #prunedAt = Number.NEGATIVE_INFINITY;

  constructor(plan: IdempotencyPlan) {
    this.#plan = plan;
  }

  /** See `EventSink.once`. */
  async once<T>(unit: UnitOfWork, key: IdempotencyKey, fn: () => Promise<T>): Promise<T> {
    const { keys, onTables, messageIdsOf } = this.#plan;
    const committed = await onTables(unit.session, () => this.#claim(unit, key));
    if (committed !== 'claimed') return resultOf(committed, key) as T;
    let result: Buffer | null = null;
    // Registered before any event is added, so that it runs before their INSERT.
    unit.beforeCommit(async () => {
      const messageIds = messageIdsOf(unit).slice(0, MAX_MESSAGE_IDS);
      // As it was claimed.
      if (result?.length === 0 && messageIds.length === 0) return;
      await onTables(unit.session, () => keys.complete(unit.session, key, { result, messageIds }));
    });
    const returned = await fn();
    result = this.#storable(returned);
    unit.afterCommit(() => this.#pruneSometimes(unit));
    return returned;
  }

  async #claim(unit: UnitOfWork, key: IdempotencyKey): Promise<CommittedCall | 'claimed'> {
    try {
      return await this.#plan.keys.claim(unit.session, key);
    } catch (error) {
      if (isTxboxError(error)) throw error;
      if (unit.session.dialect.classify(error) !== 'lock-timeout') throw unit.doom ? doomed(unit.doom) : error;
      throw new TxboxError(
        'OUTCOME_UNKNOWN',
        `Another transaction with the idempotencyKey ${JSON.stringify(key.key)} is still open, so whether it commits is not known yet. Nothing was done by this one: call it again with the same key.`,
        { cause: error, details: { idempotencyKey: key.key } },
      );
    }
  }

  #storable(result: unknown): Buffer | null {
    if (result === undefined) return Buffer.alloc(0);
    try {
      const bytes = Buffer.from(jsonCodec.encode(result));
      return bytes.length <= this.#plan.settings.maxResultBytes ? bytes : null;
    } catch {
      return null;
    }
  }

  async #pruneSometimes({ resource }: UnitOfWork): Promise<void> {
    const { keys, settings, logger } = this.#plan;
    const now = systemClock.monotonic();
    if (now - this.#prunedAt < PRUNE_EVERY_MS) return;
    this.#prunedAt = now;
    try {
      await resource.withSession(async (session) => {
        while ((await keys.prune(session, settings.retentionMs, PRUNE_KEYS)) === PRUNE_KEYS);
      });
    } catch (error) {
      logger.debug({ err: error }, 'old idempotency keys could not be removed; tried again later');
    }
  }
}

function resultOf({ fingerprint, result, messageIds }: CommittedCall, key: IdempotencyKey): unknown {
  const details = { idempotencyKey: key.key, messageIds: messageIds.map((id) => messageIdFromBytes(id)) };
  const name = JSON.stringify(key.key);
  if (!fingerprint.equals(key.fingerprint)) {
    throw new TxboxError(
      'IDEMPOTENCY_KEY_REUSED',
      `A transaction with the idempotencyKey ${name} has committed, and it was called with other arguments or is another method. Nothing was done now: a key names one call.`,
      { details },
    );
  }
  if (result === null) {
    throw new TxboxError(
      'ALREADY_COMMITTED',
      `A transaction with the idempotencyKey ${name} has committed, and its result was not stored (too large, or nothing that JSON can hold). Nothing was done now; details.messageIds has the events it added.`,
      { details },
    );
  }
  return result.length === 0 ? undefined : jsonCodec.decode(result);
}
