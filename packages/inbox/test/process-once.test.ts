import { mysqlDialect, type SqlSession, type TransactionResource, TxboxError, type UnitOfWork } from '@txbox/core/spi';
import { describe, expect, it } from 'vitest';
import type { Work } from '../src/batch.ts';
import { readBatch } from '../src/batch.ts';
import { HandlerRegistry } from '../src/handler-registry.ts';
import type { InboxStore, RecordOutcome } from '../src/inbox-store.ts';
import { type ProcessOnceOutcome, processOnce } from '../src/process-once.ts';
import { deliveryOf, Paid } from './fixture/event.ts';

/** What a stubbed database does. */
interface Script {
  /** Outcomes of recording, one a transaction; the last one goes on for ever. */
  readonly record?: readonly (RecordOutcome | Error)[];
  readonly known?: readonly string[];
  readonly begin?: Error;
  readonly commit?: Error;
  readonly handler?: (id: string, unit: UnitOfWork) => unknown;
}

const serverError = (errno: number): Error => Object.assign(new Error(`error ${errno}`), { errno });
const connectionLost = (): Error => Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' });

/** Runs works a, b, c against the script; tells the outcome and what was committed. */
async function run(script: Script, signal = new AbortController().signal) {
  let unit: { doom?: { reason: string; cause?: unknown } } & Record<string, unknown> = {};
  const committed: string[] = [];
  const recordedIds: number[] = [];
  let transactions = 0;
  let isolation: unknown;
  const handlers = new HandlerRegistry();
  let effects: string[] = [];
  handlers.add({
    event: Paid,
    name: 'pay',
    invoke: async (payload) => {
      const { id } = payload as { id: string };
      await script.handler?.(id, unit as unknown as UnitOfWork);
      effects.push(id);
    },
  });
  const works = readBatch(
    ['a', 'b', 'c'].map((id) => deliveryOf(Paid, { id })),
    handlers,
    'hold',
  ).map((entry) => (entry as { work: Work }).work);
  const idOf = (name: string): Buffer => (works.find(({ message }) => message.key?.toString() === name) as Work).id;
  const store: InboxStore = {
    record: async (_session, group, ids) => {
      expect(group).toBe('billing');
      recordedIds.push(ids.length);
      const outcomes = script.record ?? ['recorded'];
      const outcome = outcomes[Math.min(transactions, outcomes.length) - 1] as RecordOutcome | Error;
      if (outcome instanceof Error) throw outcome;
      return outcome;
    },
    known: async () => (script.known ?? []).map(idOf),
    forget: () => Promise.reject(new Error('not used')),
  };
  const resource: TransactionResource = {
    key: {},
    kind: 'memory',
    maxConnections: 1,
    dialect: mysqlDialect(),
    withSession: () => Promise.reject(new Error('not used')),
    run: async (options, fn) => {
      isolation = options.isolationLevel;
      if (script.begin) throw script.begin;
      transactions += 1;
      effects = [];
      unit = { session: {} as SqlSession, signal: new AbortController().signal, handle: 'the handle' };
      const result = await fn(unit as unknown as UnitOfWork);
      if (unit.doom) throw new TxboxError('UNIT_DOOMED', unit.doom.reason, { cause: unit.doom.cause });
      if (script.commit) throw script.commit;
      committed.push(...effects);
      return result;
    },
  };
  const outcome: ProcessOnceOutcome = await processOnce({ resource, store, group: 'billing', handleName: 'manager' }, works, {
    signal,
    attemptOf: () => 1,
  });
  return { outcome, committed, transactions, recordedIds, isolation };
}

describe('processOnce', () => {
  it('records all ids in one statement at READ COMMITTED and commits the effects with them', async () => {
    expect(await run({})).toEqual({
      outcome: { kind: 'applied', duplicates: [] },
      committed: ['a', 'b', 'c'],
      transactions: 1,
      recordedIds: [3],
      isolation: 'READ COMMITTED',
    });
  });

  it('does a batch with duplicates once more without the known ones', async () => {
    const { outcome, committed, transactions, recordedIds } = await run({ record: ['duplicate', 'recorded'], known: ['b'] });
    expect(outcome).toMatchObject({ kind: 'applied', duplicates: [{ message: { key: Buffer.from('b') } }] });
    expect({ committed, transactions, recordedIds }).toEqual({ committed: ['a', 'c'], transactions: 2, recordedIds: [3, 2] });
  });

  it('waits when the second try meets a duplicate too: somebody is at it', async () => {
    expect(await run({ record: ['duplicate'], known: ['b'] })).toMatchObject({
      outcome: { kind: 'contended' },
      committed: [],
      transactions: 2,
    });
  });

  it('never takes a message in progress elsewhere for done', async () => {
    expect(await run({ record: ['in-progress'] })).toMatchObject({ outcome: { kind: 'contended' }, committed: [], transactions: 1 });
  });

  it('tells a deadlock of the record, of a handler, and one that a handler swallowed', async () => {
    expect(await run({ record: ['deadlock'] })).toMatchObject({ outcome: { kind: 'deadlock' }, committed: [] });
    const thrown = await run({
      handler: (id, unit) => {
        if (id !== 'b') return;
        Object.assign(unit, { doom: { reason: 'a deadlock rolled it back', cause: serverError(1213) } });
        throw serverError(1213);
      },
    });
    expect(thrown).toMatchObject({ outcome: { kind: 'deadlock' }, committed: [] });
    const handled: string[] = [];
    const swallowed = await run({
      handler: (id, unit) => {
        handled.push(id);
        if (id === 'a') Object.assign(unit, { doom: { reason: 'a deadlock rolled it back', cause: serverError(1213) } });
      },
    });
    expect(swallowed).toMatchObject({ outcome: { kind: 'deadlock' }, committed: [] });
    // The statements of the next handler would commit by themselves.
    expect(handled).toEqual(['a']);
  });

  it.each([1213, 1205])("takes error %i of a handler in another database for that handler's failure", async (errno) => {
    const failed = await run({
      handler: () => {
        throw serverError(errno);
      },
    });
    expect(failed.outcome).toMatchObject({ kind: 'failed', error: { errno } });
  });

  it('reports whatever a handler throws', async () => {
    const hostile = {
      get message(): string {
        throw new Error('no');
      },
      get driverError(): string {
        throw new Error('no');
      },
    };
    for (const thrown of [undefined, Object.create(null), hostile]) {
      const failed = await run({
        handler: () => {
          throw thrown;
        },
      });
      expect(failed.outcome.kind).toBe('failed');
    }
  });

  it('takes a unique-key violation of a handler for a failure, and names its message', async () => {
    const failed = await run({
      handler: (id) => {
        if (id === 'b') throw serverError(1062);
      },
    });
    expect(failed).toMatchObject({
      outcome: { kind: 'failed', work: { message: { key: Buffer.from('b') } }, error: { errno: 1062 } },
      committed: [],
      transactions: 1,
    });
  });

  it("takes a connection that a handler lost elsewhere for that handler's failure", async () => {
    const failed = await run({
      handler: () => {
        throw connectionLost();
      },
    });
    expect(failed.outcome).toMatchObject({ kind: 'failed', error: { code: 'ECONNRESET' } });
  });

  it('tells when the database is away: at BEGIN, at the record, in a handler', async () => {
    const unavailable = { kind: 'unavailable' };
    expect((await run({ begin: new TxboxError('DATABASE_UNAVAILABLE', 'gone') })).outcome).toMatchObject(unavailable);
    expect((await run({ record: [connectionLost()] })).outcome).toMatchObject(unavailable);
    const inHandler = await run({
      handler: (_id, unit) => {
        const cause = connectionLost();
        Object.assign(unit, { doom: { reason: 'the connection was lost', cause } });
        throw cause;
      },
    });
    expect(inHandler.outcome).toMatchObject(unavailable);
  });

  it('says that the outcome is unknown when COMMIT had no answer', async () => {
    const error = new TxboxError('OUTCOME_UNKNOWN', 'no answer');
    expect((await run({ commit: error })).outcome).toEqual({ kind: 'unknown', error });
  });

  it('stops before the next handler, before COMMIT, and takes a handler that ends on its signal for stopped', async () => {
    const stop = new AbortController();
    const handled: string[] = [];
    const stopped = await run(
      {
        handler: (id) => {
          handled.push(id);
          if (id === 'b') stop.abort();
        },
      },
      stop.signal,
    );
    expect(stopped).toMatchObject({ outcome: { kind: 'stopped' }, committed: [] });
    expect(handled).toEqual(['a', 'b']);

    const late = new AbortController();
    expect(await run({ handler: (id) => (id === 'c' ? late.abort() : undefined) }, late.signal)).toMatchObject({
      outcome: { kind: 'stopped' },
      committed: [],
    });

    const told = new AbortController();
    const threw = await run(
      {
        handler: () => {
          told.abort();
          told.signal.throwIfAborted();
        },
      },
      told.signal,
    );
    expect(threw.outcome).toEqual({ kind: 'stopped' });
  });
});
