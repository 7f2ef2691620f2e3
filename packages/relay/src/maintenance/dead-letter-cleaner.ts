import type { Clock, DeadLetterStore, Publisher } from '@txbox/core/spi';
import type { LetterSender } from '../dead-letters/letter-sender.ts';
import { takeOut } from '../dead-letters/take-out.ts';
import type { RelayEmitter } from '../relay-event.ts';
import { givesUpAfterMs, silenceMs } from '../silence.ts';
import type { MaintenanceService } from './maintenance.ts';

/** What a cleaner of dead letters works with. */
export interface DeadLetterCleanerPlan {
  readonly letters: DeadLetterStore;
  readonly publisher: Publisher;
  readonly sender: LetterSender;
  readonly clock: Clock;
  readonly leaseTtlMs: number;
  readonly retentionMs: number;
  /** Who it is, for the audit. */
  readonly actor: string;
  readonly signal: AbortSignal;
  readonly events: RelayEmitter;
}

/**
 * Discards dead letters that were parked longer than `retentionMs` ago by the database's clock, with an audit row (`expire`) each,
 * and publishes what only waited behind them. One that was sent again meanwhile is kept for as long from then on.
 */
export class DeadLetterCleaner implements MaintenanceService {
  readonly #plan: DeadLetterCleanerPlan;

  constructor(plan: DeadLetterCleanerPlan) {
    this.#plan = plan;
  }

  async runOnce(): Promise<boolean> {
    const { letters, publisher, sender, clock, leaseTtlMs, retentionMs, actor, signal, events } = this.#plan;
    const quietMs = Math.max(retentionMs, silenceMs(leaseTtlMs, await givesUpAfterMs(publisher, false)));
    // This process's clock only spares looking at what is surely young.
    const until = new Date(clock.now() - retentionMs + CLOCKS_DIFFER_MS).toISOString().slice(0, 23).replace('T', ' ');
    const note = { action: 'expire', actor } as const;
    const outcome = await takeOut(
      { letters, sender, clock, note, quietMs, wait: false, dryRun: false, signal, onWait: () => undefined },
      { until },
    );
    if (outcome.letters > 0) events.emit('cleaned', { what: 'dead-letters', messages: outcome.letters });
    return false;
  }
}

/** The database decides by its own clock. */
const CLOCKS_DIFFER_MS = 86_400_000;
