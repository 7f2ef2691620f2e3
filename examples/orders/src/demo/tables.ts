import { Invoice } from '../billing/invoice.entity.ts';
import { Customer } from '../orders/customer.entity.ts';
import { Order } from '../orders/order.entity.ts';
import { customerId } from '../orders/order-requests.ts';
import type { Settings } from '../settings.ts';
import { dataSourceOf } from '../settings.ts';

/** Creates the services' own tables and the customers. The framework's tables are made by `txbox migrate`. */
export async function createTables(settings: Settings, customers: number): Promise<void> {
  const orders = await dataSourceOf(settings.ordersDatabase, [Customer, Order]).initialize();
  await orders.synchronize();
  await orders.getRepository(Customer).insert(Array.from({ length: customers }, (_, n) => ({ id: customerId(n), version: 0 })));
  await orders.destroy();
  const billing = await dataSourceOf(settings.billingDatabase, [Invoice]).initialize();
  await billing.synchronize();
  await billing.destroy();
}
