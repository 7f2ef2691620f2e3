import { type Codec, defineEvent, rawCodec } from '@txbox/core';
import { createOutbox as createMysql2Outbox } from '@txbox/outbox/mysql2';
import { createOutbox as createSqliteOutbox } from '@txbox/outbox/sqlite';
import { createOutbox as createTypeormOutbox } from '@txbox/outbox/typeorm';
import * as typeorm1 from 'typeorm';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { z } from 'zod';
import { dataSourceOf, Placed, SERVERS, startService } from './lane.ts';
import { SUBJECTS, type Subject } from './subject.ts';

const Checked = defineEvent('checked', { topic: 'orders', schema: z.object({ id: z.string() }), key: (payload) => payload.id });
const Loose = defineEvent('loose', { topic: 'orders', key: (_payload: unknown) => 'loose' });
const Small = defineEvent('small', { topic: 'orders', key: () => 'small', codec: rawCodec as Codec<Uint8Array>, maxBytes: 1_000 });
const bigintCodec: Codec<bigint> = {
  contentType: 'text/plain',
  encode: (value) => Buffer.from(value.toString()),
  decode: (bytes) => BigInt(Buffer.from(bytes).toString()),
};
const Big = defineEvent('big', { topic: 'orders', key: () => 'big', codec: bigintCodec as Codec });

const cyclic: Record<string, unknown> = {};
cyclic['self'] = cyclic;

const BAD: readonly (readonly [string, string, (add: Subject['outbox']['add']) => unknown])[] = [
  ['a payload that fails its schema', 'PAYLOAD_INVALID', (add) => add(Checked, { id: 7 as never })],
  ['a bigint', 'PAYLOAD_NOT_ENCODABLE', (add) => add(Loose, { amount: 10n })],
  ['an integer that is not safe', 'PAYLOAD_NOT_ENCODABLE', (add) => add(Loose, { amount: 2 ** 53 })],
  ['a cycle', 'PAYLOAD_NOT_ENCODABLE', (add) => add(Loose, cyclic)],
  ['nothing', 'PAYLOAD_NOT_ENCODABLE', (add) => add(Loose, undefined)],
  ['a function', 'PAYLOAD_NOT_ENCODABLE', (add) => add(Loose, () => 1)],
  ['text where bytes are due', 'PAYLOAD_NOT_ENCODABLE', (add) => add(Small, 'text' as never)],
  ['a message above the limit', 'MESSAGE_TOO_LARGE', (add) => add(Small, Buffer.alloc(1_001))],
  ['an unknown option', 'OPTIONS_INVALID', (add) => add(Placed, { id: 'x' }, { partition: 3 } as never)],
  ['a header of the framework', 'HEADER_INVALID', (add) => add(Placed, { id: 'x' }, { headers: { 'txbox-id': 'x' } })],
  ['a key above its limit', 'KEY_INVALID', (add) => add(Placed, { id: 'x'.repeat(256) })],
  ['an id that is none', 'MESSAGE_ID_INVALID', (add) => add(Placed, { id: 'x' }, { id: '7' })],
  ['no event', 'EVENT_INVALID', (add) => add(undefined as never, {} as never)],
  ['an event that was not defined', 'EVENT_INVALID', (add) => add({ name: 'x', topic: 'orders' } as never, {} as never)],
];

describe.each(SUBJECTS)('bad input with %s', (_name, start) => {
  let subject: Subject;
  beforeAll(async () => {
    subject = await start();
  });
  afterAll(() => subject.close());
  beforeEach(() => subject.database.clear());

  const committed = async (): Promise<[string[], string[]]> => [await subject.database.orders(), await subject.database.events()];
  const refusal = (code: string) => expect.objectContaining({ code });

  describe('add', () => {
    it.each(BAD)('refuses %s with %s, and the transaction rolls back', async (_what, code, bad) => {
      const { outbox } = subject;
      await expect(
        outbox.transaction(async (tx) => {
          await subject.place('a');
          tx.add(Placed, { id: 'a' });
          bad((...args) => tx.add(...args));
        }),
      ).rejects.toMatchObject({ code });
      expect(await committed()).toEqual([[], []]);
    });

    it('loses nothing else when what it throws is caught', async () => {
      const { outbox } = subject;
      await outbox.transaction(async () => {
        await subject.place('a');
        outbox.add(Placed, { id: 'before' });
        for (const [, code, bad] of BAD) expect(() => bad((...args) => outbox.add(...args))).toThrowError(refusal(code));
        outbox.add(Placed, { id: 'after' });
      });
      expect(await committed()).toEqual([['a'], ['before', 'after']]);
    });

    it('takes bigints by a codec, and a message up to its limit', async () => {
      const { outbox, database } = subject;
      await outbox.transaction(async (tx) => {
        tx.add(Big, 2n ** 70n);
        tx.add(Small, Buffer.alloc(700, 1));
        tx.add(Loose, { text: 'x'.repeat(900_000) });
      });
      const [rows] = await database.admin.query('SELECT LENGTH(payload) AS length FROM txbox_outbox ORDER BY position');
      expect(rows).toEqual([{ length: 22 }, { length: 700 }, { length: 900_011 }]);
    });

    it('outside of a transaction says NO_UNIT_OF_WORK, and names the ways', async () => {
      const { outbox } = subject;
      const outside = expect.objectContaining({ code: 'NO_UNIT_OF_WORK', message: expect.stringContaining('addTo') });
      expect(() => outbox.add(Placed, { id: 'a' })).toThrowError(outside);
      await subject.foreign(async (addTo) => {
        await subject.place('beside');
        expect(() => outbox.add(Placed, { id: 'a' })).toThrowError(outside);
        await addTo(Placed, 'foreign');
      });
      await outbox.transaction(async () => {
        outbox.outside(() => expect(() => outbox.add(Placed, { id: 'a' })).toThrowError(outside));
      });
      expect(await committed()).toEqual([['beside'], ['foreign']]);
    });

    it('after the end says UNIT_CLOSED, however the transaction ended', async () => {
      const { outbox } = subject;
      for (const fails of [false, true]) {
        const over = Promise.withResolvers<void>();
        let late: Promise<void> | undefined;
        await outbox
          .transaction(async (tx) => {
            late = over.promise.then(() => {
              expect(() => tx.add(Placed, { id: 'late' })).toThrowError(refusal('UNIT_CLOSED'));
              expect(() => outbox.add(Placed, { id: 'late' })).toThrowError(refusal('UNIT_CLOSED'));
              expect(() => tx.afterCommit(() => undefined)).toThrowError(refusal('UNIT_CLOSED'));
            });
            if (fails) throw new Error('declined');
          })
          .catch(() => undefined);
        over.resolve();
        await late;
      }
      expect(await committed()).toEqual([[], []]);
    });

    it("in another database's transaction says WRONG_DATA_SOURCE, and both commit what is theirs", async () => {
      const { outbox } = subject;
      const other = await start();
      try {
        await outbox.transaction(async (tx) => {
          await subject.place('a');
          expect(() => other.outbox.add(Placed, { id: 'x' })).toThrowError(refusal('WRONG_DATA_SOURCE'));
          await other.outbox.transaction(async (theirs) => {
            await other.place('b');
            theirs.add(Placed, { id: 'b' });
            tx.add(Placed, { id: 'a' });
          });
        });
        expect(await committed()).toEqual([['a'], ['a']]);
        expect([await other.database.orders(), await other.database.events()]).toEqual([['b'], ['b']]);
      } finally {
        await other.close();
      }
    });
  });

  describe('transaction', () => {
    it('refuses unknown and wrong options, all in one error, and what is no function', async () => {
      const { outbox } = subject;
      const bad = {
        isolationLevel: 'CHAOS',
        retry: { times: 3 },
        propagation: 'twice',
        timeoutMs: 0,
        readOnly: 'yes',
        idempotencyKey: '',
        isolation: 'SERIALIZABLE',
      } as never;
      const fn = vi.fn(async () => undefined);
      await expect(outbox.transaction(bad, fn)).rejects.toMatchObject({
        code: 'OPTIONS_INVALID',
        details: { problems: expect.objectContaining({ length: 7 }) },
      });
      for (const contradictory of [
        { propagation: 'mandatory', retry: { maxAttempts: 2 } },
        { propagation: 'supports', readOnly: true },
        { propagation: 'not-supported', isolationLevel: 'SERIALIZABLE' },
        { propagation: 'never', timeoutMs: 10 },
        { readOnly: true, idempotencyKey: 'k' },
      ] as const) {
        await expect(outbox.transaction(contradictory, fn)).rejects.toMatchObject({ code: 'OPTIONS_INVALID' });
      }
      for (const wrong of [undefined, null, {}, 'fn'])
        await expect(outbox.transaction(wrong as never)).rejects.toMatchObject({ code: 'OPTIONS_INVALID' });
      expect(fn).not.toHaveBeenCalled();
    });
  });

  describe('a schema that does not fit', () => {
    const change = (sql: string): Promise<unknown> => subject.database.admin.query(sql);
    const placed = (outbox: Subject['outbox']): Promise<void> =>
      outbox.transaction(async (tx) => {
        await subject.place('a');
        tx.add(Placed, { id: 'a' });
      });

    it.each([
      ['is missing', 'SCHEMA_MISSING', 'DROP TABLE txbox_outbox, txbox_meta', undefined],
      [
        'needs newer code',
        'SCHEMA_TOO_NEW',
        "UPDATE txbox_meta SET min_code_version = 900 WHERE component = 'outbox'",
        "UPDATE txbox_meta SET min_code_version = 1 WHERE component = 'outbox'",
      ],
    ] as const)('%s: %s, rolled back, and nothing is wrong once it fits', async (_what, code, spoil, repair) => {
      // The schema is looked at once a process and outbox.
      const fresh = await start();
      const before = subject;
      subject = fresh;
      try {
        await change(spoil);
        await expect(placed(fresh.outbox)).rejects.toMatchObject({ code });
        expect(await fresh.database.orders()).toEqual([]);
        // Without events nothing is asked for.
        await fresh.outbox.transaction(() => fresh.place('plain'));
        if (repair === undefined) await fresh.outbox.migrate();
        else await change(repair);
        await placed(fresh.outbox);
        expect(await committed()).toEqual([['a', 'plain'], ['a']]);
      } finally {
        subject = before;
        await fresh.close();
      }
    });
  });

  it('says OUTBOX_CLOSED after close, which may be called again', async () => {
    const other = await start();
    await other.outbox.close();
    await other.outbox.close();
    expect(() => other.outbox.add(Placed, { id: 'a' })).toThrowError(refusal('OUTBOX_CLOSED'));
    await expect(other.outbox.transaction(async () => undefined)).rejects.toMatchObject({ code: 'OUTBOX_CLOSED' });
    await expect(other.outbox.migrate()).rejects.toMatchObject({ code: 'OUTBOX_CLOSED' });
    await other.close();
  });
});

describe.each(SERVERS.map((server) => [server[0], server] as const))('addTo on %s', (_name, server) => {
  it("refuses another DataSource's transaction, and what is no handle", async () => {
    const service = await startService(server, typeorm1);
    const other = dataSourceOf(typeorm1, service.database.url);
    await other.initialize();
    try {
      await other.transaction(async (manager) => {
        for (const handle of [manager, manager.getRepository('Order'), manager.queryRunner]) {
          await expect(service.outbox.addTo(handle as never, Placed, { id: 'x' })).rejects.toMatchObject({ code: 'WRONG_DATA_SOURCE' });
        }
      });
      for (const handle of [service.dataSource.manager, service.orders, service.dataSource.createQueryRunner(), service.dataSource]) {
        await expect(service.outbox.addTo(handle as never, Placed, { id: 'x' })).rejects.toMatchObject({ code: 'NO_OPEN_TRANSACTION' });
      }
      for (const handle of [undefined, null, 7, {}]) {
        await expect(service.outbox.addTo(handle as never, Placed, { id: 'x' })).rejects.toMatchObject({ code: 'UNSUPPORTED_HANDLE' });
      }
      expect(await service.database.events()).toEqual([]);
    } finally {
      await other.destroy();
      await service.close();
    }
  });
});

describe('createOutbox', () => {
  it.each([
    ['typeorm', createTypeormOutbox, 'dataSource', { plainRepositories: 'perhaps' }],
    ['mysql2', createMysql2Outbox, 'pool', { plainQueries: 'perhaps' }],
    ['sqlite', createSqliteOutbox, 'database', {}],
  ] as const)('of %s reports every problem in one error', (_flavour, create, handle, own) => {
    const options = { ...own, name: '', tablePrefix: 'x; DROP', onLockTimeout: 'maybe', wake: 1, logger: {}, poolSize: 3 };
    const given = create as (options: unknown) => unknown;
    expect(() => given(options)).toThrowError(
      expect.objectContaining({
        code: 'OPTIONS_INVALID',
        message: expect.stringContaining(`${handle} is required`),
        details: { problems: expect.objectContaining({ length: 7 + Object.keys(own).length }) },
      }),
    );
    for (const wrong of [undefined, null, 'pool', { [handle]: {} }, { [handle]: null }]) {
      expect(() => given(wrong)).toThrowError(expect.objectContaining({ code: 'OPTIONS_INVALID' }));
    }
  });

  it('refuses a DataSource of a database that it does not know', () => {
    const nothing = (): void => undefined;
    const dataSource = { options: { type: 'sqljs' }, createQueryRunner: nothing, createEntityManager: nothing } as never;
    expect(() => createTypeormOutbox({ dataSource })).toThrowError(
      expect.objectContaining({ code: 'OPTIONS_INVALID', message: expect.stringContaining('sqljs') }),
    );
  });
});
