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
  await mysqlDatabase('TXBOX_TEST_MYSQL9_URL', 'mysql9', components);

outboxStoreSuite('MySQL 9', async () => await outboxBackend(database));
parkingSuite('MySQL 9', async () => await parkingBackend(database));
archiveSuite('MySQL 9', async () => await archiveBackend(database));
leaseStoreSuite('MySQL 9', async () => await leaseBackend(database));
inboxStoreSuite('MySQL 9', async () => await inboxBackend(database));
