import { archiveSuite, inboxStoreSuite, leaseStoreSuite, outboxStoreSuite, parkingSuite } from '@txbox/testing/conformance';
import { archiveBackend, inboxBackend, leaseBackend, outboxBackend, parkingBackend, sqliteDatabase } from './sql-backend.ts';

outboxStoreSuite('SQLite', async () => await outboxBackend(sqliteDatabase), {
  lacks: {
    'late-commits': 'SQLite has one writer at a time, so rows become visible in the order of their positions',
    'dirty-reads': 'SQLite shows no uncommitted row to another connection, and with one writer none can appear below a visible one',
  },
});

parkingSuite('SQLite', async () => await parkingBackend(sqliteDatabase));
archiveSuite('SQLite', async () => await archiveBackend(sqliteDatabase), {
  lacks: { 'late-commits': 'SQLite has one writer at a time, so rows become visible in the order of their positions' },
});

leaseStoreSuite('SQLite', async () => await leaseBackend(sqliteDatabase), {
  lacks: { 'session-time-zone': 'SQLite has no session time zone; its clock is UTC' },
});

inboxStoreSuite('SQLite', async () => await inboxBackend(sqliteDatabase), {
  lacks: { 'open-recorders': 'SQLite has one writer at a time: the second transaction begins when the first has ended' },
});
