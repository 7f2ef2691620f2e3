// The order service as a process: several writers place orders concurrently. A number on a line of stdin says how many may
// have been placed by then; when stdin ends, the rest may.
import 'reflect-metadata';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { createOutbox } from '@txbox/outbox/typeorm';
import { dataSourceOf, readSettings } from '../settings.ts';
import { Customer } from './customer.entity.ts';
import { Order } from './order.entity.ts';
import { orderRequests } from './order-requests.ts';
import { CardDeclined, type OrderRequest, OrderService } from './order-service.ts';

const { values } = parseArgs({
  options: {
    orders: { type: 'string', default: '1000' },
    keys: { type: 'string', default: '20' },
    seed: { type: 'string', default: '1' },
    writers: { type: 'string', default: '4' },
    perSecond: { type: 'string', default: '400' },
  },
});

const dataSource = await dataSourceOf(readSettings().ordersDatabase, [Customer, Order]).initialize();
await using outbox = createOutbox({ dataSource });
void outbox;
const service = new OrderService(dataSource.getRepository(Customer), dataSource.getRepository(Order));

const requests = orderRequests({ orders: Number(values.orders), keys: Number(values.keys), seed: Number(values.seed) });
const startedAt = performance.now();
let taken = 0;
let declined = 0;
let allowed = 0;
let told = Promise.withResolvers<void>();

function allow(count: number): void {
  allowed = count;
  told.resolve();
  told = Promise.withResolvers();
}

createInterface({ input: process.stdin })
  .on('line', (line) => allow(Number(line)))
  .on('close', () => allow(Number.POSITIVE_INFINITY));

async function placeOne(request: OrderRequest): Promise<void> {
  try {
    await service.place(request);
  } catch (error) {
    if (!(error instanceof CardDeclined)) throw error;
    declined += 1;
  }
}

/** Orders come at a steady rate, so that there is time to kill something; the rate bounds nothing but the demo's length. */
async function pace(): Promise<void> {
  const dueMs = (taken / Number(values.perSecond)) * 1000 - (performance.now() - startedAt);
  if (dueMs > 0) await new Promise((resolve) => setTimeout(resolve, dueMs));
}

async function writer(): Promise<void> {
  for (const request of requests) {
    taken += 1;
    const number = taken;
    while (number > allowed) await told.promise;
    await pace();
    await placeOne(request);
  }
}

await Promise.all(Array.from({ length: Number(values.writers) }, writer));
process.stdout.write(`${JSON.stringify({ rolledBack: declined })}\n`);
await dataSource.destroy();
