import type { PayloadOf } from '@txbox/core';
import { Handles } from '@txbox/inbox';
import type { TypeormHandlerContext } from '@txbox/inbox/typeorm';
import { OrderPlaced } from '../events.ts';
import { Invoice } from './invoice.entity.ts';

/** Writes an invoice for every order, in the same transaction that remembers the event. */
export class Billing {
  @Handles(OrderPlaced)
  async invoice(order: PayloadOf<typeof OrderPlaced>, ctx: TypeormHandlerContext): Promise<void> {
    await ctx.manager.insert(Invoice, {
      orderId: order.orderId,
      customerId: order.customerId,
      customerVersion: order.version,
      amount: order.amount,
    });
  }
}
