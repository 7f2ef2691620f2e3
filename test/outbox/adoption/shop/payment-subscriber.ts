import { type EntitySubscriberInterface, EventSubscriber, type InsertEvent } from 'typeorm';
import { Order } from './entities/order.ts';
import { Payment } from './entities/payment.ts';

/** Keeps `paidCents` of the order. */
@EventSubscriber()
export class PaymentSubscriber implements EntitySubscriberInterface<Payment> {
  listenTo(): typeof Payment {
    return Payment;
  }

  async afterInsert({ entity, manager }: InsertEvent<Payment>): Promise<void> {
    await manager.increment(Order, { id: entity.order.id }, 'paidCents', entity.cents);
  }
}
