import type { Clock, LeaseStore } from '@txbox/core/spi';
import { SHARD_SCOPE, SHARDS } from '@txbox/outbox/store';
import type { Member, Membership } from './membership.ts';
import type { RelayReport } from './relay-report.ts';
import { balance, shareAmong } from './shard-balance.ts';

/** What keeping leases works with. */
export interface ShardLeasesPlan {
  readonly self: Omit<Member, 'startedAt'>;
  /** What this relay says of itself. */
  readonly report: () => RelayReport;
  readonly leases: LeaseStore;
  readonly membership: Membership;
  readonly clock: Clock;
  readonly ttlMs: number;
  readonly onAcquired: (shard: number, epoch: number) => void;
  /** The lease is another's. */
  readonly onLost: (shard: number, epoch: number) => void;
  /** Stops reading, and resolves when what is in flight is answered and settled. */
  readonly drain: (shard: number, epoch: number) => Promise<void>;
  /** Before leases are renewed: what is sent while they are trusted goes by what this has read, or by something newer (P-R12). */
  readonly learnPins: () => Promise<void>;
  readonly onRenewed: () => void;
}

/** How often wishes of others are looked for; and how often while shards are on their way from or to this relay. */
const LOOK_MS = 500;
const MOVING_LOOK_MS = 150;

/**
 * Keeps this relay's share of the shards (P-R8):
 *
 * ```
 * free ── take ──► held ── asked for, above the share ──► draining ── drained ──► free
 *                   └── renewal names it no longer ──► lost
 * ```
 *
 * Leases are renewed at a third of their TTL and trusted for two thirds, on the monotonic clock, from before the
 * renewal was sent. They are for efficiency: order does not depend on them.
 */
export class ShardLeases {
  readonly #plan: ShardLeasesPlan;
  readonly #held: Map<number, number> = new Map();
  readonly #draining: Map<number, Promise<void>> = new Map();
  #living: ReadonlySet<string> = new Set();
  #renewAt = 0;
  #trustedUntil = 0;
  #ready = false;

  constructor(plan: ShardLeasesPlan) {
    this.#plan = plan;
  }

  /** Shards held, with their epochs. */
  get held(): ReadonlyMap<number, number> {
    return this.#held;
  }

  /** True while the leases may be trusted without asking. */
  get trusted(): boolean {
    return this.#plan.clock.monotonic() < this.#trustedUntil;
  }

  /** How many shards are this relay's share among those that live, as it last saw. */
  get share(): number {
    const me = this.#plan.self.id.toString('hex');
    return shareAmong([...new Set([...this.#living, me])].sort(), me, SHARDS);
  }

  /** Renews, takes, asks and hands over; resolves to the milliseconds until the next pass. */
  async runOnce(): Promise<number> {
    const { clock, leases, ttlMs } = this.#plan;
    if (!this.#ready) await leases.ensure(SHARD_SCOPE, SHARDS);
    this.#ready = true;
    if (clock.monotonic() >= this.#renewAt) await this.#renew();
    const { take, handOver, want, unwant, awaits } = await this.#decide();
    await this.#take(take);
    for (const shard of want) await leases.want({ scope: SHARD_SCOPE, slot: shard }, this.#plan.self.id);
    for (const shard of unwant) await leases.want({ scope: SHARD_SCOPE, slot: shard }, null);
    for (const shard of handOver) this.#handOver(shard);
    const lookMs = Math.min(ttlMs / 3, awaits || this.#draining.size > 0 ? MOVING_LOOK_MS : LOOK_MS);
    return Math.max(0, Math.min(lookMs, this.#renewAt - clock.monotonic()));
  }

  /** Releases everything that is held; what cannot be released expires. */
  async releaseAll(): Promise<void> {
    const { leases, membership, self } = this.#plan;
    for (const [shard, epoch] of this.#held) await leases.release({ scope: SHARD_SCOPE, slot: shard }, self.id, epoch);
    this.#held.clear();
    this.#trustedUntil = 0;
    await membership.leave(self.id);
  }

  async #renew(): Promise<void> {
    const { self, report, leases, membership, clock, ttlMs, learnPins, onLost, onRenewed } = this.#plan;
    const sentAt = clock.monotonic();
    await learnPins();
    await membership.seen(self, report());
    const held = [...this.#held].map(([slot, epoch]) => ({ slot, epoch }));
    const kept = new Set(await leases.renew(SHARD_SCOPE, held, self.id, ttlMs));
    for (const { slot, epoch } of held) {
      if (kept.has(slot)) continue;
      this.#held.delete(slot);
      onLost(slot, epoch);
    }
    this.#trustedUntil = sentAt + (ttlMs * 2) / 3;
    this.#renewAt = sentAt + ttlMs / 3;
    const members = await membership.list(ttlMs);
    this.#living = new Set(members.filter((member) => member.alive).map((member) => member.id.toString('hex')));
    if (members.some((member) => !member.alive)) await membership.forgetOld(ttlMs);
    onRenewed();
  }

  async #decide(): Promise<ReturnType<typeof balance>> {
    const { self, leases, ttlMs, membership } = this.#plan;
    const records = await leases.list(SHARD_SCOPE, ttlMs);
    const name = (id: Buffer | null): string | undefined => id?.toString('hex');
    const me = self.id.toString('hex');
    // A wish of somebody unknown: a newcomer. Something free: who had it may have left, and is not to be left a share.
    const news = records.some(
      ({ slot, owner, expired, wantedBy }) =>
        (wantedBy && !this.#living.has(name(wantedBy) as string)) || ((expired || !owner) && !this.#held.has(slot)),
    );
    if (news) {
      const members = await membership.list(ttlMs);
      this.#living = new Set(members.filter((member) => member.alive).map((member) => name(member.id) as string));
    }
    const shards = records.map(({ slot, owner, expired, wantedBy }) => ({
      shard: slot,
      // What this relay holds counts by its own book: an answer to a taking may be lost, and a draining shard is on its way out.
      owner: this.#draining.has(slot) ? 'draining' : this.#held.has(slot) ? me : expired || name(owner) === me ? undefined : name(owner),
      wantedBy: name(wantedBy),
    }));
    return balance(me, this.#living, shards);
  }

  async #take(shards: readonly number[]): Promise<void> {
    const { leases, self, ttlMs, onAcquired } = this.#plan;
    if (shards.length === 0) return;
    for (const { slot, epoch } of await leases.take(SHARD_SCOPE, shards, self.id, ttlMs)) {
      this.#held.set(slot, epoch);
      onAcquired(slot, epoch);
    }
  }

  #handOver(shard: number): void {
    const { leases, self, drain } = this.#plan;
    const epoch = this.#held.get(shard);
    if (epoch === undefined || this.#draining.has(shard)) return;
    const work = drain(shard, epoch)
      .then(() => leases.release({ scope: SHARD_SCOPE, slot: shard }, self.id, epoch))
      // Not released: it expires, and the next renewal finds it gone or renews what nobody reads; so it is dropped here.
      .catch(() => undefined)
      .then(() => {
        this.#held.delete(shard);
        this.#draining.delete(shard);
      });
    this.#draining.set(shard, work);
  }
}
