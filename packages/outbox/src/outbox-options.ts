import {
  callable,
  checkOptions,
  DEFAULT_TABLE_PREFIX,
  defaultLogger,
  type Envelope,
  envelopeRule,
  flag,
  integerWithin,
  type Logger,
  loggerLike,
  type OnLockTimeout,
  type OptionRule,
  objectValue,
  oneOf,
  tablePrefix,
  text,
} from '@txbox/core/spi';
import type { IdempotencySettings } from './idempotency.ts';

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
  /** Told what `afterCommit` callbacks and hooks after COMMIT throw, beside the logger: the transaction is committed by then. */
  readonly unhandled?: (error: unknown) => void;
  /**
   * How events' own facts are written: as headers `txbox-…` (default), or as CloudEvents in the Kafka binding's binary mode.
   * Consumers read both.
   */
  readonly envelope?: Envelope;
  /** Bounds of what is kept of transactions with an `idempotencyKey`. */
  readonly idempotency?: Partial<IdempotencySettings>;
}

/** Options with their defaults. */
export interface ResolvedOutboxOptions extends Required<OutboxOptions> {
  readonly idempotency: IdempotencySettings;
}

const IDEMPOTENCY: IdempotencySettings = { retentionMs: 7 * 24 * 3_600_000, maxResultBytes: 65_536 };

const idempotencyRule: OptionRule = (value) => {
  const problem = objectValue(value);
  if (problem !== undefined) return problem;
  const { retentionMs, maxResultBytes, ...rest } = { ...IDEMPOTENCY, ...(value as Partial<IdempotencySettings>) };
  const unknown = Object.keys(rest);
  if (unknown.length > 0) return `has unknown keys ${unknown.join(', ')} (known: retentionMs, maxResultBytes)`;
  const wrong = [
    ['retentionMs', integerWithin(60_000)(retentionMs)],
    ['maxResultBytes', integerWithin(0, 16_777_216)(maxResultBytes)],
  ].filter(([, said]) => said !== undefined);
  return wrong.length === 0 ? undefined : wrong.map(([name, said]) => `has a ${name} that ${said}`).join(' and ');
};

/** Checks the options of one flavour: its own `rules` and the common ones, all problems at once. */
export function resolveOutboxOptions<Own extends object>(
  given: unknown,
  rules: { readonly [Key in keyof Own]-?: OptionRule },
  defaults: Partial<Own> = {},
): ResolvedOutboxOptions & Own {
  type All = ResolvedOutboxOptions & Own;
  const checked = checkOptions<All>('createOutbox', given, {
    rules: {
      ...rules,
      name: text,
      tablePrefix,
      logger: loggerLike,
      onLockTimeout: oneOf('doom', 'continue'),
      wake: flag,
      unhandled: callable,
      envelope: envelopeRule,
      idempotency: idempotencyRule,
    } as { readonly [Key in keyof All]-?: OptionRule },
    defaults: {
      name: 'default',
      tablePrefix: DEFAULT_TABLE_PREFIX,
      logger: defaultLogger,
      onLockTimeout: 'doom',
      wake: true,
      unhandled: () => undefined,
      envelope: 'txbox',
      idempotency: IDEMPOTENCY,
      ...defaults,
    } as Partial<All>,
  });
  return { ...checked, idempotency: { ...IDEMPOTENCY, ...checked.idempotency } };
}
