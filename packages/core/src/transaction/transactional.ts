import { idempotencyKey } from './idempotency-key.ts';
import { chooseResource, chosenOutbox, type OutboxChoice, outboxChoice } from './live-outboxes.ts';
import { type AnyMethod, type AsyncMethodDecorator, methodDecorator, refuseWithoutParentheses } from './method-decorator.ts';
import { runTransaction } from './run-transaction.ts';
import type { TransactionOptions } from './transaction.ts';
import { checkMethodTransactionOptions } from './transaction-options.ts';

/** What `@Transactional` takes. */
export interface TransactionalOptions extends Omit<TransactionOptions, 'idempotencyKey'> {
  /** Makes the key of the method's arguments; the same key with other arguments is `IDEMPOTENCY_KEY_REUSED`. */
  readonly idempotencyKey?: (...args: any[]) => string;
  /** The outbox whose database is meant: by name, or from the decorated object. Default: the open unit's, else the only one. */
  readonly on?: OutboxChoice;
}

const METHOD_RULES = { on: outboxChoice };

/**
 * Runs the method in a transaction: the open one, or a new one that commits when the method's promise resolves and rolls
 * back when it rejects. Works in legacy and TC39 form, above or below `@Publishes`. Throws what `runTransaction` throws.
 */
export function Transactional(options: TransactionalOptions = {}, ...rest: never[]): AsyncMethodDecorator {
  refuseWithoutParentheses('@Transactional', [options, ...rest]);
  const checked = checkMethodTransactionOptions<TransactionalOptions>('@Transactional', options, METHOD_RULES);
  return methodDecorator('@Transactional', (method, name) => transactionalMethod(method, name, checked));
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

function transactionalMethod(method: AnyMethod, name: string, options: TransactionalOptions): AnyMethod {
  const part: TransactionalPart = { method, around: (other) => transactionalMethod(other, name, options) };
  const { on, idempotencyKey: keyOf, ...call } = options;
  const wrapper: AnyMethod = async function (this: unknown, ...args: unknown[]) {
    const resource = chooseResource('@Transactional', on, this);
    const sink = on === undefined ? undefined : chosenOutbox('@Transactional', on, this).sink;
    const key = keyOf && idempotencyKey(`@Transactional on ${name}`, keyOf.apply(this, args), name, args);
    return await runTransaction(
      resource,
      { ...call, ...(key && { idempotencyKey: key }), ...(sink && { sink }) },
      async () => await method.apply(this, args),
    );
  };
  return Object.defineProperty(wrapper, PART, { value: part });
}
