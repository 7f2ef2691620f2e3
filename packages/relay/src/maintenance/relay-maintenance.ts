import { type Database, deadLetterStore, leaseStore, systemClock } from '@txbox/core/spi';
import { archiveRedriven, outboxArchive, outboxStore, RELAY_SCOPE } from '@txbox/outbox/store';
import { LetterSender } from '../dead-letters/letter-sender.ts';
import type { RelayEmitter } from '../relay-event.ts';
import type { ResolvedRelayOptions } from '../relay-options.ts';
import { ArchiveCleaner } from './archive-cleaner.ts';
import { DeadLetterCleaner } from './dead-letter-cleaner.ts';
import { Maintenance, type MaintenanceService } from './maintenance.ts';

/** Longest pause between two looks for what is to be forgotten; shorter where little is kept. */
const MAINTENANCE_MS = { least: 1_000, most: 300_000, ofRetention: 0.1 };

/** What one relay does for all; nothing when nothing is kept. */
export function maintenanceOf(
  database: Database,
  { archive, deadLetters, tablePrefix, publisher, leaseTtlMs }: ResolvedRelayOptions,
  self: Buffer,
  events: RelayEmitter,
  signal: AbortSignal,
): Maintenance | undefined {
  const services: MaintenanceService[] = [];
  const retentions: number[] = [];
  if (archive !== false) {
    const { retentionMs } = archive;
    services.push(new ArchiveCleaner({ archive: outboxArchive(database, { tablePrefix }), retentionMs, events }));
    retentions.push(retentionMs);
  }
  if (deadLetters !== false) {
    const { retentionMs } = deadLetters;
    const letters = deadLetterStore(database, RELAY_SCOPE, tablePrefix, archive === false ? undefined : archiveRedriven(tablePrefix));
    const actor = `relay ${self.toString('hex')}`;
    const plan = { letters, publisher, clock: systemClock, actor, signal };
    const pins = outboxStore(database, { tablePrefix });
    const sender = new LetterSender({ ...plan, pins, random: Math.random, force: false, onSent: () => undefined });
    services.push(new DeadLetterCleaner({ ...plan, sender, leaseTtlMs, retentionMs, events }));
    retentions.push(retentionMs);
  }
  if (services.length === 0) return undefined;
  const { least, most, ofRetention } = MAINTENANCE_MS;
  const everyMs = Math.max(least, Math.min(most, Math.ceil(ofRetention * Math.min(...retentions))));
  return new Maintenance({ services, leases: leaseStore(database, tablePrefix), self, clock: systemClock, everyMs });
}
