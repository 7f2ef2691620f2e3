import type { Clock, LeaseStore } from '@txbox/core/spi';

/** Lease scope of what one relay does for all of a database; its only slot is 0. */
const CLEANER_SCOPE = 'relay-cleaner';

/** A chore that one relay does for all. */
export interface MaintenanceService {
  /** Does a bounded part; true when more is left. */
  runOnce(): Promise<boolean>;
}

/** What {@link Maintenance} works with. */
export interface MaintenancePlan {
  readonly services: readonly MaintenanceService[];
  readonly leases: LeaseStore;
  /** Sixteen bytes: the relay. */
  readonly self: Buffer;
  readonly clock: Clock;
  /** From one pass to the next. */
  readonly everyMs: number;
}

/**
 * Does the chores of a database under a lease, so that of several relays one does them: it keeps the lease from pass to pass, and
 * when it dies another takes it. The lease is for efficiency: each chore may be done by two at once.
 */
export class Maintenance {
  readonly #plan: MaintenancePlan;
  #epoch: number | undefined;
  #renewAt = 0;
  #ready = false;

  constructor(plan: MaintenancePlan) {
    this.#plan = plan;
  }

  /** One part of each chore; resolves to the milliseconds until the next pass. */
  async runOnce(): Promise<number> {
    const { services, everyMs } = this.#plan;
    if (!(await this.#hold())) return everyMs;
    let more = false;
    for (const service of services) more = (await service.runOnce()) || more;
    return more ? 0 : everyMs;
  }

  /** Lets another relay go on at once. */
  async release(): Promise<void> {
    const { leases, self } = this.#plan;
    const epoch = this.#epoch;
    this.#epoch = undefined;
    if (epoch !== undefined) await leases.release({ scope: CLEANER_SCOPE, slot: 0 }, self, epoch);
  }

  async #hold(): Promise<boolean> {
    const { leases, self, clock, everyMs } = this.#plan;
    const now = clock.monotonic();
    if (this.#epoch !== undefined && now < this.#renewAt) return true;
    // Long enough to be held still at the next pass.
    const ttlMs = 2 * everyMs + GRACE_MS;
    if (!this.#ready) await leases.ensure(CLEANER_SCOPE, 1);
    this.#ready = true;
    if (this.#epoch !== undefined) {
      const held = await leases.renew(CLEANER_SCOPE, [{ slot: 0, epoch: this.#epoch }], self, ttlMs);
      if (held.length === 0) this.#epoch = undefined;
    }
    this.#epoch ??= (await leases.take(CLEANER_SCOPE, [0], self, ttlMs))[0]?.epoch;
    this.#renewAt = now + everyMs / 2;
    return this.#epoch !== undefined;
  }
}

/** A pass may take a while. */
const GRACE_MS = 10_000;
