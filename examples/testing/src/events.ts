import { defineEvent } from '@txbox/core';

export const OrderPaid = defineEvent('order.paid', {
  topic: 'orders',
  key: (order: { orderId: string; amount: string }) => order.orderId,
});

export const InvoiceSent = defineEvent('invoice.sent', {
  topic: 'invoices',
  key: (invoice: { orderId: string; total: string }) => invoice.orderId,
});
