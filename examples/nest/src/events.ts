import { defineEvent } from '@txbox/core';
import { z } from 'zod';

/** The contract with those who handle it. */
export const OrderPlaced = defineEvent('order.placed', {
  topic: 'orders',
  version: 1,
  schema: z.object({ orderId: z.string(), sku: z.string(), quantity: z.number().int() }),
  key: (payload) => payload.sku,
});
