import { randomUUID } from 'node:crypto';
import { ConflictException, Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { Publishes, Transactional } from '@txbox/outbox';
import { TypeormOutbox } from '@txbox/outbox/typeorm';
import { MoreThanOrEqual, Repository } from 'typeorm';
import { OrderPlaced } from '../events.ts';
import { Order } from './order.entity.ts';
import type { PlaceOrder } from './place-order.ts';
import { Stock } from './stock.entity.ts';

/** An ordinary service: the injected repositories join the transaction that is open. */
@Injectable()
export class OrdersService {
  constructor(
    @InjectRepository(Order) private readonly orders: Repository<Order>,
    @InjectRepository(Stock) private readonly stock: Repository<Stock>,
    private readonly outbox: TypeormOutbox,
  ) {}

  @Transactional({ retry: { maxAttempts: 3 } })
  @Publishes(OrderPlaced, ({ id, sku, quantity }: Order) => ({ orderId: id, sku, quantity }))
  async place(request: PlaceOrder): Promise<Order> {
    return await this.take(request);
  }

  /** All of them or none. */
  async placeAll(requests: readonly PlaceOrder[]): Promise<Order[]> {
    return await this.outbox.transaction(async (tx) => {
      const placed: Order[] = [];
      for (const request of requests) {
        const order = await this.take(request);
        tx.add(OrderPlaced, { orderId: order.id, sku: order.sku, quantity: order.quantity });
        placed.push(order);
      }
      return placed;
    });
  }

  private async take({ sku, quantity }: PlaceOrder): Promise<Order> {
    const order = await this.orders.save({ id: randomUUID(), sku, quantity });
    const { affected } = await this.stock.decrement({ sku, onHand: MoreThanOrEqual(quantity) }, 'onHand', quantity);
    if (affected === 0) throw new ConflictException(`not enough of ${sku}`); // takes back the order too
    return order;
  }
}
