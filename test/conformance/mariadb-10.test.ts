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
  await mysqlDatabase('TXBOX_TEST_MARIADB_URL', 'mariadb', components);

outboxStoreSuite('MariaDB 10.11', async () => await outboxBackend(database));
parkingSuite('MariaDB 10.11', async () => await parkingBackend(database));
archiveSuite('MariaDB 10.11', async () => await archiveBackend(database));
leaseStoreSuite('MariaDB 10.11', async () => await leaseBackend(database));
inboxStoreSuite('MariaDB 10.11', async () => await inboxBackend(database));
