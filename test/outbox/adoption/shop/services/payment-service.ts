import { Publishes } from '@txbox/outbox';
import type { EntityManager } from 'typeorm';
import type { Order } from '../entities/order.ts';
import { Payment } from '../entities/payment.ts';
import { PaymentReceived } from '../events.ts';

export class PaymentService {
  @Publishes(PaymentReceived, ({ order, cents }: Payment) => ({ orderId: order.id, cents }))
  async charge(order: Order, manager: EntityManager): Promise<Payment> {
    const payment = await manager.save(manager.create(Payment, { order, cents: order.totalCents }));
    if (payment.cents > 100_000) throw new Error('the card was declined');
    return payment;
  }

  async payBack(order: Order, manager: EntityManager): Promise<Payment> {
    return await manager.save(manager.create(Payment, { order, cents: -order.paidCents }));
  }
}
