import { checkOptions, integerWithin, type OptionRule, objectValue, oneOf } from '../runtime/options.ts';
import { chooseResource, type OutboxChoice, outboxChoice } from './live-outboxes.ts';
import { type AnyMethod, type AsyncMethodDecorator, methodDecorator, refuseWithoutParentheses } from './method-decorator.ts';
import { runTransaction } from './run-transaction.ts';
import type { TransactionOptions } from './transaction.ts';

/** What `@Transactional` takes. */
export interface TransactionalOptions extends TransactionOptions {
  /** The outbox whose database is meant: by name, or from the decorated object. Default: the open unit's, else the only one. */
  readonly on?: OutboxChoice;
}

const ISOLATION: OptionRule = oneOf('READ UNCOMMITTED', 'READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE');
const RETRY: OptionRule = (value) => {
  const problem = objectValue(value);
  if (problem !== undefined) return problem;
  const { maxAttempts, ...rest } = value as Record<string, unknown>;
  const unknown = Object.keys(rest);
  if (unknown.length > 0) return `has unknown keys ${unknown.join(', ')} (known: maxAttempts)`;
  const wrong = integerWithin(1, 100)(maxAttempts);
  return wrong === undefined ? undefined : `has a maxAttempts that ${wrong}`;
};

/** Checks the options of one transaction; throws `OPTIONS_INVALID`. */
export function checkTransactionOptions(what: string, options: TransactionOptions): TransactionOptions {
  return checkOptions<TransactionOptions>(what, options, {
    rules: { isolationLevel: ISOLATION, retry: RETRY },
    optional: ['isolationLevel', 'retry'],
  });
}

/**
 * Runs the method in a transaction: the open one, or a new one that commits when the method's promise resolves and rolls
 * back when it rejects. Works in legacy and TC39 form, above or below `@Publishes`. Throws what `runTransaction` throws.
 */
export function Transactional(options: TransactionalOptions = {}, ...rest: never[]): AsyncMethodDecorator {
  refuseWithoutParentheses('@Transactional', [options, ...rest]);
  const { on, ...transaction } = checkOptions<TransactionalOptions>('@Transactional', options, {
    rules: { isolationLevel: ISOLATION, retry: RETRY, on: outboxChoice },
    optional: ['isolationLevel', 'retry', 'on'],
  });
  return methodDecorator('@Transactional', (method) => transactionalMethod(method, on, transaction));
}

const PART: unique symbol = Symbol.for('txbox.transactional-part') as never;

/** What stands inside a `@Transactional` method, for decorators above it that must act before COMMIT. */
export interface TransactionalPart {
  /** The method without its transaction. */
  readonly method: AnyMethod;
  /** Runs another method in the same kind of transaction. */
  readonly around: (method: AnyMethod) => AnyMethod;
}

/** The part of a method that `@Transactional` made, or `undefined` for any other. */
export function transactionalPart(method: AnyMethod): TransactionalPart | undefined {
  return (method as { [PART]?: TransactionalPart })[PART];
}

function transactionalMethod(method: AnyMethod, on: OutboxChoice | undefined, options: TransactionOptions): AnyMethod {
  const part: TransactionalPart = { method, around: (other) => transactionalMethod(other, on, options) };
  const wrapper: AnyMethod = async function (this: unknown, ...args: unknown[]) {
    return await runTransaction(chooseResource('@Transactional', on, this), options, async () => await method.apply(this, args));
  };
  return Object.defineProperty(wrapper, PART, { value: part });
}
