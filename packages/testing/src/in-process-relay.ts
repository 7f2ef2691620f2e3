import {
  type Database,
  type Delivery,
  messageIdFromBytes,
  type OwnedSession,
  type Publisher,
  type SqlRow,
  type SqlSession,
  silentLogger,
  type TransactionResource,
  tableNames,
} from '@txbox/core/spi';
import { createRelay, REFUSALS, type RefusalCode } from '@txbox/relay';
import { type AnyOutbox, eventOf } from './added-event.ts';
import { MemoryLog } from './memory/memory-log.ts';

/** Shards that a test process held when it was killed are free again after so long. */
const LEASE_TTL_MS = 2_000;

/**
 * Publishes what is committed in an outbox through a relay into a log in memory, and returns it in the order of the commits.
 * `left` = what could not be published, and why.
 */
export async function publishCommitted(outbox: AnyOutbox): Promise<{ readonly deliveries: Delivery[]; readonly left: string | undefined }> {
  const { resource, sink } = outbox;
  const { outbox: table, topic: pins } = tableNames(sink.tablePrefix);
  const query = (sql: string): Promise<SqlRow[]> => resource.withSession((session) => session.query(sql));
  const ids = (await query(`SELECT id FROM ${table} ORDER BY position`)).map(([id]) => messageIdFromBytes(id as Buffer));
  if (ids.length === 0) return { deliveries: [], left: undefined };

  const pinned = new Map((await query(`SELECT topic, partitions FROM ${pins}`)).map(([topic, count]) => [topic as string, Number(count)]));
  const log = new MemoryLog();
  const described = new Set<string>();
  const publisher = withTopics(log, described, pinned);
  const relay = createRelay({
    database: databaseOf(resource),
    publisher,
    tablePrefix: sink.tablePrefix,
    wake: false,
    logger: silentLogger,
    leaseTtlMs: LEASE_TTL_MS,
    pollMinMs: 1,
    // Tests run on whatever server there is, and nothing leaves the process.
    accept: Object.keys(REFUSALS) as RefusalCode[],
  });
  let reason: string | undefined;
  relay.on('held', ({ reason: { code, message } }) => {
    reason = `${code}: ${message}`;
  });
  await relay.runOnce();
  await relay.stop();
  // The partition counts of this log are nobody's decision.
  const made = [...described].filter((topic) => !pinned.has(topic));
  if (made.length > 0) {
    const names = made.map(() => '?').join(', ');
    await resource.withSession((session) => session.execute(`DELETE FROM ${pins} WHERE topic IN (${names})`, made));
  }

  const places = new Map(ids.map((id, place) => [id, place]));
  const placeOf = (delivery: Delivery): number => places.get(eventOf(delivery).id) ?? ids.length;
  const deliveries = [...described].flatMap((topic) => log.readAll(topic)).toSorted((one, other) => placeOf(one) - placeOf(other));
  const published = new Set(deliveries.map((delivery) => eventOf(delivery).id));
  const missing = ids.filter((id) => !published.has(id)).length;
  if (missing === 0) return { deliveries, left: undefined };
  const why = reason ?? 'another relay publishes from this outbox: stop it, and give every test process a database of its own';
  return {
    deliveries,
    left: `${missing} of ${ids.length} events of outbox ${JSON.stringify(outbox.name)} could not be published (${why}).`,
  };
}

/** A publisher that makes each topic when the relay asks for it: one partition, or as many as its keys are spread over already. */
function withTopics(log: MemoryLog, described: Set<string>, pinned: ReadonlyMap<string, number>): Publisher {
  const publisher = log.publisher({ maxRecordBytes: Number.MAX_SAFE_INTEGER });
  return {
    name: publisher.name,
    maxRecordBytes: publisher.maxRecordBytes,
    connect: () => publisher.connect(),
    describeTopic: (topic) => {
      described.add(topic);
      log.createTopic(topic, pinned.get(topic) ?? 1);
      return publisher.describeTopic(topic);
    },
    publish: (request) => publisher.publish(request),
    classify: (error) => publisher.classify(error),
    close: () => publisher.close(),
  };
}

/** The database of a resource as a relay takes it: a connection for each statement, so that a pool of one is enough. */
function databaseOf(resource: TransactionResource): Database {
  const apart = <T>(work: (session: SqlSession) => Promise<T>): Promise<T> => resource.withSession(work);
  const refuse = (): Promise<never> => Promise.reject(new Error('A relay begins no transactions.'));
  const session: OwnedSession = {
    dialect: resource.dialect,
    query: (sql, values) => apart((one) => one.query(sql, values)),
    execute: (sql, values) => apart((one) => one.execute(sql, values)),
    begin: refuse,
    commit: refuse,
    rollback: refuse,
    release: async () => undefined,
    destroy: () => undefined,
  };
  return { dialect: resource.dialect, description: resource.kind, session: async () => session, close: async () => undefined };
}
