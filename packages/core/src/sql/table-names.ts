import { TxboxError } from '../runtime/error.ts';
import { type OptionRule, shaped } from '../runtime/options.ts';

/** Prefix of all tables unless configured otherwise. */
export const DEFAULT_TABLE_PREFIX = 'txbox_';

const PREFIX = /^[a-z][a-z0-9_]{0,31}$/i;

const NAMES = {
  meta: 'meta',
  lease: 'lease',
  parkedKey: 'parked_key',
  deadLetter: 'dead_letter',
  audit: 'audit',
  outbox: 'outbox',
  relay: 'relay',
  relayReport: 'relay_report',
  sequence: 'sequence',
  idempotency: 'idempotency',
  topic: 'topic',
  archive: 'archive',
  inbox: 'inbox',
  inboxAttempt: 'inbox_attempt',
  inboxSequence: 'inbox_sequence',
  inboxBusinessKey: 'inbox_business_key',
} as const;

/** The tables of an installation (protocol, section T), quoted for use in SQL. */
export type TableNames = { readonly [Table in keyof typeof NAMES]: string };

const byPrefix = new Map<string, TableNames>();

/**
 * The tables behind a prefix. Throws `OPTIONS_INVALID` for a prefix that is not a letter followed by at most 31
 * letters, digits or underscores: nothing else ever becomes part of a statement's text.
 */
export function tableNames(prefix: string = DEFAULT_TABLE_PREFIX): TableNames {
  const known = byPrefix.get(prefix);
  if (known) return known;
  const problem = tablePrefix(prefix);
  if (problem !== undefined) throw new TxboxError('OPTIONS_INVALID', `tablePrefix ${problem}, got ${JSON.stringify(prefix)}.`);
  // Quoted, because a prefix may complete a reserved word ("re" + "lease").
  const names = Object.fromEntries(Object.entries(NAMES).map(([table, name]) => [table, `\`${prefix}${name}\``])) as TableNames;
  byPrefix.set(prefix, names);
  return names;
}

/** Option rule of table prefixes. */
export const tablePrefix: OptionRule = shaped({ type: 'string', pattern: '^[A-Za-z][A-Za-z0-9_]{0,31}$' }, (value) =>
  typeof value === 'string' && PREFIX.test(value) ? undefined : 'must be a letter followed by at most 31 letters, digits or underscores',
);
