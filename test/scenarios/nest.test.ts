// examples/nest as a process: HTTP in, event out.
import { addedEvents, drain } from '@txbox/testing';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { EXAMPLE_SERVERS, ExampleService } from './example-service.ts';

describe.each(EXAMPLE_SERVERS)('the NestJS example on %s', (...server) => {
  let service: ExampleService;
  beforeAll(async () => {
    service = await ExampleService.start('nest', server);
  });
  afterAll(() => service?.[Symbol.asyncDispose]());
  beforeEach(async () => {
    await drain({ outbox: service.outbox });
    await service.query('DELETE FROM orders');
    await service.query("REPLACE INTO stock VALUES ('tea', 10), ('cake', 1)");
  });

  const orders = (): Promise<unknown[]> => service.query('SELECT sku, quantity FROM orders ORDER BY quantity');
  const onHand = async (sku: string): Promise<unknown> =>
    (await service.query(`SELECT onHand FROM stock WHERE sku = '${sku}'`))[0]?.['onHand'];
  const events = async (): Promise<unknown[]> => (await addedEvents(service.outbox)).map(({ payload }) => payload);

  it('commits an order that is posted together with its event, which a relay publishes', async () => {
    const { status, body } = await service.post('/orders', { sku: 'tea', quantity: 3 });
    expect({ status, body }).toEqual({ status: 201, body: { id: expect.any(String), sku: 'tea', quantity: 3 } });
    expect(await orders()).toEqual([{ sku: 'tea', quantity: 3 }]);
    expect(await onHand('tea')).toBe(7);
    const { published } = await drain({ outbox: service.outbox });
    expect(published).toMatchObject([
      { type: 'order.placed', topic: 'orders', key: 'tea', payload: { orderId: body.id, sku: 'tea', quantity: 3 } },
    ]);
  });

  it('leaves neither order nor event of what fails after the order was written', async () => {
    expect(await service.post('/orders', { sku: 'cake', quantity: 2 })).toMatchObject({
      status: 409,
      body: { message: 'not enough of cake' },
    });
    expect(await orders()).toEqual([]);
    expect(await events()).toEqual([]);
  });

  it('commits several orders or none, events included', async () => {
    const tea = { sku: 'tea', quantity: 1 };
    const cake = { sku: 'cake', quantity: 2 };
    expect((await service.post('/orders/batch', [tea, cake])).status).toBe(409);
    expect(await orders()).toEqual([]);
    expect(await events()).toEqual([]);
    expect(await onHand('tea')).toBe(10);
    expect((await service.post('/orders/batch', [tea, { ...tea, quantity: 2 }])).status).toBe(201);
    expect(await orders()).toMatchObject([{ quantity: 1 }, { quantity: 2 }]);
    expect(await events()).toMatchObject([{ quantity: 1 }, { quantity: 2 }]);
  });

  it('sells the last piece once, however many ask at the same time', async () => {
    const answers = await Promise.all(Array.from({ length: 12 }, () => service.post('/orders', { sku: 'cake', quantity: 1 })));
    expect(answers.map(({ status }) => status).sort()).toEqual([201, ...Array(11).fill(409)]);
    expect(await orders()).toHaveLength(1);
    expect(await events()).toHaveLength(1);
  });

  it('refuses what is no order before anything is written', async () => {
    expect((await service.post('/orders', { sku: '', quantity: 0.5 })).status).toBe(400);
    expect(await events()).toEqual([]);
  });

  it('ends in order when it is asked to', async () => {
    expect(await service.terminate()).toEqual({ code: null, signal: 'SIGTERM', stderr: '' });
  });
});
