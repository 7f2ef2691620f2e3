// examples/mysql2 as a process: transactions of the outbox and by hand, without an ORM.
import { addedEvents, drain } from '@txbox/testing';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { EXAMPLE_SERVERS, ExampleService } from './example-service.ts';

describe.each(EXAMPLE_SERVERS)('the mysql2 example on %s', (...server) => {
  let service: ExampleService;
  beforeAll(async () => {
    service = await ExampleService.start('mysql2', server);
  });
  afterAll(() => service?.[Symbol.asyncDispose]());
  beforeEach(async () => {
    await drain({ outbox: service.outbox });
    await service.query("REPLACE INTO accounts VALUES ('anna', 100), ('ben', 0)");
  });

  const balances = async (): Promise<unknown> => {
    const rows = await service.query('SELECT id, cents FROM accounts ORDER BY id');
    return Object.fromEntries(rows.map(({ id, cents }) => [id, cents]));
  };
  const events = async (): Promise<unknown[]> => (await addedEvents(service.outbox)).map(({ payload }) => payload);

  it('commits a transfer with the events of both accounts, which a relay publishes', async () => {
    expect((await service.post('/transfers', { from: 'anna', to: 'ben', cents: 30 })).status).toBe(201);
    expect(await balances()).toEqual({ anna: 70, ben: 30 });
    const { published } = await drain({ outbox: service.outbox });
    expect(published).toMatchObject([
      { key: 'anna', payload: { account: 'anna', cents: -30 } },
      { key: 'ben', payload: { account: 'ben', cents: 30 } },
    ]);
  });

  it.each([
    ['that is too large', { from: 'anna', to: 'ben', cents: 101 }],
    ['to nobody, after it was taken from somebody', { from: 'anna', to: 'nobody', cents: 10 }],
  ])('leaves nothing of a transfer %s', async (_what, transfer) => {
    expect((await service.post('/transfers', transfer)).status).toBe(409);
    expect(await balances()).toEqual({ anna: 100, ben: 0 });
    expect(await events()).toEqual([]);
  });

  it('commits a deposit made in a transaction by hand with its event', async () => {
    expect((await service.post('/deposits', { account: 'ben', cents: 5 })).status).toBe(201);
    expect(await balances()).toEqual({ anna: 100, ben: 5 });
    expect(await events()).toEqual([{ account: 'ben', cents: 5 }]);
  });

  it('leaves nothing of a deposit whose transaction by hand rolls back after addTo', async () => {
    expect(await service.post('/deposits', { account: 'anna', cents: 1_000_000 })).toEqual({
      status: 409,
      body: 'anna may hold 1000000 cents',
    });
    expect(await balances()).toEqual({ anna: 100, ben: 0 });
    expect(await events()).toEqual([]);
  });

  it.each([
    ['/transfers', { from: 'ben', to: 'anna', cents: -30 }],
    ['/transfers', { from: 'anna', to: 'ben', cents: '30' }],
    ['/transfers', { from: 'anna', cents: 30 }],
    ['/deposits', { account: 'anna', cents: 0.5 }],
    ['/deposits', null],
  ])('refuses what is no request before anything is written: %s %j', async (path, body) => {
    expect((await service.post(path, body)).status).toBe(400);
    expect(await balances()).toEqual({ anna: 100, ben: 0 });
    expect(await events()).toEqual([]);
  });

  it('keeps account and events equal while transfers cross', async () => {
    await service.query("REPLACE INTO accounts VALUES ('anna', 1000), ('ben', 1000)");
    const statuses = await Promise.all(
      Array.from({ length: 20 }, async (_, n) => {
        const [from, to] = n % 2 === 0 ? ['anna', 'ben'] : ['ben', 'anna'];
        return (await service.post('/transfers', { from, to, cents: n + 1 })).status;
      }),
    );
    expect(statuses).toContain(201);
    const booked = (await events()) as { account: string; cents: number }[];
    expect(booked).toHaveLength(2 * statuses.filter((status) => status === 201).length);
    const sum = (account: string): number =>
      booked.filter((event) => event.account === account).reduce((cents, event) => cents + event.cents, 1000);
    expect(await balances()).toEqual({ anna: sum('anna'), ben: sum('ben') });
  });

  it('ends in order when it is asked to', async () => {
    // A deadlock that three attempts did not solve is told on stderr; nothing else is.
    const { code, signal } = await service.terminate();
    expect({ code, signal }).toEqual({ code: 0, signal: null });
  });
});
