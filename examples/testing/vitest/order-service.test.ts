import { createMemoryOutbox, drain, expectAdded, expectNotAdded, type TestOutbox } from '@txbox/testing';
import { beforeEach, expect, it, vi } from 'vitest';
import { Billing } from '../src/billing.ts';
import { InvoiceSent, OrderPaid } from '../src/events.ts';
import { type OrderRepository, OrderService } from '../src/order-service.ts';

const findOneByOrFail = vi.fn<OrderRepository['findOneByOrFail']>();
const orders = new OrderService({ findOneByOrFail });
let outbox: TestOutbox;
beforeEach(() => {
  outbox = createMemoryOutbox(); // the one that @Transactional and @Publishes find
});

it('announces a paid order', async () => {
  findOneByOrFail.mockResolvedValueOnce({ id: '1', amount: '9.90' });
  await orders.pay('1');
  const [paid] = await expectAdded(outbox, OrderPaid, { orderId: '1', amount: expect.stringMatching(/^\d+\.\d\d$/) }, { times: 1 });
  expect(paid).toEqual({ orderId: '1', amount: '9.90' });
});

it('announces nothing that failed', async () => {
  findOneByOrFail.mockRejectedValueOnce(new Error('no such order'));
  await expect(orders.pay('2')).rejects.toThrow('no such order');
  await expectNotAdded(outbox);
});

it('sends an invoice for a paid order', async () => {
  findOneByOrFail.mockResolvedValueOnce({ id: '3', amount: '1.00' });
  const send = vi.fn(async (_text: string) => undefined);
  await orders.pay('3');
  const drained = await drain({ outbox, handlers: [new Billing(send)] });
  expect(send.mock.calls).toEqual([['1.00 for order 3']]);
  await expectAdded(drained, InvoiceSent, { orderId: '3' }, { times: 1 });
});

it('announces no invoice that could not be sent, and sends it later', async () => {
  findOneByOrFail.mockResolvedValueOnce({ id: '4', amount: '1.00' });
  const send = vi.fn(async (_text: string) => undefined).mockRejectedValueOnce(new Error('no mail today'));
  const handlers = [new Billing(send)];
  await orders.pay('4');
  await expect(drain({ outbox, handlers })).rejects.toThrow('no mail today');
  await expectNotAdded(outbox, InvoiceSent);
  const drained = await drain({ outbox, handlers });
  await expectAdded(drained, InvoiceSent, { orderId: '4' }, { times: 1 });
});
