import { defineEvent } from '@txbox/core';
import { embedded, embeddedAdmin, embeddedSource } from '@txbox/embedded';
import { createInbox } from '@txbox/inbox/sqlite';
import { createOutbox } from '@txbox/outbox/sqlite';
import { createRelay } from '@txbox/relay';
import Database from 'better-sqlite3';

const OrderPlaced = defineEvent('order.placed', { topic: 'orders', key: (order: { id: string; amount: string }) => order.id });
const log = { path: 'log.db' }; // the broker; with Kafka: kafkajs({ brokers }) and kafkajsSource({ brokers })
await embeddedAdmin(log).createTopic('orders', { partitions: 4 });

const billing = new Database('billing.db'); // the consumer: every event has one effect in its database
billing.exec('CREATE TABLE IF NOT EXISTS invoices (orderId TEXT, amount TEXT)');
const inbox = createInbox({ database: billing, group: 'billing', source: embeddedSource(log) });
inbox.on(OrderPlaced, async (order, ctx) => {
  ctx.database.prepare('INSERT INTO invoices VALUES (?, ?)').run(order.id, order.amount);
});
await inbox.migrate();

const shop = new Database('shop.db'); // the service: data and event in one local transaction
shop.exec('CREATE TABLE IF NOT EXISTS orders (id TEXT PRIMARY KEY, amount TEXT)');
const outbox = createOutbox({ database: shop });
await outbox.migrate();
await outbox.transaction(async (tx) => {
  const order = { id: crypto.randomUUID(), amount: '9.90' };
  shop.prepare('INSERT INTO orders VALUES (?, ?)').run(order.id, order.amount);
  tx.add(OrderPlaced, order);
});

const relay = createRelay({ database: { url: 'sqlite:shop.db' }, publisher: embedded(log) }); // in production a sidecar process
await Promise.all([relay.start(), inbox.start()]);
await relay.whenIdle();
await inbox.whenCaughtUp();
console.log(billing.prepare('SELECT * FROM invoices').all());
await Promise.all([relay.stop(), inbox.stop(), outbox.close()]);
