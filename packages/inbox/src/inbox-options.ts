import {
  type BackoffOptions,
  backoffOption,
  checkOptions,
  DEFAULT_TABLE_PREFIX,
  defaultLogger,
  integerWithin,
  type Logger,
  listOf,
  loggerLike,
  type MessageSource,
  type OptionRule,
  objectWith,
  oneOf,
  tablePrefix,
  text,
} from '@txbox/core/spi';
import type { OnUnknown } from './batch.ts';

/** What {@link createInbox} takes in every flavour. */
export interface InboxOptions {
  /** Consumer group: each event has one effect per group. 1 to 64 bytes as UTF-8. Its messages are remembered under this name: do not rename it. */
  readonly group: string;
  /** Where messages come from. The inbox stops and closes it. Default: none, for those who call `inbox.process` themselves. */
  readonly source?: MessageSource;
  /** Instances of classes with `@Handles(event)` methods. Default: none, for those who call `inbox.on`. */
  readonly handlers?: readonly object[];
  /** Topics to consume; must contain those of all handled events. Default: exactly those. */
  readonly topics?: readonly string[];
  /** Most messages in one transaction. Default 100. */
  readonly batchSize?: number;
  /** Back-off between tries of a message that fails, full jitter, without end. Default `{ baseMs: 200, capMs: 30_000 }`. */
  readonly retry?: Partial<BackoffOptions>;
  /**
   * What becomes of messages that cannot be read: not ours, damaged, not what the event's codec and schema expect.
   * `hold` (default): the lane waits at it, visibly. `skip`: it is logged, counted and passed over for good.
   * Events without a handler in this inbox are always passed over.
   */
  readonly onUnknown?: OnUnknown;
  /** Default `txbox_`. */
  readonly tablePrefix?: string;
  /** Default: warnings and errors, as text on stderr; `silentLogger` of `@txbox/core` writes nothing. */
  readonly logger?: Logger;
  /** For logs and errors. Default the group. */
  readonly name?: string;
}

/** Options with their defaults. */
export type ResolvedInboxOptions = Required<Omit<InboxOptions, 'source' | 'topics' | 'retry'>> &
  Pick<InboxOptions, 'source' | 'topics'> & { readonly retry: BackoffOptions };

const MAX_GROUP_BYTES = 64;
const RETRY: BackoffOptions = { baseMs: 200, capMs: 30_000 };

const groupRule: OptionRule = (value) =>
  typeof value === 'string' && value !== '' && Buffer.byteLength(value) <= MAX_GROUP_BYTES
    ? undefined
    : `must be a text of 1 to ${MAX_GROUP_BYTES} bytes`;

/**
 * Checks the options of an inbox. `flavour`: the option that holds the database, with its rule.
 * Throws `OPTIONS_INVALID` with all problems at once.
 */
export function resolveInboxOptions<Flavour extends object>(
  options: InboxOptions & Flavour,
  flavour: { readonly [Key in keyof Flavour]-?: OptionRule },
): ResolvedInboxOptions & Flavour {
  const checked = checkOptions<InboxOptions>('createInbox', options, {
    rules: {
      ...flavour,
      group: groupRule,
      source: objectWith('subscribe', 'close', 'clusterId'),
      handlers: listOf(() => undefined),
      topics: topicsRule,
      batchSize: integerWithin(1, 10_000),
      retry: backoffOption(RETRY),
      onUnknown: oneOf('hold', 'skip'),
      tablePrefix,
      logger: loggerLike,
      name: text,
    },
    defaults: { handlers: [], batchSize: 100, retry: RETRY, onUnknown: 'hold', tablePrefix: DEFAULT_TABLE_PREFIX, logger: defaultLogger },
    optional: ['source', 'topics', 'name'],
  });
  return Object.freeze({ ...checked, name: checked.name ?? checked.group, retry: { ...RETRY, ...checked.retry } }) as ResolvedInboxOptions &
    Flavour;
}

const topicsRule: OptionRule = (value) =>
  listOf(text)(value) ?? ((value as unknown[]).length > 0 ? undefined : 'must name at least one topic, or be left out');
