import { ERROR_CODES, type ErrorCode } from './error-codes.ts';

const BRAND: unique symbol = Symbol.for('txbox.error') as never;

/** What a {@link TxboxError} may carry beside its code and text. */
export interface TxboxErrorOptions {
  /** The error that led to this one. */
  readonly cause?: unknown;
  /** Overrides the code's own answer to "may the same call succeed later?". */
  readonly retryable?: boolean;
  /** Facts for programs: names, values, limits. Never secrets, never payloads. */
  readonly details?: Readonly<Record<string, unknown>>;
}

/**
 * The one error class of the framework. The message names the thing, the value, the rule and the way out;
 * `code` is stable and documented under `docs`.
 *
 * Recognise it with {@link isTxboxError}, not with `instanceof`: two copies of the package may be loaded.
 */
export class TxboxError extends Error {
  readonly code: ErrorCode;
  readonly retryable: boolean;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(code: ErrorCode, message: string, options: TxboxErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'TxboxError';
    this.code = code;
    this.retryable = options.retryable ?? ERROR_CODES[code].retryable;
    this.details = options.details ?? {};
    Object.defineProperty(this, BRAND, { value: true });
  }

  /** Where the code is explained, relative to the project's documentation. */
  get docs(): string {
    return `docs/errors.md#${this.code.toLowerCase()}`;
  }
}

/** True for an error of the framework (of any loaded copy of it), with the given code when one is named. */
export function isTxboxError(error: unknown, code?: ErrorCode): error is TxboxError {
  if (typeof error !== 'object' || error === null || !(BRAND in error)) return false;
  return code === undefined || (error as unknown as TxboxError).code === code;
}
