import 'reflect-metadata';
import type { INestApplication } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { TypeormOutbox } from '@txbox/outbox/typeorm';
import { clearAdded, drain, expectAdded, expectNotAdded } from '@txbox/testing';
import { DataSource } from 'typeorm';
import { AppModule, Order, OrderPlaced } from './orders.js';

describe('orders', () => {
  let app: INestApplication;
  let outbox: TypeormOutbox;
  beforeAll(async () => {
    const module = await Test.createTestingModule({ imports: [AppModule] }).compile();
    app = module.createNestApplication();
    outbox = app.get(TypeormOutbox);
    await outbox.migrate();
    await app.listen(0, '127.0.0.1');
  });
  beforeEach(() => clearAdded(outbox));
  afterAll(() => app.close());

  async function post(order: Order): Promise<number> {
    const headers = { 'content-type': 'application/json' };
    const { status } = await fetch(`${await app.getUrl()}/orders`, { method: 'POST', headers, body: JSON.stringify(order) });
    return status;
  }

  it('commits an order with its event', async () => {
    expect(await post({ id: '1', amount: '9.90' })).toBe(201);
    await expectAdded(outbox, OrderPlaced, { id: '1', amount: '9.90' }, { times: 1 });
    const { published } = await drain({ outbox });
    expect(published).toMatchObject([{ topic: 'orders', key: '1' }]);
  });

  it('leaves neither order nor event of a request that fails', async () => {
    expect(await post({ id: '2', amount: '0.00' })).toBe(409);
    await expectNotAdded(outbox);
    expect(await app.get(DataSource).getRepository(Order).existsBy({ id: '2' })).toBe(false);
  });
});
