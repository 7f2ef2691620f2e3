import { defineEvent } from '@txbox/core';

export const CustomerRegistered = defineEvent('customer.registered', {
  topic: 'customers',
  key: (customer: { id: number; email: string }) => String(customer.id),
});

export const PriceChanged = defineEvent('price.changed', {
  topic: 'catalogue',
  key: (product: { sku: string; priceCents: number }) => product.sku,
});

export const StockReceived = defineEvent('stock.received', {
  topic: 'stock',
  key: (stock: { sku: string; onHand: number }) => stock.sku,
});

export const StockLow = defineEvent('stock.low', {
  topic: 'stock',
  key: (stock: { sku: string; onHand: number }) => stock.sku,
});

export const PaymentReceived = defineEvent('payment.received', {
  topic: 'payments',
  key: (payment: { orderId: number; cents: number }) => String(payment.orderId),
});

export const OrderPlaced = defineEvent('order.placed', {
  topic: 'orders',
  key: (order: { orderId: number; customerId: number; totalCents: number }) => String(order.orderId),
});

export const OrderCancelled = defineEvent('order.cancelled', {
  topic: 'orders',
  key: (order: { orderId: number }) => String(order.orderId),
});

export const ParcelSent = defineEvent('parcel.sent', {
  topic: 'shipments',
  key: (parcel: { orderId: number; city: string }) => String(parcel.orderId),
});
