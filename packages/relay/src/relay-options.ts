import {
  type BackoffOptions,
  backoffOption,
  checkOptions,
  type Database,
  DEFAULT_TABLE_PREFIX,
  defaultLogger,
  integerWithin,
  type Logger,
  listOf,
  loggerLike,
  type OptionChecks,
  type OptionRule,
  objectOf,
  objectValue,
  objectWith,
  oneOf,
  orFalse,
  type Publisher,
  tablePrefix,
  text,
} from '@txbox/core/spi';
import { SHARDS } from '@txbox/outbox/store';
import { REFUSALS, type RefusalCode } from './doctor/refusals.ts';
import type { OnPermanentFailure } from './sender.ts';
import type { WakeOptions } from './wake-listener.ts';

/** What {@link createRelay} takes. */
export interface RelayOptions {
  /** The service's database, where the outbox lies: `mysql://…`, `mariadb://…` or `sqlite:path`, or one that is open already and stays open. */
  readonly database: { readonly url: string } | Database;
  /** Where to publish. The relay connects it, and closes it when it stops. */
  readonly publisher: Publisher;
  /** Prefix of the framework's tables. Default `txbox_`. */
  readonly tablePrefix?: string;
  /** Default: warnings and errors, as text on stderr; `silentLogger` of `@txbox/core` writes nothing. */
  readonly logger?: Logger;
  /** A relay that dies is replaced after so many milliseconds; leases are renewed at a third of it. Default 10,000. */
  readonly leaseTtlMs?: number;
  /** Shortest pause between looks for new events, milliseconds. Default 50. */
  readonly pollMinMs?: number;
  /** Longest pause between looks for new events while nothing wakes the relay, milliseconds. Default 1,000. */
  readonly pollMaxMs?: number;
  /**
   * How long an INSERT into the outbox may take from its first number to its last row, milliseconds (P-R2). One that takes
   * longer raises the order alarm. Default 500.
   */
  readonly lowLagMs?: number;
  /** Rows of a page; a shard that alone has a backlog is read in larger ones. Default 500. */
  readonly pageRows?: number;
  /** Most rows of one request to the broker. Default 500. */
  readonly batchRows?: number;
  /** Most bytes of one request to the broker; a single larger event travels alone. Default 512 KiB, never more than the publisher takes. */
  readonly batchBytes?: number;
  /** Most requests that are unanswered at a time, each of another partition. Default 32. */
  readonly maxRequests?: number;
  /** Most rows in memory, at least 32. Default 20,000. */
  readonly maxRows?: number;
  /** About the most bytes of events in memory. Default 64 MiB. */
  readonly maxBytes?: number;
  /** Back-off after failures that may pass, full jitter, without end. Default `{ baseMs: 100, capMs: 10_000 }`. */
  readonly retry?: Partial<BackoffOptions>;
  /**
   * What becomes of a message that the broker refuses for what it is (too large, invalid): `park-key` (default) makes it a dead
   * letter and lets the later ones of its key wait behind it; `hold` stops its partition until the broker takes it;
   * `skip-message` makes it a dead letter and goes on with its key, which breaks the order and needs `SKIP_BREAKS_ORDER` in `accept`.
   */
  readonly onPermanentFailure?: OnPermanentFailure;
  /**
   * Keeps published messages in the table `txbox_archive` for `retentionMs` milliseconds, for `txbox replay`; the same in all
   * relays of a database. `false` deletes them. Default `false`.
   */
  readonly archive?: ArchiveOptions | false;
  /**
   * Discards dead letters that were parked `retentionMs` milliseconds ago, with an audit row each, and lets their keys go on; at
   * least an hour. `false` keeps them until an operator decides. Default `false`.
   */
  readonly deadLetters?: DeadLetterOptions | false;
  /** Topics that must be there when the relay starts. Those to which it published before are looked at anyway. Default: none. */
  readonly topics?: readonly string[];
  /** Codes of `REFUSALS` with which the relay starts nevertheless, or of which it does not warn. Default: none. */
  readonly accept?: readonly RefusalCode[];
  /** Where services reach this relay to wake it; `false` = only services of this process do, all others wait for a poll. Default: a free port of the loopback. */
  readonly wake?: WakeOptions | false;
}

/** How long published messages are kept. */
export interface ArchiveOptions {
  /** Milliseconds from publishing on. */
  readonly retentionMs: number;
}

/** How long dead letters are kept. */
export interface DeadLetterOptions {
  /** Milliseconds from parking on. */
  readonly retentionMs: number;
}

/** What the section `relay` of a configuration file holds. */
export type RelaySettings = Omit<RelayOptions, 'database' | 'publisher' | 'tablePrefix' | 'logger'>;

/** Options with their defaults. */
export type ResolvedRelayOptions = Required<Omit<RelayOptions, 'retry'>> & { readonly retry: BackoffOptions };

export const DEFAULT_LEASE_TTL_MS = 10_000;

/** How long a stop waits for acknowledgements unless it is told otherwise. */
export const DEFAULT_GRACE_MS = 10_000;

/** What is refused for what it is or where it goes needs people: it is tried so much more slowly than what passes by itself. */
export const SLOWER = { topic: 5, refused: 10 };

const RETRY: BackoffOptions = { baseMs: 100, capMs: 10_000 };

const databaseRule: OptionRule = (value) => {
  if (objectWith('session', 'close')(value) === undefined) return undefined;
  const problem = objectValue(value);
  if (problem !== undefined) return `${problem} { url } or an open database`;
  const unknown = Object.keys(value as object).filter((name) => name !== 'url');
  if (unknown.length > 0) return `has unknown properties ${unknown.join(', ')} (known: url)`;
  const { url } = value as { url?: unknown };
  return text(url) === undefined ? undefined : 'needs a url';
};

function retentionRule(leastMs: number): OptionRule {
  return orFalse(objectOf('{ retentionMs } or false', { rules: { retentionMs: integerWithin(leastMs) } }));
}

/** Whoever operates a relay shall have seen a dead letter before it goes. */
const LEAST_DEAD_LETTER_RETENTION_MS = 3_600_000;

/** The rules of {@link RelaySettings}. */
const RELAY_OPTION_RULES: { readonly [Name in keyof RelaySettings]-?: OptionRule } = {
  leaseTtlMs: integerWithin(300),
  pollMinMs: integerWithin(1),
  pollMaxMs: integerWithin(1),
  lowLagMs: integerWithin(1),
  pageRows: integerWithin(1, 10_000),
  batchRows: integerWithin(1, 10_000),
  batchBytes: integerWithin(1),
  maxRequests: integerWithin(1),
  maxRows: integerWithin(2 * SHARDS),
  maxBytes: integerWithin(1),
  retry: backoffOption(RETRY),
  onPermanentFailure: oneOf('park-key', 'hold', 'skip-message'),
  archive: retentionRule(1),
  deadLetters: retentionRule(LEAST_DEAD_LETTER_RETENTION_MS),
  topics: listOf(text),
  accept: listOf(oneOf(...Object.keys(REFUSALS))),
  wake: orFalse(
    objectOf<WakeOptions>('{ host, port, advertisedHost } or false', {
      rules: { host: text, port: integerWithin(0, 65_535), advertisedHost: text },
      optional: ['host', 'port', 'advertisedHost'],
    }),
  ),
};

/** The section `relay`: what {@link RelaySettings} may hold, what is assumed, and what must fit together. */
export const RELAY_SECTION: OptionChecks<RelaySettings> = {
  rules: RELAY_OPTION_RULES,
  defaults: {
    leaseTtlMs: DEFAULT_LEASE_TTL_MS,
    pollMinMs: 50,
    pollMaxMs: 1_000,
    lowLagMs: 500,
    pageRows: 500,
    batchRows: 500,
    batchBytes: 524_288,
    maxRequests: 32,
    maxRows: 20_000,
    maxBytes: 67_108_864,
    retry: RETRY,
    onPermanentFailure: 'park-key',
    archive: false,
    deadLetters: false,
    topics: [],
    accept: [],
    wake: {},
  },
  across: ({ pollMinMs = 0, pollMaxMs = 0, pageRows = 0, maxRows = 0, onPermanentFailure, accept = [] }, report) => {
    if (onPermanentFailure === 'skip-message' && !accept.includes('SKIP_BREAKS_ORDER')) {
      report("onPermanentFailure 'skip-message' lets later messages of a key overtake: accept it by accept: ['SKIP_BREAKS_ORDER']");
    }
    if (pollMinMs > pollMaxMs) report(`pollMinMs (${pollMinMs}) must be at most pollMaxMs (${pollMaxMs})`);
    if (maxRows < 2 * pageRows) report(`maxRows (${maxRows}) must be at least twice pageRows (${pageRows})`);
  },
};

/** Checks the options of a relay. Throws `OPTIONS_INVALID` with all problems at once. */
export function resolveRelayOptions(options: RelayOptions): ResolvedRelayOptions {
  const { rules, defaults, across } = RELAY_SECTION;
  const checked = checkOptions<RelayOptions>('createRelay', options, {
    rules: {
      database: databaseRule,
      publisher: objectWith('connect', 'describeTopic', 'publish', 'classify', 'close'),
      tablePrefix,
      logger: loggerLike,
      ...rules,
    },
    defaults: { tablePrefix: DEFAULT_TABLE_PREFIX, logger: defaultLogger, ...defaults },
    ...(across ? { across } : {}),
  });
  return Object.freeze({ ...checked, retry: { ...RETRY, ...checked.retry } }) as ResolvedRelayOptions;
}
