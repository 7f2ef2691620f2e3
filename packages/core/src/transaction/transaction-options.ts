import { callable, checkOptions, flag, integerWithin, type OptionRule, objectValue, oneOf } from '../runtime/options.ts';
import { MAX_IDEMPOTENCY_KEY_BYTES } from './idempotency-key.ts';
import type { TransactionOptions } from './transaction.ts';

/** Longest time a timer can wait. */
const MAX_TIMEOUT_MS = 0x7fff_ffff;

const retryRule: OptionRule = (value) => {
  const problem = objectValue(value);
  if (problem !== undefined) return problem;
  const { maxAttempts, ...rest } = value as Record<string, unknown>;
  const unknown = Object.keys(rest);
  if (unknown.length > 0) return `has unknown keys ${unknown.join(', ')} (known: maxAttempts)`;
  const wrong = integerWithin(1, 100)(maxAttempts);
  return wrong === undefined ? undefined : `has a maxAttempts that ${wrong}`;
};

const keyRule: OptionRule = (value) =>
  typeof value === 'string' && value !== '' && Buffer.byteLength(value) <= MAX_IDEMPOTENCY_KEY_BYTES
    ? undefined
    : `must be a text of 1 to ${MAX_IDEMPOTENCY_KEY_BYTES} bytes`;

const RULES: { readonly [Key in keyof TransactionOptions]-?: OptionRule } = {
  isolationLevel: oneOf('READ UNCOMMITTED', 'READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE'),
  propagation: oneOf('required', 'requires-new', 'nested', 'mandatory', 'supports', 'not-supported', 'never'),
  retry: retryRule,
  timeoutMs: integerWithin(1, MAX_TIMEOUT_MS),
  readOnly: flag,
  idempotencyKey: keyRule,
};

type Given = { readonly [Key in keyof TransactionOptions]?: unknown };

/** Options that mean nothing where no transaction is ever begun, and some nothing where it may run without one. */
function refuseContradictions(options: Given, report: (problem: string) => void): void {
  const { propagation } = options;
  const useless: readonly (keyof TransactionOptions)[] =
    propagation === 'mandatory'
      ? ['retry', 'timeoutMs', 'idempotencyKey']
      : propagation === 'supports' || propagation === 'not-supported' || propagation === 'never'
        ? ['isolationLevel', 'retry', 'timeoutMs', 'readOnly', 'idempotencyKey']
        : [];
  const given = useless.filter((name) => options[name] !== undefined);
  if (given.length > 0)
    report(`${given.join(', ')} cannot be kept with propagation '${String(propagation)}', which never begins a transaction`);
  if (options.readOnly === true && options.idempotencyKey !== undefined) report('an idempotencyKey is written, and readOnly forbids that');
}

/** Checks the options of one transaction; throws `OPTIONS_INVALID` with all problems. */
export function checkTransactionOptions(what: string, options: TransactionOptions): TransactionOptions {
  return checkOptions<TransactionOptions>(what, options, {
    rules: RULES,
    optional: Object.keys(RULES) as (keyof TransactionOptions)[],
    across: refuseContradictions,
  });
}

/** The same for options where the key is made of a method's arguments, beside others by their own `rules`. */
export function checkMethodTransactionOptions<T extends object>(
  what: string,
  options: T,
  rules: { readonly [Key in Exclude<keyof T, keyof TransactionOptions>]-?: OptionRule },
): T {
  const all = { ...RULES, idempotencyKey: callable, ...rules } as unknown as { readonly [Key in keyof T]-?: OptionRule };
  return checkOptions<T>(what, options, {
    rules: all,
    optional: Object.keys(all) as (keyof T)[],
    across: (given, report) => refuseContradictions(given as Given, report),
  });
}
