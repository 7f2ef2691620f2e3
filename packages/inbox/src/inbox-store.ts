import type { SqlSession } from '@txbox/core/spi';

/**
 * What became of recording ids (P-I2):
 *
 * - `recorded`: they are part of the transaction, and their effects may follow;
 * - `duplicate`: at least one was processed before; which one, `known` tells in a transaction of its own;
 * - `in-progress`: another transaction holds one of them and has not ended in time; nothing is known about its end;
 * - `deadlock`: the database rolled the transaction back.
 *
 * After anything but `recorded` the transaction must be rolled back.
 */
export type RecordOutcome = 'recorded' | 'duplicate' | 'in-progress' | 'deadlock';

/**
 * Which messages a consumer group has processed.
 *
 * An implementation guarantees: of all transactions that record one id for one group, at most one commits; a recorder
 * waits for one that is still open, or says `in-progress`; ids and groups are compared byte by byte. Beginning and
 * ending transactions is the caller's job.
 */
export interface InboxStore {
  /** Records ids in the transaction of `session`. None may be named twice. Never commits; errors other than the named outcomes are thrown as the driver made them. */
  record(session: SqlSession, group: string, ids: readonly Buffer[]): Promise<RecordOutcome>;
  /** Those of the ids that are known to be processed, in any order. */
  known(session: SqlSession, group: string, ids: readonly Buffer[]): Promise<Buffer[]>;
  /** Forgets ids: for those that a handler committed by itself before it was done. */
  forget(session: SqlSession, group: string, ids: readonly Buffer[]): Promise<void>;
}
