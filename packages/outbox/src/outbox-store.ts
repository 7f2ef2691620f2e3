import type { EncodedMessage, IdempotencyKey, SqlSession } from '@txbox/core/spi';
import type { CompactHeads } from './compact-heads.ts';

/** Number of shards, fixed at installation (P-T1). */
export const SHARDS = 16;

/** Lease scope whose slots are the shards (P-R8). */
export const SHARD_SCOPE = 'relay-shard';

/** Scope of the keys that relays park, and of their dead letters. */
export const RELAY_SCOPE = 'relay';

/** Writing side: what a unit of work does with its buffer. */
export interface OutboxWriter {
  /**
   * Inserts the messages in order, in one statement as long as it fits the server's packet (P-W2): `maxStatementBytes` where
   * it is known. Never commits. Rejects with `MESSAGE_TOO_LARGE` for a message that no statement can hold.
   */
  insert(session: SqlSession, messages: readonly EncodedMessage[], maxStatementBytes?: number): Promise<void>;
  /** Inserts one message in the caller's stack, on sessions that have `executeNow`. Throws what the driver says. */
  insertNow?(session: SqlSession, message: EncodedMessage): void;
}

/** Messages of one key that ask for numbers. */
export interface SequenceRequest {
  readonly topic: string;
  readonly key: Buffer;
  readonly count: number;
}

/** Writing side: numbers without gaps for each topic and key (P-W6). */
export interface OutboxSequences {
  /**
   * The last number of each request, whose `count` numbers end there. Locks the rows of the keys, in sorted order, until the
   * transaction ends.
   */
  next(session: SqlSession, requests: readonly SequenceRequest[]): Promise<number[]>;
  /** The same for one, in the caller's stack, on sessions that have `executeNow`. */
  nextNow?(session: SqlSession, request: SequenceRequest): number;
}

/** A transaction that has committed under an idempotency key. */
export interface CommittedCall {
  /** 32 bytes of the arguments. */
  readonly fingerprint: Buffer;
  /** Its result as JSON, empty for `undefined`, `null` where it could not be stored. */
  readonly result: Buffer | null;
  /** 16 bytes each. */
  readonly messageIds: readonly Buffer[];
}

/** Writing side: which keyed transactions have committed (P-W5). */
export interface IdempotencyKeys {
  /** Inserts the key, waiting for another transaction that has done so; returns what has committed under it. */
  claim(session: SqlSession, key: IdempotencyKey): Promise<CommittedCall | 'claimed'>;
  /** Stores what the transaction that claimed the key will have done. */
  complete(session: SqlSession, key: IdempotencyKey, call: Pick<CommittedCall, 'result' | 'messageIds'>): Promise<void>;
  /** Forgets at most `limit` keys that are older than `ageMs`; returns how many. */
  prune(session: SqlSession, ageMs: number, limit: number): Promise<number>;
}

/** What a relay must remember of a row. */
export interface RowHead {
  readonly shard: number;
  /** Orders rows of a shard; never an identity (P-T3). */
  readonly position: number;
  /** Sixteen bytes: the identity. */
  readonly id: Buffer;
  readonly topic: string;
  readonly key: Buffer | null;
}

/** A row as a page shows it. */
export interface PageHead extends RowHead {
  /** True when its key was parked in the snapshot that showed the row: it may not be sent (P-R9). */
  readonly parked: boolean;
}

/** A pending row. */
export interface PendingRow extends PageHead {
  readonly sequence: number | null;
  /** Encoded header block (see `decodeHeaders`). */
  readonly headers: Buffer;
  /** `null` when larger than the page's `inlineBytes`: load it by `loadPayloads` before sending. */
  readonly payload: Buffer | null;
  /** Bytes of key, headers and payload. */
  readonly bytes: number;
  /** UTC, `YYYY-MM-DD HH:MM:SS.ffffff`. */
  readonly createdAt: string;
}

/** What to read of one shard. */
export interface PageRequest {
  readonly shard: number;
  /** Rows below are known to be settled for good; no row can appear there (P-R2). */
  readonly low: number;
  /** Rows of [low, start) come as heads only, rows from `start` on in full; `start` ≥ `low`. */
  readonly start: number;
  /** Most rows in full; 0 = heads alone. */
  readonly limit: number;
  /** Payloads above this many bytes are left out of the page, which bounds it. */
  readonly inlineBytes: number;
  /** A full page is expected: chooses how a store reads, never what the page shows. Default `false`. */
  readonly backlog?: boolean;
  /** The heads may come as a block: for who only compares them. Default `false`. */
  readonly compactHeads?: boolean;
}

/** One shard's part of an answer: one snapshot over [low, …) (P-R2). */
export interface Page {
  readonly shard: number;
  /** Committed rows of [low, start) that stand before `end`, ascending. */
  readonly heads: readonly PageHead[];
  /** Stands for `heads`, which is empty then: none of these rows has a parked key. Only where the request allows it. */
  readonly compactHeads?: CompactHeads;
  /** Committed rows from `start` on that stand before `end`, ascending, at most `limit`. */
  readonly rows: readonly PendingRow[];
  /** First position that the page does not show, `Infinity` when it shows all there are. */
  readonly end: number;
}

/** Relay side: looking, without any lock (P-R1). */
export interface OutboxReader {
  /** One statement, one snapshot, autocommit READ COMMITTED; answers in the order of the requests. */
  readPages(requests: readonly PageRequest[]): Promise<Page[]>;
  /** Payloads that a page left out, by position; a row that is gone is absent. */
  loadPayloads(rows: readonly RowHead[]): Promise<Map<number, Buffer>>;
  /** Highest position visible in any shard, 0 when empty. */
  highestPosition(): Promise<number>;
  /**
   * READ UNCOMMITTED: for each request the positions in [low, upTo] of that shard shown by a dirty look, the lowest
   * `limit` of them, ascending (P-R2). Several, because a relay may pass rows of held lanes that it knows (P-R10).
   */
  dirtyPositions(requests: readonly { shard: number; low: number; upTo: number; limit: number }[]): Promise<number[][]>;
}

/** Relay side: removing what is acknowledged (P-R7). */
export interface OutboxSettler {
  /**
   * Deletes rows by identity (shard, position and id together); returns how many were there.
   * A store that archives moves them instead, each once however many settle it, and always as `each` does.
   * `range` is fast for many rows of one shard, and may wait for an uncommitted row inside the span, at most the session's lock
   * wait time-out; `each` takes rows of any shards and never waits for a row that is not named.
   */
  settle(rows: readonly RowHead[], form: 'range' | 'each'): Promise<number>;
}

/** Why a message is given up, and what is known of it. */
export interface ParkingFailure {
  /** See `parkingReason`. */
  readonly reason: string;
  readonly attempts: number;
  /** Partition that it was sent to. */
  readonly partition: number;
  /** False when every send of it was refused for certain; true when the outcome of one is unknown. */
  readonly mayBePublished: boolean;
}

/** Relay side: setting messages aside, each call in one transaction under the lock of the key's row (P-R9, P-R11). */
export interface OutboxParker {
  /**
   * Moves the row to the dead letters and parks its key (a keyless one parks alone). Nothing happens when the row is gone:
   * somebody else has published or parked it. The caller then forgets what it holds of the key, and every page that it asked
   * for before (P-R4).
   */
  park(row: RowHead, failure: ParkingFailure): Promise<void>;
  /**
   * Moves the row to the dead letters alone, so that its key goes on, out of order. A numbered one leaves a gap marker in its
   * place in the outbox (P-I7), which the caller then reads.
   */
  skip(row: RowHead, failure: ParkingFailure): Promise<void>;
  /** Moves rows of one parked key, ascending by position, behind its dead letters; false when the key is not parked any more. */
  moveFollowers(rows: readonly RowHead[]): Promise<boolean>;
}

/** What is waiting, for status and metrics. */
export interface OutboxBacklog {
  readonly rows: number;
  readonly bytes: number;
  /** Age of the oldest pending row by the database's clock, milliseconds; 0 when empty. */
  readonly oldestAgeMs: number;
}

/** How far a topic has come on its way to another partition count (P-R12). */
export interface TopicSwitch {
  /** The count that it is to have. */
  readonly partitions: number;
  /** Consumer groups that are waited for. */
  readonly groups: readonly string[];
  /**
   * UTC by the database's clock: whoever looks at the pin after that sees the switch. `null` as long as nobody has noted it.
   */
  readonly since: string | null;
  /** Where each partition of the present count ends, once nobody sends to them any more; `null` before. */
  readonly offsets: readonly bigint[] | null;
}

/** Over how many partitions the keys of a topic are spread (P-R12). */
export interface TopicPin {
  readonly topic: string;
  readonly partitions: number;
  /** 1 at first, one more with each count. */
  readonly generation: number;
  /** Nobody begins to send to the topic while this is not `null`. */
  readonly switching: TopicSwitch | null;
}

/** Pinned partition counts (P-R12). */
export interface TopicPins {
  /** The topic's pin, pinning `partitions` when there is none. */
  pin(topic: string, partitions: number): Promise<TopicPin>;
  /** Every pin, by topic. */
  pins(): Promise<TopicPin[]>;
}

/** Who changed a pin, and how; kept in the table `txbox_audit`. */
export interface PinNote {
  readonly action: 'grow-begin' | 'grow-end' | 'grow-cancel';
  readonly actor: string;
}

/** Tools: switching a topic to another partition count (P-R12). */
export interface TopicSwitcher {
  /**
   * Puts `next` in the place of `known`, with an audit row where there is a note, in one transaction. False when the pin is not
   * as `known` says any more: then nothing is changed.
   */
  changePin(known: TopicPin, next: TopicPin, note?: PinNote): Promise<boolean>;
  /** The database's clock, UTC, `YYYY-MM-DD HH:MM:SS.ffffff`. */
  databaseTime(): Promise<string>;
}

/** What waits in one shard. */
export interface ShardBacklog extends OutboxBacklog {
  readonly shard: number;
  /** False when `rows` and `bytes` are estimates, because there is more than is counted. */
  readonly exact: boolean;
}

/** Tools: how much is waiting. */
export interface OutboxInspector {
  /** Counts every row: for tools, not to be asked again and again. */
  backlog(): Promise<OutboxBacklog>;
  /**
   * What waits in these shards at or above the positions, in their order, at a cost that does not grow with the backlog: what
   * lies beyond the first rows of a shard is estimated from its positions. Below `from` nothing is looked at.
   */
  shardBacklogs(requests: readonly { readonly shard: number; readonly from: number }[]): Promise<ShardBacklog[]>;
  /** Whether no row of any shard is left at or below that position. */
  isSettledUpTo(position: number): Promise<boolean>;
}
