import { randomUUID } from 'node:crypto';
import { createOutbox } from '@txbox/outbox/typeorm';
import { DataSource, type EntityManager, EntitySchema } from 'typeorm';
import { preparedValues, valuesByHand } from './mysql2-subjects.ts';
import { insertByHand, Purchased, payloadOf } from './purchased.ts';
import type { StartSubject, Subject } from './subject.ts';
import { type Purchase, purchaseOf } from './usual-transaction.ts';

interface Account {
  id: number;
  balance: number;
  changedAt: Date;
}
interface PurchaseRow {
  id?: number;
  accountId: number;
  amount: number;
  note: string;
}
interface PurchaseLine {
  id?: number;
  purchaseId: number;
  sku: string;
  quantity: number;
}
/** The row of an outbox without a framework. */
interface OwnEvent {
  id?: string;
  topic: string;
  key: string;
  type: string;
  headers: object;
  payload: object;
  createdAt: Date;
}

const AccountSchema = new EntitySchema<Account>({
  name: 'account',
  columns: { id: { type: 'int', primary: true }, balance: { type: 'int' }, changedAt: { type: 'datetime', name: 'changed_at' } },
});
const PurchaseSchema = new EntitySchema<PurchaseRow>({
  name: 'purchase',
  columns: {
    id: { type: 'bigint', primary: true, generated: 'increment' },
    accountId: { type: 'int', name: 'account_id' },
    amount: { type: 'int' },
    note: { type: 'varchar', length: 100 },
  },
});
const LineSchema = new EntitySchema<PurchaseLine>({
  name: 'purchase_line',
  columns: {
    id: { type: 'bigint', primary: true, generated: 'increment' },
    purchaseId: { type: 'bigint', name: 'purchase_id' },
    sku: { type: 'varchar', length: 32 },
    quantity: { type: 'int' },
  },
});
const OwnEventSchema = new EntitySchema<OwnEvent>({
  name: 'own_outbox',
  columns: {
    id: { type: 'char', length: 36, primary: true, generated: 'uuid' },
    topic: { type: 'varchar', length: 249 },
    key: { type: 'varchar', length: 255, name: 'message_key' },
    type: { type: 'varchar', length: 255 },
    headers: { type: 'simple-json' },
    payload: { type: 'simple-json' },
    createdAt: { type: 'datetime', precision: 3, name: 'created_at' },
  },
});

export async function startDataSource(url: string): Promise<DataSource> {
  const entities = [AccountSchema, PurchaseSchema, LineSchema, OwnEventSchema];
  return await new DataSource({ type: 'mysql', url, entities, extra: { connectionLimit: 4 } }).initialize();
}

/** The usual transaction with TypeORM: locking SELECT, UPDATE, two INSERTs. */
export async function purchaseWithTypeorm(manager: EntityManager, { account: id, amount, note, sku, quantity }: Purchase): Promise<void> {
  const account = await manager.findOneOrFail(AccountSchema, { where: { id }, lock: { mode: 'pessimistic_write' } });
  await manager.update(AccountSchema, { id }, { balance: account.balance - amount, changedAt: new Date() });
  const { identifiers } = await manager.insert(PurchaseSchema, { accountId: id, amount, note });
  await manager.insert(LineSchema, { purchaseId: identifiers[0]?.['id'] as number, sku, quantity });
}

/** An outbox of one's own: entities, saved at once. */
export async function saveOwnEvents(manager: EntityManager, purchase: Purchase, events: number): Promise<void> {
  if (events === 0) return;
  await manager.save(
    OwnEventSchema,
    Array.from({ length: events }, (_, at) => {
      const payload = payloadOf(purchase, at);
      const headers = { 'correlation-id': randomUUID(), version: '1', 'content-type': 'application/json' };
      return { topic: Purchased.topic, key: payload.account, type: Purchased.name, headers, payload, createdAt: new Date() };
    }),
  );
}

/** The framework on a DataSource. */
export async function txboxTypeorm(url: string): Promise<Subject> {
  const dataSource = await startDataSource(url);
  const outbox = createOutbox({ dataSource });
  return {
    run: (n, events) =>
      outbox.transaction(async (tx) => {
        const purchase = purchaseOf(n);
        await purchaseWithTypeorm(tx.manager, purchase);
        for (let at = 0; at < events; at += 1) tx.add(Purchased, payloadOf(purchase, at));
      }),
    close: async () => {
      await outbox.close();
      await dataSource.destroy();
    },
  };
}

/** TypeORM by hand, with one INSERT. */
export const rawTypeorm: StartSubject = (url) => byHand(url, valuesByHand);

/** The same of rows that were encoded before anything is measured: no service can have that. */
export const preparedTypeorm: StartSubject = (url) => byHand(url, preparedValues());

async function byHand(url: string, valuesOf: ReturnType<typeof preparedValues>): Promise<Subject> {
  const dataSource = await startDataSource(url);
  return {
    run: (n, events) =>
      dataSource.transaction(async (manager) => {
        const purchase = purchaseOf(n);
        await purchaseWithTypeorm(manager, purchase);
        if (events > 0) await manager.query(insertByHand(events), valuesOf(purchase, events));
      }),
    close: () => dataSource.destroy(),
  };
}

/** TypeORM's own transaction, events as entities. */
export async function savedEntities(url: string): Promise<Subject> {
  const dataSource = await startDataSource(url);
  return {
    run: (n, events) =>
      dataSource.transaction(async (manager) => {
        const purchase = purchaseOf(n);
        await purchaseWithTypeorm(manager, purchase);
        await saveOwnEvents(manager, purchase, events);
      }),
    close: () => dataSource.destroy(),
  };
}
