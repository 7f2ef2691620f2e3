import { type Database, type OwnedSession, openDatabase, systemClock } from '@txbox/core/spi';
import { outboxStore, type TopicPin } from '@txbox/outbox/store';
import type { ResolvedRelayOptions } from '../relay-options.ts';
import { type Check, examine } from './check.ts';
import type { DatabaseFacts } from './database-facts.ts';
import { type LeastRights, leastRights } from './database-rights.ts';
import {
  type Examined,
  examineDatabase,
  examinePublisher,
  examineSchema,
  partitionCounts,
  timeFactsOf,
  topicsOf,
  uncheckedPublisher,
} from './examination.ts';
import { type Finding, failure, judge } from './finding.ts';
import { type DerivedTime, derivedTimes, SETTINGS_RULES } from './settings-rules.ts';

/** Everything that a relay's start would look at, and what follows from its settings. */
export interface Diagnosis {
  /** No refusal and no failure: a relay starts. */
  readonly ok: boolean;
  readonly findings: readonly Finding[];
  readonly times: readonly DerivedTime[];
  /** Empty on databases without accounts. */
  readonly leastRights: readonly LeastRights[];
}

interface DatabasePart {
  examined: Examined<DatabaseFacts>;
  topics: readonly string[];
  pins: readonly TopicPin[];
  failures: readonly Finding[];
}

/** Looks at everything that can be looked at; a part that is away or broken is a finding. Closes the publisher. */
export async function diagnose(options: ResolvedRelayOptions, graceMs: number): Promise<Diagnosis> {
  const database = await databasePart(options);
  const { examined, failures } = await publisherPart(options, database);
  const time = timeFactsOf(options, graceMs, database.examined.facts, examined.facts);
  const checks: Check[] = [...database.examined.checks, ...examined.checks, ...examine(SETTINGS_RULES, time)];
  const findings = [...database.failures, ...failures, ...judge(checks, options.accept)];
  const { facts } = database.examined;
  const name = facts?.database ?? databaseInUrl(options);
  return {
    ok: findings.every(({ verdict }) => verdict !== 'refused' && verdict !== 'failed'),
    findings,
    times: derivedTimes(time),
    leastRights: name === undefined ? [] : leastRights(options, name, facts?.variables.get('version') ?? ''),
  };
}

/** What to grant must be known to an account that may not even enter the database. */
function databaseInUrl({ database }: ResolvedRelayOptions): string | undefined {
  if ('session' in database || /^sqlite:/i.test(database.url)) return undefined;
  return decodeURIComponent(new URL(database.url).pathname.slice(1));
}

async function databasePart(options: ResolvedRelayOptions): Promise<DatabasePart> {
  // As if nothing were accepted: what is, is shown as such.
  const settings = { ...options, accept: [] };
  const part: DatabasePart = { examined: { facts: undefined, checks: [] }, topics: options.topics, pins: [], failures: [] };
  try {
    await inDatabase(options, async (session, opened) => {
      const schemaFailure = await examineSchema(session, settings).catch((error: unknown) => failure('the schema', error));
      if (schemaFailure) part.failures = [schemaFailure];
      part.examined = await examineDatabase(session, settings, systemClock, !schemaFailure);
      if (!schemaFailure) part.topics = await topicsOf(session, settings, part.examined);
      // Where they may not be read, a finding about rights says so.
      if (!schemaFailure)
        part.pins = await outboxStore(opened, { tablePrefix: options.tablePrefix })
          .pins()
          .catch(() => []);
    });
  } catch (error) {
    part.failures = [...part.failures, failure('the database', error)];
  }
  return part;
}

async function publisherPart(
  options: ResolvedRelayOptions,
  { topics, pins }: DatabasePart,
): Promise<{ readonly examined: Awaited<ReturnType<typeof examinePublisher>>; readonly failures: readonly Finding[] }> {
  const { publisher } = options;
  try {
    await publisher.connect();
    if (!publisher.inspect) return { examined: { facts: undefined, checks: [uncheckedPublisher(publisher)] }, failures: [] };
    const counts = await partitionCounts(publisher, pins);
    return { examined: await examinePublisher(topics, { ...options, accept: [] }, counts), failures: [] };
  } catch (error) {
    return { examined: { facts: undefined, checks: [] }, failures: [failure(`the broker (${publisher.name})`, error)] };
  } finally {
    await publisher.close();
  }
}

async function inDatabase<T>(
  { database }: ResolvedRelayOptions,
  work: (session: OwnedSession, opened: Database) => Promise<T>,
): Promise<T> {
  const opened: Database = 'session' in database ? database : await openDatabase({ url: database.url });
  try {
    const session = await opened.session();
    try {
      return await work(session, opened);
    } finally {
      await session.release();
    }
  } finally {
    if (!('session' in database)) await opened.close();
  }
}
