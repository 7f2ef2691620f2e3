import type { OutboxArchive } from '@txbox/outbox/store';
import type { RelayEmitter } from '../relay-event.ts';
import type { MaintenanceService } from './maintenance.ts';

/** Most messages of one DELETE. */
const CHUNK_MESSAGES = 1_000;

/** What a cleaner of the archive works with. */
export interface ArchiveCleanerPlan {
  readonly archive: Pick<OutboxArchive, 'prune'>;
  readonly retentionMs: number;
  readonly events: RelayEmitter;
}

/** Forgets archived messages that were published longer than `retentionMs` ago. */
export class ArchiveCleaner implements MaintenanceService {
  readonly #plan: ArchiveCleanerPlan;

  constructor(plan: ArchiveCleanerPlan) {
    this.#plan = plan;
  }

  async runOnce(): Promise<boolean> {
    const { archive, retentionMs, events } = this.#plan;
    const messages = await archive.prune(retentionMs, CHUNK_MESSAGES);
    if (messages > 0) events.emit('cleaned', { what: 'archive', messages });
    return messages === CHUNK_MESSAGES;
  }
}
