import { Publishes, Transactional } from '@txbox/outbox';
import { OrderPaid } from './events.ts';

export interface Order {
  readonly id: string;
  readonly amount: string;
}

/** Where orders are kept: a TypeORM repository in production, anything in tests. */
export interface OrderRepository {
  findOneByOrFail(where: { id: string }): Promise<Order>;
}

export class OrderService {
  readonly #orders: OrderRepository;

  constructor(orders: OrderRepository) {
    this.#orders = orders;
  }

  @Transactional()
  @Publishes(OrderPaid, (order: Order) => ({ orderId: order.id, amount: order.amount }))
  async pay(id: string): Promise<Order> {
    return await this.#orders.findOneByOrFail({ id });
  }
}
