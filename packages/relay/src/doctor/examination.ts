import {
  type Clock,
  checkSchema,
  coreComponent,
  type OwnedSession,
  type Publisher,
  type PublisherInspection,
  TxboxError,
  tableNames,
} from '@txbox/core/spi';
import { outboxComponent, type TopicPin } from '@txbox/outbox/store';
import { DEFAULT_GRACE_MS, type ResolvedRelayOptions, SLOWER } from '../relay-options.ts';
import { type Check, examine, type Rule } from './check.ts';
import { type DatabaseFacts, inspectDatabase } from './database-facts.ts';
import { DATABASE_RULES } from './database-rules.ts';
import { judge } from './finding.ts';
import { type PartitionCounts, PUBLISHING_RULES } from './publisher-rules.ts';
import type { RefusalCode } from './refusals.ts';
import { SETTINGS_RULES, type TimeFacts } from './settings-rules.ts';

type Settings = Pick<
  ResolvedRelayOptions,
  | 'accept'
  | 'archive'
  | 'batchBytes'
  | 'leaseTtlMs'
  | 'logger'
  | 'onPermanentFailure'
  | 'pollMaxMs'
  | 'publisher'
  | 'retry'
  | 'tablePrefix'
  | 'topics'
>;

/** What a part was found to be. */
export interface Examined<Facts> {
  readonly facts: Facts | undefined;
  readonly checks: readonly Check[];
}

/** Throws `SCHEMA_MISSING` and its kin. */
export async function examineSchema(session: OwnedSession, { tablePrefix }: Settings): Promise<void> {
  for (const component of [coreComponent, outboxComponent]) await checkSchema(session, component, tablePrefix);
}

/** Nothing is asked when every code of this part is accepted. Without a schema the server itself is looked at. */
export async function examineDatabase(
  session: OwnedSession,
  settings: Settings,
  clock: Clock,
  hasSchema = true,
): Promise<Examined<DatabaseFacts>> {
  const facts = isOfInterest(DATABASE_RULES, settings.accept) ? await inspectDatabase(session, settings, clock, hasSchema) : undefined;
  return { facts, checks: facts ? examine(DATABASE_RULES, facts) : [] };
}

/** Topics to look at: those of the options, then those to which was published before, unless `database` shows that these cannot be read. */
export async function topicsOf(
  session: OwnedSession,
  { tablePrefix, topics, accept, publisher }: Settings,
  { facts: database }: Examined<DatabaseFacts>,
): Promise<readonly string[]> {
  if (!publisher.inspect || !isOfInterest(PUBLISHING_RULES, accept)) return [];
  const unreadable = tableNames(tablePrefix).topic.slice(1, -1);
  if (database?.missingRights?.some(({ right, table }) => right === 'SELECT' && table === unreadable)) return topics;
  const pinned = await session.query(`SELECT topic FROM ${tableNames(tablePrefix).topic} ORDER BY topic`);
  return [...new Set([...topics, ...pinned.map(([topic]) => String(topic))])];
}

/** Of a connected publisher. Throws `BROKER_UNAVAILABLE`. */
export async function examinePublisher(
  topics: readonly string[],
  settings: Settings,
  counts?: readonly PartitionCounts[],
): Promise<Examined<PublisherInspection>> {
  const { accept, batchBytes, publisher } = settings;
  const facts = isOfInterest(PUBLISHING_RULES, accept) ? await publisher.inspect?.(topics) : undefined;
  if (!facts) return { facts, checks: [] };
  const { maxRecordBytes } = publisher;
  const found = { ...facts, configured: new Set(settings.topics), maxRecordBytes, batchBytes, ...(counts ? { counts } : {}) };
  return { facts, checks: examine(PUBLISHING_RULES, found) };
}

/** What pinned topics have at the broker, where it says so: a question for each, for the doctor alone. */
export async function partitionCounts(publisher: Publisher, pins: readonly TopicPin[]): Promise<PartitionCounts[]> {
  const counts: PartitionCounts[] = [];
  for (const { topic, partitions: pinned, switching } of pins) {
    // What is missing or not authorised is another finding's business.
    const described = await publisher.describeTopic(topic).catch(() => undefined);
    if (described) counts.push({ topic, pinned, broker: described.partitions, switching: switching !== null });
  }
  return counts;
}

/** Times and choices of the relay itself, with what is known of its neighbours. */
export function timeFactsOf(
  { leaseTtlMs, pollMaxMs, retry, onPermanentFailure }: Settings,
  graceMs: number,
  database: DatabaseFacts | undefined,
  publisher: PublisherInspection | undefined,
): TimeFacts {
  return {
    ...{ leaseTtlMs, pollMaxMs, retry, onPermanentFailure, graceMs },
    lockWaitMs: database?.lockWaitMs,
    givesUpAfterMs: publisher?.givesUpAfterMs,
    refusedFactor: SLOWER.refused,
  };
}

/**
 * Connects the publisher and looks at whether a relay may start here (P-R14). Resolves to the topics that were looked at. Throws `START_REFUSED` with all refusals at once
 * unless each is accepted, and `SCHEMA_MISSING` and its kin, `BROKER_UNAVAILABLE`; warns of what is no refusal.
 */
export async function examineStart(session: OwnedSession, settings: Settings, clock: Clock): Promise<readonly string[]> {
  const { accept, logger, publisher } = settings;
  await examineSchema(session, settings);
  const database = await examineDatabase(session, settings, clock);
  const topics = await topicsOf(session, settings, database);
  await publisher.connect();
  const publishing = await examinePublisher(topics, settings);
  const own = examine(SETTINGS_RULES, timeFactsOf(settings, DEFAULT_GRACE_MS, database.facts, publishing.facts));
  const findings = judge([...database.checks, ...publishing.checks, ...own], accept);
  for (const { code, what, value, verdict, rule, wayOut } of findings) {
    if (verdict === 'warning')
      logger.warn({ code, what, value, rule, wayOut }, 'The relay starts although something is not as it should be.');
  }
  const refusals = findings.filter(({ verdict }) => verdict === 'refused').map(({ verdict: _, ...refusal }) => refusal);
  if (refusals.length === 0) return topics;
  const codes = [...new Set(refusals.map(({ code }) => `'${code}'`))].join(', ');
  const told = refusals.map(({ code, what, value, rule, wayOut }) => `${code}: ${what}: ${value}. ${rule} ${wayOut}`).join('\n  ');
  throw new TxboxError(
    'START_REFUSED',
    `The relay does not start, because a promise would not hold here:\n  ${told}\nMend it, or accept it by name: accept: [${codes}].`,
    { details: { refusals } },
  );
}

function isOfInterest<Facts>(rules: readonly Rule<Facts>[], accept: readonly RefusalCode[]): boolean {
  return rules.some(({ code }) => !accept.includes(code));
}

/** What stands for a publisher that tells nothing of its broker. */
export function uncheckedPublisher({ name }: Publisher): Check {
  return {
    code: 'NOT_CHECKED',
    what: `publisher ${name}`,
    value: 'it tells nothing of its broker',
    ok: false,
    rule: 'Everything can be looked at.',
    wayOut: 'Look at acks, topics and the broker yourself, and accept it.',
  };
}
