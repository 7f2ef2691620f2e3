import { isTxboxError, type Publisher } from '@txbox/core/spi';

/** A publisher that does not say how long it goes on by itself: longer than those of txbox do by default. */
const UNKNOWN_MS = 180_000;
/** Least time for which a relay trusts its leases, whatever it is configured with now: others may be configured otherwise. */
const LEAST_TRUST_MS = 10_000;

/**
 * For how long somebody who was about to send a message may still do so, milliseconds (P-R11): as long as it may trust its leases,
 * and as long as its client tries by itself afterwards.
 */
export function silenceMs(leaseTtlMs: number, givesUpAfterMs: number = UNKNOWN_MS): number {
  return Math.max(leaseTtlMs, LEAST_TRUST_MS) + givesUpAfterMs;
}

/** How long the publisher's client goes on by itself, if that is known. A dry run needs no broker, and goes without when there is none. */
export async function givesUpAfterMs(publisher: Publisher, dryRun: boolean): Promise<number | undefined> {
  try {
    return (await publisher.inspect?.([]))?.givesUpAfterMs;
  } catch (error) {
    if (dryRun && isTxboxError(error, 'BROKER_UNAVAILABLE')) return undefined;
    throw error;
  }
}
