import type { HeldSlot, LeaseRecord, LeaseSlot, LeaseStore } from '@txbox/core/spi';

interface Lease {
  owner: Buffer | null;
  epoch: number;
  expiresAt: number;
  wantedBy: Buffer | null;
}

/** Leases in memory, by an injected clock. */
export class MemoryLeaseStore implements LeaseStore {
  readonly #scopes: Map<string, Lease[]> = new Map();
  readonly #now: () => number;

  /** `now`: the database's clock, milliseconds. Default the machine's. */
  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  ensure(scope: string, slots: number): Promise<void> {
    const leases = this.#scopes.get(scope) ?? [];
    this.#scopes.set(scope, leases);
    while (leases.length < slots) leases.push({ owner: null, epoch: 0, expiresAt: 0, wantedBy: null });
    return Promise.resolve();
  }

  list(scope: string, ttlMs: number): Promise<LeaseRecord[]> {
    return Promise.resolve(
      (this.#scopes.get(scope) ?? []).map((lease, slot) => ({
        scope,
        slot,
        owner: lease.owner,
        epoch: lease.epoch,
        expired: this.#expired(lease, ttlMs),
        wantedBy: lease.wantedBy,
      })),
    );
  }

  take(scope: string, slots: readonly number[], owner: Buffer, ttlMs: number): Promise<HeldSlot[]> {
    const taken = [...slots]
      .sort((a, b) => a - b)
      .flatMap((slot) => {
        const lease = this.#lease({ scope, slot });
        if (!lease || !(lease.owner?.equals(owner) || this.#expired(lease, ttlMs))) return [];
        Object.assign(lease, { owner, epoch: lease.epoch + 1, expiresAt: this.#now() + ttlMs, wantedBy: null } satisfies Lease);
        return [{ slot, epoch: lease.epoch }];
      });
    return Promise.resolve(taken);
  }

  renew(scope: string, held: readonly HeldSlot[], owner: Buffer, ttlMs: number): Promise<number[]> {
    const mine = held.filter(({ slot, epoch }) => this.#holds({ scope, slot }, owner, epoch)).map(({ slot }) => slot);
    for (const slot of mine) this.setExpiry({ scope, slot }, ttlMs);
    return Promise.resolve(mine.sort((a, b) => a - b));
  }

  release(slot: LeaseSlot, owner: Buffer, epoch: number): Promise<void> {
    if (this.#holds(slot, owner, epoch)) Object.assign(this.#lease(slot) as Lease, { owner: null, expiresAt: 0 });
    return Promise.resolve();
  }

  want(slot: LeaseSlot, wantedBy: Buffer | null): Promise<void> {
    const lease = this.#lease(slot);
    if (lease) lease.wantedBy = wantedBy;
    return Promise.resolve();
  }

  /** Moves a lease's expiry to `inMs` from now: as if its clock had jumped. */
  setExpiry(slot: LeaseSlot, inMs: number): void {
    const lease = this.#lease(slot);
    if (lease) lease.expiresAt = this.#now() + inMs;
  }

  #lease({ scope, slot }: LeaseSlot): Lease | undefined {
    return this.#scopes.get(scope)?.[slot];
  }

  #holds(slot: LeaseSlot, owner: Buffer, epoch: number): boolean {
    const lease = this.#lease(slot);
    return lease?.epoch === epoch && lease.owner?.equals(owner) === true;
  }

  #expired({ owner, expiresAt }: Lease, ttlMs: number): boolean {
    const now = this.#now();
    return owner === null || expiresAt <= now || expiresAt > now + 2 * ttlMs;
  }
}
