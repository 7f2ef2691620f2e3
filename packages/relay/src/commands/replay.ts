import { once } from 'node:events';
import {
  type Command,
  type CommandContext,
  coreComponent,
  type Database,
  instantOfSqlTime,
  messageIdFromBytes,
  newMessageIdBytes,
  recordAudit,
  systemClock,
  TxboxError,
  tableNames,
} from '@txbox/core/spi';
import {
  type ArchivedTopic,
  type ArchiveFilter,
  type ArchiveSpan,
  type OutboxArchive,
  outboxArchive,
  outboxComponent,
  outboxStore,
  RELAY_SCOPE,
} from '@txbox/outbox/store';
import { type ReplayOutcome, type ReplayProgress, replay } from '../replay/replay.ts';
import { ACTOR_OPTION, actorOf } from './actor.ts';
import { counted } from './counted.ts';
import { keyAsJson } from './dead-letter-scope.ts';
import { GivenOptions, given, MESSAGE_OPTIONS } from './given-options.ts';
import { withServiceDatabase } from './service-database.ts';

const DEFAULT_RATE = '500';
const MAX_RATE = 100_000;
/** How often a long work says how far it is. */
const REPORT_MS = 1_000;

/** `txbox replay`. */
export const replayCommand: Command = {
  path: ['replay'],
  summary: 'Publishes archived events again, in order and at a bounded rate; without --yes it only says which.',
  options: {
    from: { type: 'string', description: 'published at or after: an instant like 2026-11-25T10:00:00Z, or an age like 30m, 2h, 7d' },
    to: { type: 'string', description: 'published before: an instant or an age' },
    ...MESSAGE_OPTIONS,
    all: { type: 'boolean', description: 'everything that is archived' },
    after: { type: 'string', description: 'go on after this place, where an earlier replay ended' },
    rate: { type: 'string', description: `most events per second, up to ${MAX_RATE}`, default: DEFAULT_RATE },
    yes: { type: 'boolean', description: 'publish them' },
    actor: ACTOR_OPTION,
    json: { type: 'boolean', description: 'print one JSON object' },
  },
  usesDatabase: true,
  usesPublisher: true,
  async run(context) {
    const wanted = wantedOf(context);
    const forced = once(context.forced, 'abort').then(() => 1);
    return await withServiceDatabase(context, 'replay', [coreComponent, outboxComponent], ({ database, tablePrefix }) =>
      Promise.race([runReplay(context, wanted, database, tablePrefix.tablePrefix), forced]),
    );
  },
};

/** What was asked for. */
interface Wanted {
  readonly filter: ArchiveFilter;
  readonly after: number;
  readonly rate: number;
  readonly actor: string;
}

/** What there is of it. */
interface Found {
  readonly span: ArchiveSpan;
  readonly events: number;
  readonly bytes: number;
  readonly topics: readonly ArchivedTopic[];
}

function wantedOf(context: CommandContext): Wanted {
  const options = new GivenOptions(context, systemClock.now());
  const filter = { ...options.messages(), ...options.interval('from', 'to') };
  const after = options.wholeNumber('after', 0) ?? 0;
  const rate = options.wholeNumber('rate', 1, MAX_RATE) ?? Number(DEFAULT_RATE);
  options.refuse();
  if (Object.keys(filter).length === 0 && context.options['all'] !== true) {
    const names = ['from', 'to', ...Object.keys(MESSAGE_OPTIONS)].map((name) => `--${name}`);
    throw new TxboxError('OPTIONS_INVALID', `Say which events are meant, by ${names.join(', ')}, or --all.`);
  }
  return { filter, after, rate, actor: actorOf(context.options['actor']) };
}

async function runReplay(context: CommandContext, wanted: Wanted, database: Database, tablePrefix: string | undefined): Promise<number> {
  const { options, output, signal } = context;
  const archive = outboxArchive(database, { tablePrefix });
  const found = await count(context, wanted, archive);
  if (signal.aborted) return 1;
  const isLook = options['yes'] !== true;
  const inJson = { dryRun: isLook, ...asJson(wanted, found) };
  if (isLook || found.events === 0) {
    if (options['json'] === true) output.json(inJson);
    else for (const line of describeFound(wanted, found)) output.line(line);
    return 0;
  }
  const replayId = messageIdFromBytes(newMessageIdBytes());
  const note = (action: string, details: object): Promise<void> =>
    audit(database, tablePrefix, action, wanted.actor, { replayId, ...details });
  const publisher = await context.publisher();
  const report = progressReport(context, found);
  let outcome: ReplayOutcome;
  try {
    await publisher.connect();
    await note('replay', inJson);
    outcome = await replay({
      archive,
      publisher,
      pins: outboxStore(database, given({ tablePrefix })),
      clock: systemClock,
      random: Math.random,
      filter: wanted.filter,
      span: found.span,
      messagesPerSecond: wanted.rate,
      replayId,
      signal,
      onProgress: report,
    });
  } finally {
    await publisher.close();
  }
  if (options['json'] === true) output.json({ ...inJson, replayId, ...outcome });
  else for (const line of describeOutcome(outcome, found)) output.line(line);
  // Said first: it is what goes on.
  await note('replay-ended', outcome);
  return outcome.ended === 'complete' ? 0 : 1;
}

async function count({ output, signal }: CommandContext, { filter, after }: Wanted, archive: OutboxArchive): Promise<Found> {
  const all = await archive.span(filter);
  const span = { after: Math.max(all.after, after), upTo: Math.max(all.upTo, after) };
  const topics = new Map<string, ArchivedTopic>();
  let reportedAt = systemClock.monotonic();
  for (let from = span.after; from < span.upTo && !signal.aborted; ) {
    const part = await archive.count(filter, { ...span, after: from });
    for (const topic of part.topics) topics.set(topic.topic, sum(topics.get(topic.topic), topic));
    from = part.upTo;
    if (systemClock.monotonic() - reportedAt < REPORT_MS) continue;
    reportedAt = systemClock.monotonic();
    output.progress(`replay: looking, at place ${from} of ${span.upTo}`);
  }
  const sorted = [...topics.values()].sort((one, other) => (one.topic < other.topic ? -1 : 1));
  const events = sorted.reduce((total, { messages }) => total + messages, 0);
  return { span, topics: sorted, events, bytes: sorted.reduce((total, { bytes }) => total + bytes, 0) };
}

function sum(known: ArchivedTopic | undefined, more: ArchivedTopic): ArchivedTopic {
  if (!known) return more;
  const times = [known, more].flatMap(({ firstPublishedAt, lastPublishedAt }) => [firstPublishedAt, lastPublishedAt]).sort();
  return {
    topic: more.topic,
    messages: known.messages + more.messages,
    bytes: known.bytes + more.bytes,
    firstPublishedAt: times[0] as string,
    lastPublishedAt: times.at(-1) as string,
  };
}

/** Says the first step and then one a second: who kills the process knows from it where to go on. */
function progressReport({ output }: CommandContext, { events }: Found): (progress: ReplayProgress) => void {
  let reportedAt = Number.NEGATIVE_INFINITY;
  return ({ sent, after }) => {
    if (systemClock.monotonic() - reportedAt < REPORT_MS) return;
    reportedAt = systemClock.monotonic();
    output.progress(`replay: published ${sent} of ${events} events; to go on from here: --after ${after}`);
  };
}

async function audit(database: Database, tablePrefix: string | undefined, action: string, actor: string, details: object): Promise<void> {
  const session = await database.session();
  try {
    await recordAudit(session, tableNames(tablePrefix), { scope: RELAY_SCOPE, action, actor, messageId: null, details });
  } finally {
    await session.release();
  }
}

function asJson({ filter, rate }: Wanted, { span, events, bytes, topics }: Found): object {
  const { id, key, since, until, ...named } = filter;
  return {
    filter: {
      ...named,
      ...(id && { id: messageIdFromBytes(id) }),
      ...(key && keyAsJson(key)),
      ...(since && { from: rfc3339(since) }),
      ...(until && { to: rfc3339(until) }),
    },
    rate,
    ...span,
    events,
    bytes,
    topics: topics.map(({ topic, messages, bytes: ofTopic, firstPublishedAt, lastPublishedAt }) => ({
      topic,
      events: messages,
      bytes: ofTopic,
      firstPublishedAt: rfc3339(firstPublishedAt),
      lastPublishedAt: rfc3339(lastPublishedAt),
    })),
  };
}

function describeFound({ rate }: Wanted, { events, bytes, topics }: Found): string[] {
  if (events === 0) return ['nothing in the archive matches; relays keep what they publish when their option archive says for how long'];
  return [
    `would publish ${counted(events, 'event')}, ${bytes} bytes`,
    ...topics.map(
      ({ topic, messages, firstPublishedAt, lastPublishedAt }) =>
        `${topic}: ${counted(messages, 'event')}, published ${rfc3339(firstPublishedAt)} to ${rfc3339(lastPublishedAt)}`,
    ),
    `nothing was published: --yes does, at most ${rate} events a second, in ${Math.ceil(events / rate)} s at least`,
  ];
}

function describeOutcome({ ended, failure, sent, after }: ReplayOutcome, { events }: Found): string[] {
  const said = `published ${sent} of ${counted(events, 'event')}`;
  if (ended === 'complete') return [said];
  const at = failure?.id === undefined ? '' : ` at ${failure.id} (${failure.topic})`;
  return [...(failure ? [`the replay failed${at}: ${failure.code}: ${failure.message}`] : []), `${said}; go on with --after ${after}`];
}

function rfc3339(sqlTime: string): string {
  return new Date(instantOfSqlTime(sqlTime)).toISOString();
}
