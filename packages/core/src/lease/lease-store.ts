/** Names a lease: shards, sweepers and cleaners are slots of scopes. */
export interface LeaseSlot {
  readonly scope: string;
  readonly slot: number;
}

/** A slot that somebody holds. */
export interface HeldSlot {
  readonly slot: number;
  readonly epoch: number;
}

/** A lease as the database sees it. */
export interface LeaseRecord extends LeaseSlot {
  /** Sixteen bytes, or `null` when nobody holds it. */
  readonly owner: Buffer | null;
  /** Raised by the database at every taking. */
  readonly epoch: number;
  /** By the database's own clock (P-R8, P-T7). */
  readonly expired: boolean;
  /** Who asks for it, sixteen bytes. */
  readonly wantedBy: Buffer | null;
}

/**
 * Leases by the database's clock (P-R8). Every taking raises `epoch`; renewing, releasing and asking name owner and
 * epoch. An `expires_at` further away than 2 × `ttlMs` counts as expired (P-T7).
 */
export interface LeaseStore {
  /** Creates the slots that are not there yet, free. */
  ensure(scope: string, slots: number): Promise<void>;
  list(scope: string, ttlMs: number): Promise<LeaseRecord[]>;
  /**
   * Takes those of the slots that are free, expired, or the owner's own (the answer to a taking may have been lost); returns them
   * with their new epochs, ascending.
   */
  take(scope: string, slots: readonly number[], owner: Buffer, ttlMs: number): Promise<HeldSlot[]>;
  /** Prolongs what `owner` still holds with that epoch; returns the slots that it still holds. */
  renew(scope: string, held: readonly HeldSlot[], owner: Buffer, ttlMs: number): Promise<number[]>;
  /** Frees what `owner` holds with that epoch; the slot keeps its epoch. */
  release(slot: LeaseSlot, owner: Buffer, epoch: number): Promise<void>;
  /** Asks the owner to hand the slot over; `null` takes the wish back. */
  want(slot: LeaseSlot, wantedBy: Buffer | null): Promise<void>;
}
