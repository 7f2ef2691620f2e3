import { addTransactionalDataSource, initializeTransactionalContext, runInTransaction, StorageDriver } from 'typeorm-transactional';
import type { Subject } from './subject.ts';
import { purchaseWithTypeorm, saveOwnEvents, startDataSource } from './typeorm-subjects.ts';
import { purchaseOf } from './usual-transaction.ts';

/** `typeorm-transactional`, events as entities. It changes TypeORM's prototypes, so nothing else may share the process. */
export async function typeormTransactional(url: string): Promise<Subject> {
  initializeTransactionalContext({ storageDriver: StorageDriver.ASYNC_LOCAL_STORAGE });
  const dataSource = addTransactionalDataSource(await startDataSource(url));
  return {
    run: (n, events) =>
      runInTransaction(async () => {
        const purchase = purchaseOf(n);
        await purchaseWithTypeorm(dataSource.manager, purchase);
        await saveOwnEvents(dataSource.manager, purchase, events);
      }),
    close: () => dataSource.destroy(),
  };
}
