import { checkSchema, type Database, leaseStore, type SqlSession } from '@txbox/core/spi';
import { type OutboxBacklog, outboxComponent, outboxStore, SHARD_SCOPE, SHARDS } from '@txbox/outbox/store';
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
}

/** What the database says of an outbox and its relays. */
export interface RelayInspection {
  readonly database: string;
  readonly pending: OutboxBacklog;
  /** Relays that gave a sign of life within the TTL of leases. */
  readonly relays: readonly RelayProcess[];
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
  const members = await relayMembership(database, tablePrefix).list(ttlMs);
  const leases = await leaseStore(database, tablePrefix).list(SHARD_SCOPE, ttlMs);
  const alive = members.filter((member) => member.alive);
  const shardsOf = (id: Buffer): number[] => leases.filter((lease) => !lease.expired && lease.owner?.equals(id)).map((lease) => lease.slot);
  const relays = alive.map(({ id, version, startedAt, wakeHost, wakePort }) => ({
    id: id.toString('hex'),
    version,
    startedAt,
    wake: wakeHost === null ? null : `${wakeHost}:${wakePort}`,
    shards: shardsOf(id),
  }));
  const held = new Set(relays.flatMap(({ shards }) => shards));
  return {
    database: database.description,
    pending: await outboxStore(database, tablePrefix === undefined ? {} : { tablePrefix }).backlog(),
    relays,
    shardsWithoutRelay: Array.from({ length: SHARDS }, (_, shard) => shard).filter((shard) => !held.has(shard)),
  };
}
