import { Transactional } from '@txbox/core';
import { idempotencyKey } from '@txbox/core/spi';
import type { Connection, RowDataPacket } from 'mysql2/promise';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { Placed } from './lane.ts';
import { SUBJECTS, type Subject } from './subject.ts';
import { WireTap } from './wire-tap.ts';

const codeOf = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => 'resolved',
    (error: { code?: unknown }) => error.code ?? error,
  );

describe.each(SUBJECTS)('timeoutMs with %s', (_name, start) => {
  let subject: Subject;
  beforeAll(async () => {
    subject = await start({ connections: 2 });
  });
  afterAll(() => subject.close());
  beforeEach(() => subject.database.clear());

  const committed = async (): Promise<[string[], string[]]> => [await subject.database.orders(), await subject.database.events()];

  it('changes nothing for a transaction that is in time', async () => {
    const { outbox } = subject;
    await outbox.transaction({ timeoutMs: 60_000 }, async (tx) => {
      await subject.place('a');
      tx.add(Placed, { id: 'a' });
    });
    expect(await committed()).toEqual([['a'], ['a']]);
  });

  it('rolls back while the function waits for something else, aborts its signal, and refuses what it does afterwards', async () => {
    const { outbox } = subject;
    const afterwards = Promise.withResolvers<unknown>();
    const whole = outbox.transaction({ timeoutMs: 50 }, async (tx) => {
      await subject.place('a');
      tx.add(Placed, { id: 'a' });
      await new Promise((resolve) => tx.signal.addEventListener('abort', resolve));
      expect(tx.signal.reason).toMatchObject({ code: 'UNIT_TIMED_OUT' });
      afterwards.resolve(codeOf(subject.place('late')));
      expect(() => tx.add(Placed, { id: 'late' })).toThrowError(expect.objectContaining({ code: 'UNIT_CLOSED' }));
    });
    await expect(whole).rejects.toMatchObject({ code: 'UNIT_TIMED_OUT', retryable: true });
    expect(await afterwards.promise).toMatch(/^UNIT_/);
    expect(await committed()).toEqual([[], []]);
    await outbox.transaction(() => subject.place('next'));
    expect(await database()).toEqual(['next']);
  });

  it('does not wait for a statement that the server does not answer', async () => {
    const {
      outbox,
      database: { admin },
    } = subject;
    await admin.query("INSERT INTO orders VALUES ('held', 1)");
    const holder = await subject.database.connect();
    await holder.query('BEGIN');
    await holder.query("UPDATE orders SET amount = 2 WHERE id = 'held'");
    const statement = Promise.withResolvers<unknown>();
    const whole = outbox.transaction({ timeoutMs: 100 }, async (tx) => {
      await subject.place('a');
      tx.add(Placed, { id: 'a' });
      statement.resolve(subject.query("UPDATE orders SET amount = 3 WHERE id = 'held'").catch((error: unknown) => error));
      await statement.promise;
    });
    await expect(whole).rejects.toMatchObject({ code: 'UNIT_TIMED_OUT' });
    expect(String(await statement.promise)).toContain('timeoutMs');
    await holder.query('ROLLBACK');
    await holder.end();
    // The session that was left alone ends when its statement does.
    await vi.waitUntil(async () => (await committed())[0].join() === 'held', { timeout: 20_000, interval: 20 });
    expect(await subject.database.amountOf('held')).toBe(1);
    expect((await committed())[1]).toEqual([]);
    await outbox.transaction(() => subject.place('next'));
  });

  it('bounds the wait for a connection, which goes back when it comes too late', async () => {
    const { outbox } = subject;
    const go = Promise.withResolvers<void>();
    const holding = [1, 2].map(() => outbox.transaction(() => go.promise));
    const fn = vi.fn(async () => undefined);
    await expect(outbox.transaction({ timeoutMs: 50 }, fn)).rejects.toMatchObject({ code: 'UNIT_TIMED_OUT' });
    expect(fn).not.toHaveBeenCalled();
    go.resolve();
    await Promise.all(holding);
    await Promise.all([1, 2].map((n) => outbox.transaction(() => subject.place(`after ${n}`))));
    expect(await database()).toEqual(['after 1', 'after 2']);
  });

  async function database(): Promise<string[]> {
    return (await committed())[0];
  }
});

describe.each(SUBJECTS)('readOnly with %s', (_name, start) => {
  let subject: Subject;
  beforeAll(async () => {
    subject = await start();
  });
  afterAll(() => subject.close());
  beforeEach(() => subject.database.clear());

  it('reads one snapshot, and neither rows nor events can be written', async () => {
    const { outbox, database } = subject;
    await subject.place('a');
    await outbox.transaction({ readOnly: true, isolationLevel: 'REPEATABLE READ' }, async (tx) => {
      expect(await subject.query('SELECT id FROM orders')).toEqual([{ id: 'a' }]);
      await database.admin.query("INSERT INTO orders VALUES ('b', 1)");
      expect(await subject.query('SELECT id FROM orders')).toEqual([{ id: 'a' }]);
      await expect(subject.place('c')).rejects.toThrow(/READ ONLY/i);
      expect(() => tx.add(Placed, { id: 'c' })).toThrowError(expect.objectContaining({ code: 'UNIT_READ_ONLY' }));
      await outbox.transaction({ readOnly: true }, async (inner) => {
        expect(() => inner.add(Placed, { id: 'c' })).toThrowError(expect.objectContaining({ code: 'UNIT_READ_ONLY' }));
      });
      expect(await codeOf(outbox.transaction({ readOnly: false }, async () => undefined))).toBe('PROPAGATION_REFUSED');
    });
    expect([await database.orders(), await database.events()]).toEqual([['a', 'b'], []]);
  });

  it('says nothing about the next transaction on the connection', async () => {
    const { outbox, database } = subject;
    for (let round = 0; round < 6; round++) {
      await outbox.transaction({ readOnly: true }, () => subject.query('SELECT 1'));
      await outbox.transaction(async (tx) => {
        await subject.place(`o${round}`);
        tx.add(Placed, { id: `o${round}` });
      });
    }
    expect(await database.events()).toHaveLength(6);
  });

  it('is the same for @Transactional', async () => {
    class Report {
      @Transactional({ readOnly: true })
      async write(): Promise<unknown> {
        return await subject.place('a');
      }
    }
    await expect(new Report().write()).rejects.toThrow(/READ ONLY/i);
  });
});

describe.each(SUBJECTS)('idempotencyKey with %s', (_name, start) => {
  let subject: Subject;
  beforeAll(async () => {
    subject = await start({ outbox: { idempotency: { maxResultBytes: 1_000 } } });
  });
  afterAll(() => subject.close());
  beforeEach(async () => {
    await subject.database.clear();
    await subject.database.admin.query('DELETE FROM txbox_idempotency');
  });

  const pay = async (id: string): Promise<{ id: string; paid: number }> => {
    await subject.place(id);
    subject.outbox.add(Placed, { id });
    return { id, paid: 7 };
  };
  const committed = async (): Promise<[string[], string[]]> => [await subject.database.orders(), await subject.database.events()];

  it('does it once, and returns the stored result to a repeat', async () => {
    const { outbox } = subject;
    const fn = vi.fn(() => pay('a'));
    const first = await outbox.transaction({ idempotencyKey: 'request 1' }, fn);
    expect(await outbox.transaction({ idempotencyKey: 'request 1' }, fn)).toEqual(first);
    expect(first).toEqual({ id: 'a', paid: 7 });
    expect(fn).toHaveBeenCalledTimes(1);
    expect(await outbox.transaction({ idempotencyKey: 'request 2' }, () => pay('b'))).toEqual({ id: 'b', paid: 7 });
    expect(await committed()).toEqual([
      ['a', 'b'],
      ['a', 'b'],
    ]);
  });

  it('does it again after a rollback', async () => {
    const { outbox } = subject;
    const declined = outbox.transaction({ idempotencyKey: 'k' }, async () => {
      await pay('a');
      throw new Error('declined');
    });
    await expect(declined).rejects.toThrow('declined');
    expect(await outbox.transaction({ idempotencyKey: 'k' }, () => pay('a'))).toEqual({ id: 'a', paid: 7 });
  });

  it('does it once when it is asked for several times at once', async () => {
    const { outbox } = subject;
    let runs = 0;
    const results = await Promise.all(
      Array.from({ length: 4 }, () =>
        outbox.transaction({ idempotencyKey: 'k', retry: { maxAttempts: 5 } }, async () => {
          runs += 1;
          return await pay('a');
        }),
      ),
    );
    expect(results).toEqual(Array.from({ length: 4 }, () => ({ id: 'a', paid: 7 })));
    expect(runs).toBe(1);
    expect(await committed()).toEqual([['a'], ['a']]);
  });

  it.each([
    ['nothing', undefined],
    ['null', null],
    ['false', false],
    ['a text', 'ünï🙂'],
    ['a list', [1, 'b', null]],
    ['zero', 0],
    ['an empty text', ''],
  ])('returns %s as it was', async (_what, value) => {
    const { outbox } = subject;
    expect(await outbox.transaction({ idempotencyKey: 'k' }, async () => value)).toEqual(value);
    expect(await outbox.transaction({ idempotencyKey: 'k' }, () => Promise.reject(new Error('must not run')))).toEqual(value);
  });

  it('says ALREADY_COMMITTED, with the ids of its events, where the result could not be stored', async () => {
    const { outbox } = subject;
    const cyclic: { self?: unknown } = {};
    cyclic.self = cyclic;
    for (const [key, result] of [
      ['bigint', 1n],
      ['cycle', cyclic],
      ['map', new Map([[1, 2]])],
      ['large', 'x'.repeat(2_000)],
    ] as const) {
      const ids: string[] = [];
      const first = await outbox.transaction({ idempotencyKey: key }, async (tx) => {
        ids.push(tx.add(Placed, { id: key }), tx.add(Placed, { id: key }));
        return result;
      });
      expect(first).toBe(result);
      await expect(outbox.transaction({ idempotencyKey: key }, () => pay('never'))).rejects.toMatchObject({
        code: 'ALREADY_COMMITTED',
        retryable: false,
        details: { idempotencyKey: key, messageIds: ids },
      });
    }
    expect(await subject.database.orders()).toEqual([]);
  });

  it('makes a key of the arguments of a method; other arguments under it are an error', async () => {
    class Payments {
      @Transactional({ idempotencyKey: (request: { key: string }) => request.key })
      async pay(request: { key: string; amounts: unknown }, _at?: Date): Promise<string> {
        await pay(request.key);
        return request.key;
      }

      @Transactional({ idempotencyKey: (request: { key: string }) => request.key })
      async refund(request: { key: string; amounts: unknown }): Promise<void> {
        await pay(request.key);
      }

      @Transactional({ idempotencyKey: (() => undefined) as never })
      async wrong(): Promise<void> {
        await pay('wrong');
      }
    }
    const payments = new Payments();
    expect(await payments.pay({ key: 'a', amounts: { x: 1, y: [2n, 'z'] } })).toBe('a');
    // The order of properties is no other argument.
    expect(await payments.pay({ amounts: { y: [2n, 'z'], x: 1 }, key: 'a' })).toBe('a');
    for (const other of [{ x: 1 }, { x: 1, y: [2n, 'z', null] }, { x: 1, y: ['2', 'z'] }, { x: '1', y: [2n, 'z'] }])
      expect(await codeOf(payments.pay({ key: 'a', amounts: other }))).toBe('IDEMPOTENCY_KEY_REUSED');
    expect(await codeOf(payments.pay({ key: 'a', amounts: { x: 1, y: [2n, 'z'] } }, new Date()))).toBe('IDEMPOTENCY_KEY_REUSED');
    expect(await codeOf(payments.refund({ key: 'a', amounts: { x: 1, y: [2n, 'z'] } }))).toBe('IDEMPOTENCY_KEY_REUSED');
    expect(await codeOf(payments.wrong())).toBe('IDEMPOTENCY_KEY_INVALID');
    expect(await committed()).toEqual([['a'], ['a']]);
  });

  it('is INVALID when it is no text of 1 to 255 bytes, before anything is done', async () => {
    const { outbox } = subject;
    for (const wrong of ['', 'é'.repeat(128), 7, null])
      expect(await codeOf(outbox.transaction({ idempotencyKey: wrong as never }, () => pay('a')))).toBe('OPTIONS_INVALID');
    expect(await outbox.transaction({ idempotencyKey: 'é'.repeat(127) }, () => pay('a'))).toEqual({ id: 'a', paid: 7 });
  });

  it('is kept no longer than it must', async () => {
    const old = await start({ outbox: { idempotency: { retentionMs: 60_000 } } });
    try {
      await old.database.admin.query(
        "INSERT INTO txbox_idempotency (`key`, fingerprint, created_at) VALUES ('old', '', UTC_TIMESTAMP(6) - INTERVAL 61 SECOND), ('young', '', UTC_TIMESTAMP(6) - INTERVAL 50 SECOND)",
      );
      await old.outbox.transaction({ idempotencyKey: 'new' }, async () => undefined);
      const keys = async (): Promise<string> => {
        const [rows] = await old.database.admin.query<RowDataPacket[]>('SELECT CAST(`key` AS CHAR) AS k FROM txbox_idempotency ORDER BY 1');
        return rows.map(({ k }) => k as string).join();
      };
      await vi.waitUntil(async () => (await keys()) === 'new,young', { timeout: 20_000, interval: 10 });
    } finally {
      await old.close();
    }
  });

  describe('when COMMIT is not answered', () => {
    let tap: WireTap;
    let cut: Subject;
    beforeAll(async () => {
      cut = await start({
        url: async (url) => {
          tap = await WireTap.start(url);
          return tap.urlOf(url);
        },
      });
    });
    afterAll(async () => {
      await cut.close();
      await tap[Symbol.asyncDispose]();
    });
    beforeEach(() => cut.database.admin.query('DELETE FROM orders; DELETE FROM txbox_outbox; DELETE FROM txbox_idempotency'));

    const payOnce = vi.fn(async () => {
      await cut.place('a');
      cut.outbox.add(Placed, { id: 'a' });
      return { paid: 7 };
    });

    it.each(['statement', 'answer'] as const)('a retry finds out and does it once (the %s was lost)', async (lose) => {
      payOnce.mockClear();
      tap.cutAt({ text: 'COMMIT', lose });
      expect(await cut.outbox.transaction({ idempotencyKey: 'k', retry: { maxAttempts: 3 } }, payOnce)).toEqual({ paid: 7 });
      expect(payOnce).toHaveBeenCalledTimes(lose === 'answer' ? 1 : 2);
      expect([await cut.database.orders(), await cut.database.events()]).toEqual([['a'], ['a']]);
    });

    it.each(['statement', 'answer'] as const)('so does the next call with the key (the %s was lost)', async (lose) => {
      tap.cutAt({ text: 'COMMIT', lose });
      const first = cut.outbox.transaction({ idempotencyKey: 'k' }, payOnce);
      await expect(first).rejects.toMatchObject({ code: 'OUTCOME_UNKNOWN' });
      expect(await cut.outbox.transaction({ idempotencyKey: 'k' }, payOnce)).toEqual({ paid: 7 });
      expect([await cut.database.orders(), await cut.database.events()]).toEqual([['a'], ['a']]);
    });
  });

  it('waits for an older session that may still commit, and returns what that has committed', async () => {
    const { outbox, database } = subject;
    // What the framework does, in a session whose client is gone.
    const session = await database.connect();
    await session.query('BEGIN');
    await session.query("INSERT INTO txbox_idempotency (`key`, fingerprint, result, created_at) VALUES ('k', ?, '7', UTC_TIMESTAMP(6))", [
      idempotencyKey('transaction', 'k', 'transaction', []).fingerprint,
    ]);
    const fn = vi.fn(() => pay('a'));
    let over = false;
    const repeat = outbox.transaction({ idempotencyKey: 'k' }, fn).finally(() => {
      over = true;
    });
    await untilSomebodyWaits(database.admin);
    expect(over).toBe(false);
    await session.query('COMMIT');
    expect(await repeat).toBe(7);
    expect(fn).not.toHaveBeenCalled();
    await session.end();
  });

  it('is still unknown while that session does not end', async () => {
    const impatient = await start({ connections: 1 });
    try {
      const { outbox, database } = impatient;
      await impatient.query('SET innodb_lock_wait_timeout = 1');
      const session = await database.connect();
      await session.query('BEGIN');
      await session.query("INSERT INTO txbox_idempotency (`key`, fingerprint, result, created_at) VALUES ('k', '', '7', UTC_TIMESTAMP(6))");
      const fn = vi.fn(async () => 8);
      await expect(outbox.transaction({ idempotencyKey: 'k' }, fn)).rejects.toMatchObject({ code: 'OUTCOME_UNKNOWN' });
      expect(fn).not.toHaveBeenCalled();
      // It rolls back in the end, and now the work is done.
      await session.query('ROLLBACK');
      await session.end();
      expect(await outbox.transaction({ idempotencyKey: 'k' }, fn)).toBe(8);
    } finally {
      await impatient.close();
    }
  });
});

async function untilSomebodyWaits(admin: Connection): Promise<void> {
  await vi.waitUntil(
    async () => {
      const [[monitor]] = await admin.query<RowDataPacket[]>('SHOW ENGINE INNODB STATUS');
      return String(monitor?.['Status'])
        .split('---TRANSACTION')
        .some((text) => text.includes('LOCK WAIT') && text.includes('txbox_idempotency'));
    },
    { timeout: 20_000, interval: 10 },
  );
}
