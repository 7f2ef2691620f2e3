import { checkSchema, type Database, deadLetterStore, leaseStore, type ParkedCount, type SqlSession } from '@txbox/core/spi';
import { type OutboxBacklog, outboxComponent, outboxStore, RELAY_SCOPE, SHARD_SCOPE, SHARDS } from '@txbox/outbox/store';
import type { RelayReport } from './relay-report.ts';
import { relayMembership } from './sql/relay-membership.ts';

/** A relay process as the database knows it. */
interface RelayProcess {
  /** Hexadecimal. */
  readonly id: string;
  readonly version: string;
  /** UTC, `YYYY-MM-DD HH:MM:SS.ffffff`. */
  readonly startedAt: string;
  /** Where it is woken, `host:port`. */
  readonly wake: string | null;
  readonly shards: readonly number[];
  /** What it said of itself within the last third of a TTL or so; `null` when it has said nothing yet. */
  readonly report: RelayReport | null;
}

/** Who publishes a shard. */
interface ShardOwner {
  readonly shard: number;
  /** A relay's id, hexadecimal; `null` while nobody living holds the lease. */
  readonly owner: string | null;
  /** How often the lease was taken. */
  readonly epoch: number;
}

/** What the database says of an outbox and its relays. */
export interface RelayInspection {
  readonly database: string;
  readonly pending: OutboxBacklog;
  /** Keys that are parked, and dead letters in all. */
  readonly parked: ParkedCount;
  /** Relays that gave a sign of life within the TTL of leases. */
  readonly relays: readonly RelayProcess[];
  readonly shards: readonly ShardOwner[];
  /** Shards that no living relay holds: nothing is published from them. */
  readonly shardsWithoutRelay: readonly number[];
}

/** Looks at the outbox and its relays from outside; `ttlMs` is the relays' `leaseTtlMs`. Throws `SCHEMA_MISSING` and its kin. */
export async function inspectRelays(database: Database, ttlMs: number, tablePrefix?: string): Promise<RelayInspection> {
  const session: SqlSession & { release(): Promise<void> } = await database.session();
  try {
    await checkSchema(session, outboxComponent, tablePrefix);
  } finally {
    await session.release();
  }
  const membership = relayMembership(database, tablePrefix);
  const members = await membership.list(ttlMs);
  const leases = await leaseStore(database, tablePrefix).list(SHARD_SCOPE, ttlMs);
  const alive = members.filter((member) => member.alive);
  const shardsOf = (id: Buffer): number[] => leases.filter((lease) => !lease.expired && lease.owner?.equals(id)).map((lease) => lease.slot);
  const reports = await membership.reports();
  const relays = alive.map(({ id, version, startedAt, wakeHost, wakePort }) => ({
    id: id.toString('hex'),
    version,
    startedAt,
    wake: wakeHost === null ? null : `${wakeHost}:${wakePort}`,
    shards: shardsOf(id),
    report: reports.get(id.toString('hex')) ?? null,
  }));
  const ids = new Set(relays.map(({ id }) => id));
  const shards = Array.from({ length: SHARDS }, (_, shard): ShardOwner => {
    const lease = leases.find(({ slot }) => slot === shard);
    const owner = lease && !lease.expired ? (lease.owner?.toString('hex') ?? null) : null;
    return { shard, owner: owner !== null && ids.has(owner) ? owner : null, epoch: lease?.epoch ?? 0 };
  });
  return {
    database: database.description,
    pending: await outboxStore(database, tablePrefix === undefined ? {} : { tablePrefix }).backlog(),
    parked: await deadLetterStore(database, RELAY_SCOPE, tablePrefix).count(),
    relays,
    shards,
    shardsWithoutRelay: shards.filter(({ owner }) => owner === null).map(({ shard }) => shard),
  };
}
