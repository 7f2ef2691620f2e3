import type { SqlSession } from '../sql/session.ts';

/** Which dead letters are meant; what is left out matches everything. */
export interface DeadLetterFilter {
  /** Sixteen bytes: the message itself. */
  readonly id?: Buffer;
  /** Sixteen bytes: those that wait for one key's turn. */
  readonly parkedKeyId?: Buffer;
  readonly topic?: string;
  readonly key?: Buffer;
  readonly type?: string;
  /** Text that the reason contains, an error code for example. */
  readonly reason?: string;
  /** Parked at or after this instant, UTC, `YYYY-MM-DD HH:MM:SS`. */
  readonly since?: string;
  /** Parked before this instant. */
  readonly until?: string;
}

/** What a list shows of a dead letter: all but headers and payload. */
export interface DeadLetterHead {
  /** Orders the dead letters of a key; never an identity. */
  readonly place: number;
  /** Sixteen bytes: the identity of the message. */
  readonly id: Buffer;
  /** Sixteen bytes: the parked key whose turn it waits for (see `parkedKeyId`); its own id when it stands alone. */
  readonly parkedKeyId: Buffer;
  readonly topic: string;
  readonly key: Buffer | null;
  readonly type: string | null;
  readonly sequence: number | null;
  /** Bytes of key, headers and payload. */
  readonly bytes: number;
  /** Partition that it was sent to, `null` for one that was never tried. */
  readonly partition: number | null;
  /** When it may have been published already, UTC; `null` = never sent, or every send was refused. */
  readonly publishedAt: string | null;
  /** Attempts before it was given up; 0 = it waits behind another of its key. */
  readonly attempts: number;
  /** `CODE: what was said`, `null` for one that waits behind another. */
  readonly reason: string | null;
  /** UTC, `YYYY-MM-DD HH:MM:SS.ffffff`. */
  readonly parkedAt: string;
  /** The same as an age by the database's clock, milliseconds. */
  readonly ageMs: number;
  /** How long nobody has begun to send a message of its key again, milliseconds; at most `ageMs`. */
  readonly quietMs: number;
}

/** A message that is kept until an operator decides. */
export interface DeadLetter extends DeadLetterHead {
  readonly aggregateType: string | null;
  readonly aggregateId: string | null;
  /** Encoded header block (see `decodeHeaders`). */
  readonly headers: Buffer;
  readonly payload: Buffer;
}

/** How much is parked. */
export interface ParkedCount {
  readonly keys: number;
  readonly deadLetters: number;
}

/** Who decided something about a dead letter, and why; kept in the table `txbox_audit`. */
export interface AuditNote {
  readonly action: 'redrive' | 'discard' | 'skip' | 'expire';
  readonly actor: string;
}

/**
 * What else happens in the transaction that removes letters of one key as redriven. They are published, and still in their table;
 * the lock of their key's row keeps everybody else from them.
 */
export type OnRedriven = (session: SqlSession, ids: readonly Buffer[]) => Promise<void>;

/**
 * The dead letters of one scope, for tools (P-R11). Whoever removes the last one of a key un-parks it in the same
 * transaction, after looking again under the lock of the key's row; movers take that lock as well.
 */
export interface DeadLetterStore {
  count(): Promise<ParkedCount>;
  /** By place, from `after` on. */
  list(filter: DeadLetterFilter, after: number, limit: number): Promise<DeadLetterHead[]>;
  /** The first ones of a key, whole, by place: at most `limit`, and at most about `bytes` beyond the first. */
  front(parkedKeyId: Buffer, limit: number, bytes: number): Promise<DeadLetter[]>;
  find(id: Buffer): Promise<DeadLetter | undefined>;
  /** Notes that these letters of one key are about to be sent: `quietMs` begins again, and they may have been published from now on. */
  beginSending(letters: readonly DeadLetterHead[]): Promise<void>;
  /** Notes that a letter was refused once more, for certain: one more attempt, for this reason; `publishedAt` is as it was before. */
  refused(letter: DeadLetterHead, reason: string): Promise<void>;
  /** Removes letters of one key, with an audit row for each that was there; returns how many were. */
  remove(letters: readonly DeadLetterHead[], note: AuditNote): Promise<number>;
  /**
   * Takes a letter out of its key's order: it stays listed, alone (`note.action` `skip`), or is removed. A numbered one leaves
   * a gap marker in its place, to be published when its turn comes (P-I7). False when it was gone.
   */
  takeOut(letter: DeadLetterHead, note: AuditNote): Promise<boolean>;
}
