import { defineEvent, type TxboxError } from '@txbox/core';
import { decodeHeaders } from '@txbox/core/spi';
import { createConnection, type RowDataPacket } from 'mysql2/promise';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { SUBJECTS, type Subject } from './subject.ts';

/** Characters of one to four bytes, what quoting must not meddle with, and no composed form. */
const TEXT = "a'b\"c`d\\e\\'f;--\t%_ é ß 中 運 ソ ｶ 😀 𠮷 e\u0301";
const OCCURRED_AT = new Date('2026-03-29T01:30:00.123Z');
const Told = defineEvent("told.größe'\\😀", {
  topic: 'orders',
  key: ({ id }: { id: string }) => id,
  aggregate: { type: `type ${TEXT}`, id: ({ id }) => id },
  headers: ({ id }) => ({ own: id, [id]: 'name' }),
  strictOrder: true,
});

/** Everything as large as it may be. */
const LARGEST = { type: 'ß'.repeat(255), aggregateType: '中'.repeat(255), id: '€'.repeat(255), key: 'k'.repeat(255) };
const Largest = defineEvent(LARGEST.type, {
  topic: 't'.repeat(249),
  key: () => LARGEST.key,
  aggregate: { type: LARGEST.aggregateType, id: (payload: { id: string; header: number }) => payload.id },
  headers: ({ header }) => ({ h: Buffer.alloc(header, 0xa7) }),
  strictOrder: true,
});

/** One statement, or one option of the client, that a service may have. */
const SESSIONS = [
  ["sql_mode = ''"],
  ["sql_mode = 'NO_BACKSLASH_ESCAPES'"],
  ["sql_mode = 'ANSI,NO_BACKSLASH_ESCAPES'"],
  ["sql_mode = 'TRADITIONAL,PIPES_AS_CONCAT,NO_AUTO_VALUE_ON_ZERO'"],
  ["time_zone = '+13:00'"],
  ["time_zone = '-11:00'"],
  ['NAMES latin1'],
  ['NAMES utf8mb4 COLLATE utf8mb4_bin'],
] as const;
const SIDES = [
  ['a client of latin1 at +13:00', 'latin1', { charset: 'latin1_swedish_ci', timezone: '+13:00' }],
  ['a client of utf8mb3 at -11:00', 'utf8', { charset: 'utf8_general_ci', timezone: '-11:00', dateStrings: true }],
  ['a client of gbk that wants big numbers as text', 'gbk', { charset: 'gbk_chinese_ci', supportBigNumbers: true, bigNumberStrings: true }],
] as const;

describe.each(SUBJECTS)('%s', (_name, start) => {
  describe.each([['a client as it comes', undefined, {}] as const, ...SIDES])('with %s', (_side, charset, client) => {
    let subject: Subject;
    beforeAll(async () => {
      subject = await start({
        connections: 1,
        client,
        outbox: { wake: false },
        url: async (url) => {
          const admin = await createConnection(url);
          if (charset !== undefined)
            await admin.query(`ALTER DATABASE \`${new URL(url).pathname.slice(1)}\` DEFAULT CHARACTER SET ${charset}`);
          await admin.end();
          return url;
        },
      });
    });
    afterAll(() => subject.close());
    beforeEach(() =>
      subject.database.admin.query(
        'DELETE FROM orders; DELETE FROM txbox_outbox; DELETE FROM txbox_idempotency; DELETE FROM txbox_sequence',
      ),
    );

    it.each<readonly [string]>(charset === undefined ? SESSIONS : [['time_zone = DEFAULT']])(
      'and SET %s, an event comes back as it was',
      async (setting) => {
        const { outbox, database } = subject;
        await subject.query(`SET ${setting}`);
        const now = async (): Promise<string> => {
          const [[row]] = await database.admin.query<RowDataPacket[]>('SELECT CAST(UTC_TIMESTAMP(6) AS CHAR) AS now');
          return row?.['now'] as string;
        };
        const before = await now();
        const tell = (): Promise<unknown> =>
          outbox.transaction({ idempotencyKey: TEXT }, async (tx) => {
            await subject.query("INSERT INTO orders VALUES ('a', 1)");
            tx.add(Told, { id: TEXT }, { occurredAt: OCCURRED_AT, correlationId: TEXT });
            tx.add(Told, { id: TEXT });
            return { told: TEXT };
          });
        expect(await tell()).toEqual({ told: TEXT });
        expect(await tell()).toEqual({ told: TEXT });
        await subject.foreign(async (addTo) => void (await addTo(Told, TEXT)));
        expect(await database.orders()).toEqual(['a']);
        const [rows] = await database.admin.query<RowDataPacket[]>(
          'SELECT o.*, CAST(o.created_at AS CHAR) AS created, CAST(i.created_at AS CHAR) AS done, i.key AS idempotencyKey ' +
            'FROM txbox_outbox o JOIN txbox_idempotency i ORDER BY o.position',
        );
        const stored = {
          message_key: Buffer.from(TEXT),
          aggregate_type: Told.aggregate?.type,
          aggregate_id: TEXT,
          type: Told.name,
          payload: Buffer.from(JSON.stringify({ id: TEXT })),
          idempotencyKey: Buffer.from(TEXT),
        };
        expect(rows).toMatchObject([
          { ...stored, sequence: 1 },
          { ...stored, sequence: 2 },
          { ...stored, sequence: 3 },
        ]);
        const after = await now();
        for (const { created, done } of rows) {
          expect([before, created, after]).toEqual([before, created, after].toSorted());
          expect([before, done, after]).toEqual([before, done, after].toSorted());
        }
        const headers = new Map(decodeHeaders(rows[0]?.['headers'] as Buffer).map(([name, value]) => [name, String(value)]));
        expect(Object.fromEntries(headers)).toMatchObject({
          'txbox-type': Told.name,
          'txbox-aggregate-id': TEXT,
          'txbox-occurred-at': OCCURRED_AT.toISOString(),
          'txbox-correlation-id': TEXT,
          own: TEXT,
          [TEXT]: 'name',
        });
      },
    );

    it("and sql_mode = '', nothing is cut off: what does not fit is refused", async () => {
      const { outbox, database } = subject;
      await subject.query("SET sql_mode = '', time_zone = DEFAULT");
      const add = (payload: { id?: string; header?: number; key?: string }): Promise<string> =>
        outbox.transaction({ idempotencyKey: String(payload.header).padStart(255, 'i') }, async (tx) => {
          await subject.query("INSERT INTO orders VALUES ('a', 1)");
          const { id = LARGEST.id, header = 1, key = LARGEST.key } = payload;
          tx.add(Largest, { id, header }, { key });
          return 'r'.repeat(65_534);
        });
      const refused = await add({ header: 65_535 }).catch((error: TxboxError) => error.message);
      const left = 65_535 - (Number(/have (\d+) bytes/.exec(refused)?.[1]) - 65_535);
      await expect(add({ header: left + 1 })).rejects.toMatchObject({ code: 'HEADER_INVALID' });
      await expect(add({ id: `${LARGEST.id}x` })).rejects.toMatchObject({ code: 'AGGREGATE_INVALID' });
      await expect(add({ key: `${LARGEST.key}x` })).rejects.toMatchObject({ code: 'KEY_INVALID' });
      expect(await database.orders()).toEqual([]);
      const [first, again] = [await add({ header: left }), await add({ header: left })];
      expect([first, again]).toEqual(['r'.repeat(65_534), 'r'.repeat(65_534)]);
      const [rows] = await database.admin.query(
        'SELECT topic, type, aggregate_type, aggregate_id, message_key, LENGTH(headers) AS headers FROM txbox_outbox',
      );
      const { type, aggregateType, id, key } = LARGEST;
      expect(rows).toEqual([
        { topic: Largest.topic, type, aggregate_type: aggregateType, aggregate_id: id, message_key: Buffer.from(key), headers: 65_535 },
      ]);
    });
  });

  it('an order of four-byte characters is stored with its event, or fails with it where its column cannot hold them', async () => {
    const subject = await start({ connections: 1, outbox: { wake: false } });
    const { outbox, database } = subject;
    const order = (): Promise<unknown> =>
      outbox.transaction(async (tx) => {
        tx.add(Told, { id: '😀' });
        await subject.place('😀');
      });
    try {
      await order();
      expect([await database.orders(), await database.events()]).toEqual([['😀'], ['😀']]);
      await database.clear();
      await database.admin.query('ALTER TABLE orders CONVERT TO CHARACTER SET latin1');
      await expect(order()).rejects.toMatchObject({ errno: 1366 });
      expect([await database.orders(), await database.events()]).toEqual([[], []]);
    } finally {
      await subject.close();
    }
  });
});
