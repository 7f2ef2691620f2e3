import { integerWithin, type OptionRule, shaped } from './options.ts';

/** Exponential back-off with full jitter. */
export interface BackoffOptions {
  /** Upper bound of the first delay, milliseconds. */
  readonly baseMs: number;
  /** Upper bound of every delay, milliseconds. */
  readonly capMs: number;
}

/**
 * The delay before attempt `attempt + 1`, after `attempt` failures (1 = the first failure): uniformly random in
 * (0, min(capMs, baseMs × 2^(attempt−1))]. Pure but for `random`.
 * Source: "Exponential Backoff And Jitter", AWS Architecture Blog, 2015 (full jitter).
 */
export function backoffMs(options: BackoffOptions, attempt: number, random: () => number = Math.random): number {
  const bound = Math.min(options.capMs, options.baseMs * 2 ** Math.min(Math.max(attempt - 1, 0), 30));
  return Math.max(1, Math.ceil(bound * random()));
}

/** The rule of an option that holds some or all of {@link BackoffOptions}; what is left out comes from `defaults`. */
export function backoffOption(defaults: BackoffOptions): OptionRule {
  const shape = { type: 'integer', minimum: 1 } as const;
  return shaped({ type: 'object', properties: { baseMs: shape, capMs: shape }, additionalProperties: false }, (value) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return 'must be an object { baseMs, capMs }';
    const unknown = Object.keys(value).filter((name) => name !== 'baseMs' && name !== 'capMs');
    if (unknown.length > 0) return `has unknown properties ${unknown.join(', ')} (known: baseMs, capMs)`;
    const { baseMs, capMs } = { ...defaults, ...value };
    const problem = integerWithin(1)(baseMs) ?? integerWithin(1)(capMs);
    if (problem !== undefined) return `needs baseMs and capMs, each of which ${problem}`;
    return baseMs <= capMs ? undefined : `needs baseMs of at most capMs, got ${baseMs} and ${capMs}`;
  });
}
