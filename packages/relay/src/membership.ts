import type { RelayReport } from './relay-report.ts';

/** A relay process as the others see it. */
export interface Member {
  /** Sixteen bytes. */
  readonly id: Buffer;
  /** Where wake-ups reach it, `null` = nowhere (P-W7). */
  readonly wakeHost: string | null;
  readonly wakePort: number | null;
  readonly version: string;
  /** UTC, `YYYY-MM-DD HH:MM:SS.ffffff`. */
  readonly startedAt: string;
}

/**
 * Who is there (P-R8). A newcomer that sees only renewed leases can ask for its share because everybody sees everybody.
 * All times are the database's.
 */
export interface Membership {
  /** Notes that this relay lives, and what it says of itself, where the tables have room for it. */
  seen(self: Omit<Member, 'startedAt'>, report: RelayReport): Promise<void>;
  /** Everybody; `alive` = seen within the last `ttlMs`. */
  list(ttlMs: number): Promise<readonly (Member & { readonly alive: boolean })[]>;
  /** Removes those who have not been seen for very long. */
  forgetOld(ttlMs: number): Promise<void>;
  leave(id: Buffer): Promise<void>;
  /** The last report of each relay, by its id in hexadecimal. */
  reports(): Promise<ReadonlyMap<string, RelayReport>>;
}
