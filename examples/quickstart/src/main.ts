import { defineEvent } from '@txbox/core';
import { embedded, embeddedAdmin, embeddedSource } from '@txbox/embedded';
import { createInbox } from '@txbox/inbox/sqlite';
import { createOutbox } from '@txbox/outbox/sqlite';
import { createRelay } from '@txbox/relay';
import Database from 'better-sqlite3';

const OrderPlaced = defineEvent('order.placed', { topic: 'orders', key: (order: { id: string; amount: string }) => order.id });
const log = { path: 'log.db' }; // the broker; with Kafka: kafkajs({ brokers }) and kafkajsSource({ brokers })
await embeddedAdmin(log).createTopic('orders', { partitions: 4 });

const shop = new Database('shop.db').exec('CREATE TABLE IF NOT EXISTS orders (id TEXT, amount TEXT)');
const outbox = createOutbox({ database: shop }); // in the service
const relay = createRelay({ database: { url: 'sqlite:shop.db' }, publisher: embedded(log) }); // in production a sidecar process
const billing = new Database('billing.db').exec('CREATE TABLE IF NOT EXISTS invoices (orderId TEXT, amount TEXT)');
const inbox = createInbox({ database: billing, group: 'billing', source: embeddedSource(log) }); // in the consumer
inbox.on(OrderPlaced, async (order, ctx) => void ctx.database.prepare('INSERT INTO invoices VALUES (?, ?)').run(order.id, order.amount));
await Promise.all([outbox.migrate(), inbox.migrate()]); // creates the tables, once

await outbox.transaction(async () => {
  shop.prepare('INSERT INTO orders VALUES (?, ?)').run('order-1', '9.90'); // data and event: both or neither
  outbox.add(OrderPlaced, { id: 'order-1', amount: '9.90' });
});

await Promise.all([relay.start(), inbox.start()]);
await relay.whenIdle();
await inbox.whenCaughtUp();
console.log(billing.prepare('SELECT * FROM invoices').all());
await Promise.all([relay.stop(), inbox.stop(), outbox.close()]);
