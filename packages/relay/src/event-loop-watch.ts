import { watchEventLoop } from '@txbox/core/spi';
import type { RelayEmitter } from './relay-event.ts';
import type { ResolvedRelayOptions } from './relay-options.ts';

/** An event loop that does not turn for so long is worth a word, and for a third of the leases' TTL in any case. */
const BLOCKED_MS = 1_000;

/** Notices when the relay's own process does not get to run. Returns what ends it. */
export function watchOwnEventLoop(
  { leaseTtlMs, logger }: Pick<ResolvedRelayOptions, 'leaseTtlMs' | 'logger'>,
  events: RelayEmitter,
  trusted: () => boolean,
): () => void {
  const blocked = Math.min(BLOCKED_MS, leaseTtlMs / 3);
  return watchEventLoop((delayMs) => {
    events.emit('event-loop-delay', { delayMs });
    if (delayMs < blocked) return;
    const fact = { blockedMs: Math.round(delayMs), leasesTrusted: trusted() };
    logger.warn(fact, 'The event loop was blocked: by code that did not return, or the process was paused.');
    events.emit('event-loop-blocked', fact);
  });
}
