import type { Connection, RowDataPacket } from 'mysql2/promise';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { Placed } from './lane.ts';
import { SUBJECTS, type Subject } from './subject.ts';
import { WireTap } from './wire-tap.ts';

const BEGIN = 'START TRANSACTION';
const ORDER = 'INSERT INTO orders';
const EVENTS = 'INSERT INTO `txbox_outbox`';
const NOTHING_DONE = { code: 'DATABASE_UNAVAILABLE', retryable: true, message: expect.stringContaining('Nothing was done') };
const ROLLED_BACK = { code: 'UNIT_DOOMED', retryable: true, message: expect.stringMatching(/connection was lost.*It was rolled back/) };
/** Where a connection may be lost, and what the caller is told. */
const BEFORE_COMMIT = [
  [BEGIN, NOTHING_DONE],
  [ORDER, ROLLED_BACK],
  [EVENTS, ROLLED_BACK],
] as const;
const UNKNOWN = { code: 'OUTCOME_UNKNOWN', retryable: false, message: expect.stringContaining('COMMIT was sent and not answered') };

describe.each(SUBJECTS)('a connection lost with %s', (_name, start) => {
  let tap: WireTap;
  let subject: Subject;
  beforeAll(async () => {
    subject = await start({
      outbox: { wake: false },
      connections: 2,
      url: async (url) => {
        tap = await WireTap.start(url);
        return tap.urlOf(url);
      },
    });
    // The first event of a process looks at the schema.
    await subject.outbox.transaction(async (tx) => void tx.add(Placed, { id: 'first' }));
  });
  afterAll(async () => {
    await subject.close();
    await tap[Symbol.asyncDispose]();
  });
  beforeEach(() => subject.database.clear());

  const committed = async (): Promise<[string[], string[]]> => [await subject.database.orders(), await subject.database.events()];
  const afterCommit = vi.fn();

  /** An order and its event. What the statement of the order says is swallowed, as the worst caller would. */
  function order(): Promise<void> {
    afterCommit.mockClear();
    return subject.outbox.transaction(async (tx) => {
      tx.afterCommit(afterCommit);
      tx.add(Placed, { id: 'a' });
      await subject.query("INSERT INTO orders VALUES ('a', 1)").catch(() => undefined);
    });
  }

  /** The pool is as good as before, and what was rolled back does not turn up later. */
  async function recovers(before: [string[], string[]]): Promise<void> {
    const next = ['next0', 'next1', 'next2'];
    await Promise.all(
      next.map((id) =>
        subject.outbox.transaction(async (tx) => {
          await subject.place(id);
          tx.add(Placed, { id });
        }),
      ),
    );
    const [orders, events] = await committed();
    expect([orders, events.toSorted()]).toEqual([
      [...before[0], ...next],
      [...before[1], ...next],
    ]);
  }

  /** Resolves when the session is no more. */
  async function kill(threadId: number): Promise<void> {
    const { admin } = subject.database;
    await admin.query(`KILL ${threadId}`);
    const gone = async (): Promise<boolean> => (await stateOf(admin, threadId)) === undefined;
    await vi.waitUntil(gone, { interval: 5, timeout: 10_000 });
  }

  describe('before COMMIT: nothing is committed, it is said, and the pool recovers, when', () => {
    const lost = BEFORE_COMMIT.flatMap(([text, error]) => (['statement', 'answer'] as const).map((lose) => [lose, text, error] as const));
    it.each(lost)('the %s of %s is lost', async (lose, text, error) => {
      tap.cutAt({ text, lose });
      await expect(order()).rejects.toMatchObject(error);
      expect(afterCommit).not.toHaveBeenCalled();
      await recovers([[], []]);
    });

    it.each(['statement', 'answer'] as const)('the %s that claims an idempotencyKey is lost', async (lose) => {
      tap.cutAt({ text: 'INSERT INTO `txbox_idempotency`', lose });
      const keyed = (): Promise<unknown> => subject.outbox.transaction({ idempotencyKey: lose }, () => subject.place('a'));
      await expect(keyed()).rejects.toMatchObject(ROLLED_BACK);
      expect(await committed()).toEqual([[], []]);
      await keyed();
      expect(await committed()).toEqual([['a'], []]);
    });

    it.each(BEFORE_COMMIT)('its session is killed at %s', async (text, error) => {
      tap.holdAt({ text, until: kill });
      await expect(order()).rejects.toMatchObject(error);
      expect(afterCommit).not.toHaveBeenCalled();
      await recovers([[], []]);
    });

    it('its session is killed between two statements: the second is not sent, and says why', async () => {
      let second: unknown;
      const ordered = subject.outbox.transaction(async (tx) => {
        tx.add(Placed, { id: 'a' });
        const [row] = await subject.query('SELECT CONNECTION_ID() AS id');
        await kill(Number(row?.['id']));
        await vi.waitUntil(() => tx.signal.aborted);
        second = await subject.place('a').catch((error: unknown) => error);
        throw second;
      });
      expect(await ordered.catch((error: unknown) => error)).toBe(second);
      expect(second).toMatchObject({
        code: 'UNIT_DOOMED',
        retryable: true,
        message: expect.stringMatching(/Not sent.*connection was lost/),
      });
      await recovers([[], []]);
    });

    it.each([
      [ORDER, 'orders'],
      [EVENTS, 'txbox_outbox'],
    ])('its session is killed while %s waits for a lock', async (text, table) => {
      const other = await subject.database.connect();
      await other.query(`LOCK TABLES ${table} WRITE`);
      const sent = Promise.withResolvers<number>();
      tap.holdAt({ text, until: async (threadId) => sent.resolve(threadId) });
      const ordered = order().catch((error: unknown) => error);
      const threadId = await sent.promise;
      const waits = async (): Promise<boolean> => /metadata lock/.test((await stateOf(subject.database.admin, threadId)) ?? '');
      await vi.waitUntil(waits, { interval: 5, timeout: 10_000 });
      await kill(threadId);
      await other.end();
      expect(await ordered).toMatchObject(ROLLED_BACK);
      await recovers([[], []]);
    });
  });

  describe('in a procedure that may commit: it is said that a part may be committed, and nothing runs again, when', () => {
    const half = { retryable: false, details: { half: true }, message: expect.stringContaining('may be committed already') };
    beforeAll(() => subject.database.admin.query('CREATE PROCEDURE committing() BEGIN COMMIT; DO SLEEP(0.2); END'));

    /** The error of the call is swallowed, or passes out; either way it is not the whole truth. */
    const outcome = (options: object, swallow: boolean): Promise<unknown> =>
      subject.outbox
        .transaction({ retry: { maxAttempts: 3 }, ...options }, async (tx) => {
          await subject.place('a');
          tx.add(Placed, { id: 'a' });
          const call = subject.query('CALL committing()');
          await (swallow ? call.catch(() => undefined) : call);
        })
        .catch((error: unknown) => error);

    it.each([
      ['the answer is lost', true],
      ['the answer is lost', false],
    ] as const)('%s (swallowed: %s)', async (_what, swallow) => {
      tap.cutAt({ text: 'CALL', lose: 'answer' });
      expect(await outcome({}, swallow)).toMatchObject({ code: 'UNIT_DOOMED', ...half });
      await recovers([['a'], []]);
    });

    it('its session is killed', async () => {
      tap.holdAt({ text: 'CALL', until: kill });
      expect(await outcome({}, false)).toMatchObject({ code: 'UNIT_DOOMED', ...half });
      await recovers([[], []]);
    });

    it('its timeoutMs is over', async () => {
      tap.holdAt({ text: 'CALL', until: () => new Promise(() => undefined) });
      expect(await outcome({ timeoutMs: 1_000 }, false)).toMatchObject({ code: 'UNIT_TIMED_OUT', ...half });
      await recovers([[], []]);
    });
  });

  describe('at COMMIT: it is called unknown, and all is there or nothing, when', () => {
    it.each([
      ['statement', [[], []]],
      ['answer', [['a'], ['a']]],
    ] as const)('the %s is lost', async (lose, expected) => {
      tap.cutAt({ text: 'COMMIT', lose });
      await expect(order()).rejects.toMatchObject(UNKNOWN);
      expect(afterCommit).not.toHaveBeenCalled();
      await expect.poll(committed).toEqual(expected);
      await recovers(expected as unknown as [string[], string[]]);
    });

    it('its session is killed', async () => {
      tap.holdAt({ text: 'COMMIT', until: kill });
      await expect(order()).rejects.toMatchObject(UNKNOWN);
      await recovers([[], []]);
    });

    it('COMMIT arrives after the caller was told', async () => {
      const late = Promise.withResolvers<void>();
      tap.holdAt({ text: 'COMMIT', until: () => late.promise, orphaned: true });
      await expect(order()).rejects.toMatchObject(UNKNOWN);
      expect(await committed()).toEqual([[], []]);
      late.resolve();
      await expect.poll(committed).toEqual([['a'], ['a']]);
      await recovers([['a'], ['a']]);
    });

    it('COMMIT arrives after the caller was told, and the repeat with the same idempotencyKey waits for it', async () => {
      const late = Promise.withResolvers<void>();
      tap.holdAt({ text: 'COMMIT', until: () => late.promise, orphaned: true });
      const fn = vi.fn(async () => {
        await subject.place('a');
        subject.outbox.add(Placed, { id: 'a' });
        return 7;
      });
      await expect(subject.outbox.transaction({ idempotencyKey: 'k' }, fn)).rejects.toMatchObject(UNKNOWN);
      const repeat = subject.outbox.transaction({ idempotencyKey: 'k' }, fn);
      await vi.waitUntil(
        async () => {
          const [[monitor]] = await subject.database.admin.query<RowDataPacket[]>('SHOW ENGINE INNODB STATUS');
          return String(monitor?.['Status'])
            .split('---TRANSACTION')
            .some((text) => text.includes('LOCK WAIT') && text.includes('txbox_idempotency'));
        },
        { interval: 5, timeout: 10_000 },
      );
      late.resolve();
      expect(await repeat).toBe(7);
      expect(fn).toHaveBeenCalledTimes(1);
      expect(await committed()).toEqual([['a'], ['a']]);
    });
  });
});

/** What a session does, or `undefined` where there is none of that number. */
async function stateOf(admin: Connection, threadId: number): Promise<string | undefined> {
  const [[session]] = await admin.query<RowDataPacket[]>('SELECT state AS state FROM information_schema.processlist WHERE id = ?', [
    threadId,
  ]);
  return session && String(session['state']);
}
