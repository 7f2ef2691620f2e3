import type { RowDataPacket } from 'mysql2/promise';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SERVERS, ServiceDatabase } from '../lane.ts';
import { load, type Shop, shopAfter, shopBefore } from './code-base.ts';
import { EVENTS_OF_TRADE, REFUSALS, trade } from './trade.ts';

/** A shop that runs. */
interface Running {
  readonly shop: Shop;
  readonly database: ServiceDatabase;
  readonly answers: unknown[];
}

/** What is committed in the tables of the shop, by table. */
async function rowsOf({ admin }: ServiceDatabase): Promise<Record<string, unknown[]>> {
  const [tables] = await admin.query<RowDataPacket[]>(
    "SELECT table_name AS name FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name NOT LIKE 'txbox%' ORDER BY name",
  );
  const rows: Record<string, unknown[]> = {};
  for (const { name } of tables) {
    const [found] = await admin.query<RowDataPacket[]>(`SELECT * FROM \`${name}\` ORDER BY 1, 2`);
    rows[name as string] = found.map((row) => ({ ...row, ...(row['withdrawnAt'] && { withdrawnAt: 'some time' }) }));
  }
  return rows;
}

async function eventsOf({ admin }: ServiceDatabase): Promise<unknown[]> {
  const [rows] = await admin.query<RowDataPacket[]>(
    'SELECT type, CAST(message_key AS CHAR) AS `key`, CAST(payload AS CHAR) AS payload FROM txbox_outbox ORDER BY position',
  );
  return rows.map(({ type, key, payload }) => [type, key, JSON.parse(payload as string)]);
}

/** The shop before and after, on every server, with the TypeORM that has this name here. One a process: its decorators share a global. */
export function shopSuite(typeorm: 'typeorm' | 'typeorm03'): void {
  describe.each(SERVERS)('a shop on %s', (...server) => {
    let before: Running;
    let after: Running;

    beforeAll(async () => {
      const run = async (sources: ReturnType<typeof shopAfter>, prepare: (shop: Shop) => Promise<unknown>): Promise<Running> => {
        const database = await ServiceDatabase.create(server);
        const shop = await load(sources, { url: database.url, typeorm });
        await shop.dataSource.initialize();
        await prepare(shop);
        return { shop, database, answers: await trade(shop) };
      };
      before = await run(shopBefore(), async () => undefined);
      // What `txbox migrate` does when it is installed.
      after = await run(shopAfter(), ({ outbox }) => outbox.migrate());
    });
    afterAll(async () => {
      await after?.shop.outbox.close();
      for (const running of [before, after]) {
        await running?.shop.dataSource.destroy();
        await running?.database[Symbol.asyncDispose]();
      }
    });

    it('gives the same answers as before, and writes the same rows', async () => {
      expect(before.answers).toHaveLength(22);
      expect(after.answers).toEqual(before.answers);
      expect(Object.keys(await rowsOf(before.database))).toHaveLength(12);
      expect(await rowsOf(after.database)).toEqual(await rowsOf(before.database));
    });

    it('has the events of what was done, in the order in which it was done', async () => {
      expect(await eventsOf(after.database)).toEqual(EVENTS_OF_TRADE);
    });

    it.each(REFUSALS)('leaves neither rows nor events of what fails: %s', async (why, act) => {
      const rows = await rowsOf(before.database);
      await expect(act(before.shop)).rejects.toThrow(why);
      await expect(act(after.shop)).rejects.toThrow(why);
      expect(await rowsOf(before.database)).toEqual(rows);
      expect(await rowsOf(after.database)).toEqual(rows);
      expect(await eventsOf(after.database)).toEqual(EVENTS_OF_TRADE);
    });

    it('leaves nothing half done either, where there was no transaction before', async () => {
      const rows = await rowsOf(after.database);
      for (const { shop } of [before, after]) {
        await shop.orders.place(1, { atlas: 1 });
        const cy = await shop.customers.register('cy@example.com', 'Cy');
        await shop.orders.place(cy.id, { atlas: 1 });
        await expect(shop.shipping.sendAll()).rejects.toThrow('Cy has no address');
      }
      expect((await rowsOf(before.database))['shipment']).toHaveLength(3);
      expect((await rowsOf(after.database))['shipment']).toEqual(rows['shipment']);
      const events = (await eventsOf(after.database)) as string[][];
      expect(events.filter(([type]) => type === 'parcel.sent')).toHaveLength(2);
    });
  });
}
