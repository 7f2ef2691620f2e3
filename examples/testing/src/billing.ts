import type { PayloadOf } from '@txbox/core';
import { type HandlerContext, Handles } from '@txbox/inbox';
import { InvoiceSent, OrderPaid } from './events.ts';

/** Sends invoices for paid orders, by whatever sends mail. */
export class Billing {
  readonly #send: (text: string) => Promise<void>;

  constructor(send: (text: string) => Promise<void>) {
    this.#send = send;
  }

  @Handles(OrderPaid)
  async invoice({ orderId, amount }: PayloadOf<typeof OrderPaid>, ctx: HandlerContext): Promise<void> {
    await this.#send(`${amount} for order ${orderId}`);
    ctx.add(InvoiceSent, { orderId, total: amount });
  }
}
