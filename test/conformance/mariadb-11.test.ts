import type { MigrationComponent } from '@txbox/core/spi';
import { inboxStoreSuite, leaseStoreSuite, outboxStoreSuite } from '@txbox/testing/conformance';
import { inboxBackend, leaseBackend, mysqlDatabase, outboxBackend, type TestDatabase } from './sql-backend.ts';

const database = async (components: readonly MigrationComponent[]): Promise<TestDatabase> =>
  await mysqlDatabase('TXBOX_TEST_MARIADB11_URL', 'mariadb11', components);

outboxStoreSuite('MariaDB 11', async () => await outboxBackend(database));
leaseStoreSuite('MariaDB 11', async () => await leaseBackend(database));
inboxStoreSuite('MariaDB 11', async () => await inboxBackend(database));
