import type { Publisher } from '@txbox/core/spi';

/** A publisher that does not say how long it goes on by itself. */
const UNKNOWN_MS = 60_000;
/** Least time for which a relay trusts its leases, whatever it is configured with now: others may be configured otherwise. */
const LEAST_TRUST_MS = 10_000;

/**
 * For how long somebody who was about to send a message may still do so, milliseconds (P-R11): as long as it may trust its leases,
 * and as long as its client tries by itself afterwards.
 */
export function silenceMs(publisher: Publisher, leaseTtlMs: number): number {
  return Math.max(leaseTtlMs, LEAST_TRUST_MS) + (publisher.settlesWithinMs ?? UNKNOWN_MS);
}
