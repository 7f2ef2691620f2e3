import { randomUUID } from 'node:crypto';
import { Publishes, Transactional } from '@txbox/outbox';
import type { Repository } from 'typeorm';
import { OrderPlaced } from '../events.ts';
import type { Customer } from './customer.entity.ts';
import type { Order } from './order.entity.ts';

/** Thrown by the demo on purpose: the whole transaction, event included, must vanish. */
export class CardDeclined extends Error {}

/** What is ordered. */
export interface OrderRequest {
  readonly customerId: string;
  readonly amount: string;
  readonly cardDeclined: boolean;
}

/** An ordinary service over plain repositories; two decorators make it transactional and let it publish. */
export class OrderService {
  constructor(
    private readonly customers: Repository<Customer>,
    private readonly orders: Repository<Order>,
  ) {}

  @Transactional()
  @Publishes(OrderPlaced, (order: Order) => ({
    orderId: order.id,
    customerId: order.customerId,
    version: order.customerVersion,
    amount: order.amount,
  }))
  async place(request: OrderRequest): Promise<Order> {
    await this.customers.increment({ id: request.customerId }, 'version', 1); // locks the customer's row
    const customer = await this.customers.findOneByOrFail({ id: request.customerId });
    const order = await this.orders.save({
      id: randomUUID(),
      customerId: customer.id,
      customerVersion: customer.version,
      amount: request.amount,
    });
    if (request.cardDeclined) throw new CardDeclined(`card of ${customer.id} declined`);
    return order;
  }
}
