// One event the whole way, written as users write it: TypeORM service, relay, inbox, on SQLite and the embedded broker.
// Compiled in the fresh project with its own compiler settings: standard decorators, no flags.
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { defineEvent, isTxboxError, type PayloadOf } from '@txbox/core';
import { embedded, embeddedAdmin, embeddedSource } from '@txbox/embedded';
import { Handles } from '@txbox/inbox';
import { createInbox, type TypeormHandlerContext } from '@txbox/inbox/typeorm';
import { Publishes, Transactional } from '@txbox/outbox';
import { createOutbox } from '@txbox/outbox/typeorm';
import { createRelay } from '@txbox/relay';
import { DataSource, EntitySchema, type Repository } from 'typeorm';

interface Order {
  id: string;
  amount: string;
}

const orders = new EntitySchema<Order>({ name: 'Order', columns: { id: { type: 'text', primary: true }, amount: { type: 'text' } } });
const invoices = new EntitySchema<Order>({ name: 'Invoice', columns: { id: { type: 'text', primary: true }, amount: { type: 'text' } } });
const OrderPlaced = defineEvent('order.placed', { topic: 'orders', key: (order: Order) => order.id });

class OrderService {
  readonly #orders: Repository<Order>;

  constructor(repository: Repository<Order>) {
    this.#orders = repository;
  }

  @Transactional()
  @Publishes(OrderPlaced, (order: Order) => order)
  async place(amount: string): Promise<Order> {
    const order = await this.#orders.save({ id: randomUUID(), amount });
    if (amount === 'declined') throw new Error('declined');
    return order;
  }
}

class Billing {
  @Handles(OrderPlaced)
  async invoice(order: PayloadOf<typeof OrderPlaced>, ctx: TypeormHandlerContext): Promise<void> {
    await ctx.manager.insert(invoices, order);
  }
}

async function main(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'txbox-whole-way-'));
  const path = join(folder, 'log.db');
  const dataSource = (name: string, entity: EntitySchema<Order>): Promise<DataSource> =>
    new DataSource({ type: 'better-sqlite3', database: join(folder, name), entities: [entity], synchronize: true }).initialize();
  const [shop, billing] = await Promise.all([dataSource('shop.db', orders), dataSource('billing.db', invoices)]);
  const admin = embeddedAdmin({ path });
  await admin.createTopic('orders', { partitions: 2 });

  const outbox = createOutbox({ dataSource: shop });
  const inbox = createInbox({ dataSource: billing, group: 'billing', source: embeddedSource({ path }), handlers: [new Billing()] });
  await outbox.migrate();
  await inbox.migrate();
  const service = new OrderService(shop.getRepository(orders));
  await service.place('9.90');
  await service.place('declined').catch(() => undefined);
  const refusal = await Promise.resolve()
    .then(() => outbox.add(OrderPlaced, { id: 'x', amount: '1' }))
    .catch((error: unknown) => (isTxboxError(error) ? error.code : String(error)));

  const relay = createRelay({ database: { url: `sqlite:${join(folder, 'shop.db')}` }, publisher: embedded({ path }) });
  const published = await relay.runOnce();
  await inbox.start();
  await inbox.whenCaughtUp();
  const applied = await billing.getRepository(invoices).find();
  console.log(JSON.stringify({ published, refusal, amounts: applied.map(({ amount }) => amount) }));

  await Promise.all([relay.stop(), inbox.stop(), outbox.close(), admin.close()]);
  await Promise.all([shop.destroy(), billing.destroy()]);
  rmSync(folder, { recursive: true });
}

void main();
