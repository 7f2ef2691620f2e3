/** Which archived messages are meant; what is left out matches everything. */
export interface ArchiveFilter {
  /** Sixteen bytes: the message itself. */
  readonly id?: Buffer;
  readonly topic?: string;
  readonly key?: Buffer;
  readonly type?: string;
  /** Published at or after this instant, UTC, `YYYY-MM-DD HH:MM:SS`. */
  readonly since?: string;
  /** Published before this instant. */
  readonly until?: string;
}

/** Places above `after`, up to and with `upTo`. */
export interface ArchiveSpan {
  readonly after: number;
  readonly upTo: number;
}

/** A message that was published, as it stood in the outbox. */
export interface ArchivedMessage {
  /** Orders the archive, and in it the messages of each key as they were published; never an identity. */
  readonly place: number;
  /** Sixteen bytes: the identity. */
  readonly id: Buffer;
  readonly topic: string;
  readonly key: Buffer | null;
  readonly type: string;
  readonly sequence: number | null;
  /** Encoded header block (see `decodeHeaders`). */
  readonly headers: Buffer;
  readonly payload: Buffer;
  /** Bytes of key, headers and payload. */
  readonly bytes: number;
  /** When it was settled, moments after it was acknowledged. UTC, `YYYY-MM-DD HH:MM:SS.ffffff`. */
  readonly publishedAt: string;
}

/** What the archive has of a topic. */
export interface ArchivedTopic {
  readonly topic: string;
  readonly messages: number;
  readonly bytes: number;
  /** UTC, `YYYY-MM-DD HH:MM:SS.ffffff`. */
  readonly firstPublishedAt: string;
  readonly lastPublishedAt: string;
}

/**
 * Published messages that are kept on request. Looks are bounded however much there is: each says up to which place it has
 * seen, and the next one goes on from there.
 */
export interface OutboxArchive {
  /** A span that holds everything that matches at this moment; an empty one when nothing does. */
  span(filter: ArchiveFilter): Promise<ArchiveSpan>;
  /** What matches in the first part of the span, by topic; `upTo` is where that part ends. */
  count(filter: ArchiveFilter, span: ArchiveSpan): Promise<{ readonly topics: readonly ArchivedTopic[]; readonly upTo: number }>;
  /** The first messages of the span that match, by place: at most `limit`, and at most about `bytes` beyond the first. */
  read(
    filter: ArchiveFilter,
    span: ArchiveSpan,
    limit: number,
    bytes: number,
  ): Promise<{ readonly messages: readonly ArchivedMessage[]; readonly upTo: number }>;
  /** Deletes at most `limit` messages that were published more than `ageMs` ago, oldest first; returns how many it found. */
  prune(ageMs: number, limit: number): Promise<number>;
}
