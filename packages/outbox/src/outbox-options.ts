import {
  checkOptions,
  DEFAULT_TABLE_PREFIX,
  defaultLogger,
  flag,
  type Logger,
  loggerLike,
  type OnLockTimeout,
  type OptionRule,
  oneOf,
  tablePrefix,
  text,
} from '@txbox/core/spi';

/** What every flavour of `createOutbox` takes beside its database. */
export interface OutboxOptions {
  /** Name for decorators' `on` and for messages. Default `default`. */
  readonly name?: string;
  /** Prefix of the framework's tables: letters, digits and underscores. Default `txbox_`. */
  readonly tablePrefix?: string;
  /** Default: warnings and errors, as text on stderr; `silentLogger` of `@txbox/core` writes nothing. */
  readonly logger?: Logger;
  /**
   * What a lock wait time-out (1205) does to the transaction: `doom` (default), or `continue` where
   * `innodb_rollback_on_timeout` is off and the code goes on after it.
   */
  readonly onLockTimeout?: OnLockTimeout;
  /** Whether relays are told of commits by datagram. Default true; without it they poll. */
  readonly wake?: boolean;
}

/** Options with their defaults. */
export type ResolvedOutboxOptions = Required<OutboxOptions>;

/** Checks the options of one flavour: its own `rules` and the common ones, all problems at once. */
export function resolveOutboxOptions<Own extends object>(
  given: unknown,
  rules: { readonly [Key in keyof Own]-?: OptionRule },
  defaults: Partial<Own> = {},
): ResolvedOutboxOptions & Own {
  type All = ResolvedOutboxOptions & Own;
  return checkOptions<All>('createOutbox', given, {
    rules: {
      ...rules,
      name: text,
      tablePrefix,
      logger: loggerLike,
      onLockTimeout: oneOf('doom', 'continue'),
      wake: flag,
    } as { readonly [Key in keyof All]-?: OptionRule },
    defaults: {
      name: 'default',
      tablePrefix: DEFAULT_TABLE_PREFIX,
      logger: defaultLogger,
      onLockTimeout: 'doom',
      wake: true,
      ...defaults,
    } as Partial<All>,
  });
}
