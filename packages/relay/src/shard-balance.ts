/** A shard's lease as balancing sees it; owners are ids in text form. */
export interface ShardLease {
  readonly shard: number;
  /** `undefined` = free or expired. */
  readonly owner: string | undefined;
  readonly wantedBy: string | undefined;
}

/** What a relay should do about its share. */
export interface BalanceDecision {
  /** Free shards to take. */
  readonly take: readonly number[];
  /** Own shards to hand over: drain, then release. */
  readonly handOver: readonly number[];
  /** Shards of others to ask for. */
  readonly want: readonly number[];
  /** Shards that were asked for and are no longer needed, or that their owners may keep. */
  readonly unwant: readonly number[];
  /** True while others are to hand over to this relay what it asked for. */
  readonly awaits: boolean;
}

/** How many of the shards are this relay's, among the living in the order of their ids; none for one that is not among them. */
export function shareAmong(ids: readonly string[], id: string, shards: number): number {
  const rank = ids.indexOf(id);
  return rank < 0 ? 0 : Math.floor(shards / ids.length) + (rank < shards % ids.length ? 1 : 0);
}

/**
 * Shares the shards among the living relays (P-R8): everybody gets the same number, the first by id one more where it
 * does not divide. Who has too little takes free shards and asks those who have too much; who has too much hands over
 * what living relays ask for. Nobody gives anything up unasked, so a shard without a taker keeps its owner. Pure.
 */
export function balance(me: string, living: ReadonlySet<string>, leases: readonly ShardLease[]): BalanceDecision {
  const ids = [...new Set([...living, me])].sort();
  const shareOf = (id: string): number => shareAmong(ids, id, leases.length);
  const held = (id: string): ShardLease[] => leases.filter((lease) => lease.owner === id);
  const mine = held(me);
  const missing = Math.max(0, shareOf(me) - mine.length);
  const free = leases.filter((lease) => lease.owner === undefined);
  // Shards somebody asked for go to them first.
  const takeable = [...free.filter((lease) => lease.wantedBy === me), ...free.filter((lease) => lease.wantedBy !== me)];
  const take = takeable.slice(0, missing).map((lease) => lease.shard);

  const surplus = Math.max(0, mine.length - shareOf(me));
  const asked = mine.filter((lease) => lease.wantedBy !== undefined && lease.wantedBy !== me && living.has(lease.wantedBy));
  const handOver = asked.slice(0, surplus).map((lease) => lease.shard);

  const wantedByMe = leases.filter((lease) => lease.owner !== undefined && lease.owner !== me && lease.wantedBy === me);
  // A wish to somebody who has no more than a share is never granted; who is handing over is no owner any more.
  const mayKeep = (lease: ShardLease): boolean => {
    const owner = lease.owner as string;
    return ids.includes(owner) && held(owner).length <= shareOf(owner);
  };
  const wishes = wantedByMe.filter((lease) => !mayKeep(lease));
  const open = missing - take.length - wishes.length;
  const want: number[] = [];
  for (const owner of ids) {
    if (owner === me) continue;
    const theirs = held(owner);
    const spoken = (lease: ShardLease): boolean => lease.wantedBy !== undefined && living.has(lease.wantedBy);
    const spare = theirs.length - shareOf(owner) - theirs.filter(spoken).length;
    const askable = theirs.filter((lease) => !spoken(lease));
    want.push(...askable.slice(0, Math.max(0, Math.min(spare, open - want.length))).map((lease) => lease.shard));
  }
  const needless = [...wantedByMe.filter(mayKeep), ...(open < 0 ? wishes.slice(open) : [])];
  const awaits = want.length > 0 || wishes.length > Math.max(0, -open);
  return { take, handOver, want, unwant: needless.map((lease) => lease.shard), awaits };
}
