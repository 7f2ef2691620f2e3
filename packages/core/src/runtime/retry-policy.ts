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
