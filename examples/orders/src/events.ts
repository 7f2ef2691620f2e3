import { defineEvent } from '@txbox/core';
import { z } from 'zod';

/** The contract between the order service, which adds the event, and the billing service, which handles it. */
export const OrderPlaced = defineEvent('order.placed', {
  topic: process.env['ORDERS_TOPIC'] ?? 'orders',
  version: 1,
  schema: z.object({
    orderId: z.string(),
    customerId: z.string(),
    /** The customer's version after this order: 1, 2, 3, … without gaps. */
    version: z.number().int(),
    amount: z.string(),
  }),
  key: (payload) => payload.customerId,
});
