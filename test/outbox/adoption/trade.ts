import type { Shop } from './code-base.ts';

/** What happens in a shop, step by step; each gives what the service answers. */
export async function trade(shop: Shop): Promise<unknown[]> {
  const { customers, catalogue, stock, coupons, orders, shipping } = shop;
  const answers: unknown[] = [];
  const step = async <T>(answer: Promise<T>): Promise<T> => {
    const given = await answer;
    answers.push(JSON.parse(JSON.stringify(given ?? null)));
    return given;
  };

  const ann = await step(customers.register('ann@example.com', 'Ann', ['Oslo', 'Rome']));
  const bob = await step(customers.register('bob@example.com', 'Bob', ['Lima']));
  await step(customers.move(ann.id, 'Oslo', 'Bern'));

  const garden = await step(catalogue.addCategory('Garden'));
  const tools = await step(catalogue.addCategory('Tools', garden));
  const books = await step(catalogue.addCategory('Books'));
  await step(catalogue.list('spade', 'A spade', 2599, tools));
  await step(catalogue.list('seeds', 'Seeds', 301, garden));
  await step(catalogue.list('atlas', 'An atlas', 99_000, books));
  await step(catalogue.list('fossil', 'Of last year', 1, books));
  await step(catalogue.withdraw('fossil'));
  await step(stock.receive('spade', 7));
  await step(stock.receive('seeds', 100));
  await step(stock.receive('atlas', 6));
  await step(catalogue.discount(garden, 10));
  await step(coupons.save({ code: 'SPRING', discountCents: 500, usesLeft: 1 }));

  await step(orders.place(ann.id, { spade: 1, seeds: 3 }, 'SPRING'));
  await step(orders.place(bob.id, { spade: 2 }));
  const regretted = await step(orders.place(bob.id, { seeds: 96 }));
  await step(orders.cancel(regretted.id));
  await step(orders.revenueByCategory());
  await step(shipping.sendAll());
  return answers;
}

/** The events of that: type, key and payload. */
export const EVENTS_OF_TRADE: readonly (readonly [type: string, key: string, payload: object])[] = [
  ['customer.registered', '1', { id: 1, email: 'ann@example.com' }],
  ['customer.registered', '2', { id: 2, email: 'bob@example.com' }],
  ['stock.received', 'spade', { sku: 'spade', onHand: 7 }],
  ['stock.received', 'seeds', { sku: 'seeds', onHand: 100 }],
  ['stock.received', 'atlas', { sku: 'atlas', onHand: 6 }],
  ['price.changed', 'seeds', { sku: 'seeds', priceCents: 270 }],
  ['price.changed', 'spade', { sku: 'spade', priceCents: 2339 }],
  ['payment.received', '1', { orderId: 1, cents: 2649 }],
  ['order.placed', '1', { orderId: 1, customerId: 1, totalCents: 2649 }],
  ['stock.low', 'spade', { sku: 'spade', onHand: 4 }],
  ['payment.received', '2', { orderId: 2, cents: 4678 }],
  ['order.placed', '2', { orderId: 2, customerId: 2, totalCents: 4678 }],
  ['stock.low', 'seeds', { sku: 'seeds', onHand: 1 }],
  ['payment.received', '3', { orderId: 3, cents: 25_920 }],
  ['order.placed', '3', { orderId: 3, customerId: 2, totalCents: 25_920 }],
  ['order.cancelled', '3', { orderId: 3 }],
  ['parcel.sent', '1', { orderId: 1, city: 'Bern' }],
  ['parcel.sent', '2', { orderId: 2, city: 'Lima' }],
];

/** What the shop refuses in a transaction, after it has written, when that trade is done. */
export const REFUSALS: readonly (readonly [why: string, act: (shop: Shop) => Promise<unknown>])[] = [
  ['Duplicate entry', ({ customers }) => customers.register('ann@example.com', 'Another Ann', ['Oslo'])],
  ['there is no room for seeds', ({ stock }) => stock.receive('seeds', 1000)],
  ['spade is sold out', ({ orders }) => orders.place(1, { seeds: 96, spade: 5 })],
  ['coupon SPRING is used up', ({ orders }) => orders.place(1, { seeds: 96 }, 'SPRING')],
  ['the card was declined', ({ orders }) => orders.place(1, { seeds: 96, atlas: 2 })],
  ['order 1 was sent already', ({ orders }) => orders.cancel(1)],
];
