import type { MigrationComponent } from '@txbox/core/spi';
import { archiveSuite, inboxStoreSuite, leaseStoreSuite, outboxStoreSuite, parkingSuite } from '@txbox/testing/conformance';
import {
  archiveBackend,
  inboxBackend,
  leaseBackend,
  mysqlDatabase,
  outboxBackend,
  parkingBackend,
  type TestDatabase,
} from './sql-backend.ts';

const database = async (components: readonly MigrationComponent[]): Promise<TestDatabase> =>
  await mysqlDatabase('TXBOX_TEST_MYSQL80_URL', 'mysql80', components);

outboxStoreSuite('MySQL 8.0', async () => await outboxBackend(database));
parkingSuite('MySQL 8.0', async () => await parkingBackend(database));
archiveSuite('MySQL 8.0', async () => await archiveBackend(database));
leaseStoreSuite('MySQL 8.0', async () => await leaseBackend(database));
inboxStoreSuite('MySQL 8.0', async () => await inboxBackend(database));
