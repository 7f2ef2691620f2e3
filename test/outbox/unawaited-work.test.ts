import type { EventDefinition } from '@txbox/core';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Placed } from './lane.ts';
import { SUBJECTS, type Subject } from './subject.ts';
import { WireTap } from './wire-tap.ts';

/** Ways of running something later, in the context of the code that asks for it. */
const LATER: readonly (readonly [string, (work: () => void) => void])[] = [
  ['setTimeout', (work) => void setTimeout(work, 1)],
  ['setImmediate', (work) => void setImmediate(work)],
  ['a promise', (work) => void new Promise((resolve) => setImmediate(resolve)).then(work)],
];

describe.each(SUBJECTS)('work that nobody awaits, with %s', (_name, start) => {
  let tap: WireTap;
  let subject: Subject;
  beforeAll(async () => {
    subject = await start({
      outbox: { wake: false },
      // What is left behind on it would reach the next transaction.
      connections: 1,
      url: async (url) => {
        tap = await WireTap.start(url);
        return tap.urlOf(url);
      },
    });
    await subject.outbox.transaction(async (tx) => void tx.add(Placed, { id: 'first' }));
  });
  afterAll(async () => {
    await subject.close();
    await tap[Symbol.asyncDispose]();
  });
  beforeEach(() => subject.database.clear());

  const committed = async (): Promise<[string[], string[]]> => [await subject.database.orders(), await subject.database.events()];
  const codeOf = async (work: () => unknown): Promise<unknown> => {
    try {
      await work();
      return 'done';
    } catch (error) {
      return (error as { code: unknown }).code;
    }
  };
  const order = (id: string): Promise<void> =>
    subject.outbox.transaction(async (tx) => {
      await subject.place(id);
      tx.add(Placed, { id });
    });

  describe.each([
    [
      'commit',
      undefined,
      [
        ['a', 'next'],
        ['a', 'next'],
      ],
    ],
    ['rollback', new Error('declined'), [['next'], ['next']]],
  ] as const)('after a %s', (_end, failure, expected) => {
    it.each(LATER)('neither writes nor adds, from %s, and nothing of it gets into the next transaction', async (_how, later) => {
      const { outbox } = subject;
      let over = false;
      const late = Promise.withResolvers<unknown[]>();
      const ended = outbox.transaction(async (tx) => {
        await subject.place('a');
        tx.add(Placed, { id: 'a' });
        const work = async (): Promise<unknown[]> => [
          await codeOf(() => outbox.add(Placed, { id: 'late' })),
          await codeOf(() => tx.add(Placed, { id: 'late' })),
          await codeOf(() => tx.afterCommit(() => undefined)),
          await codeOf(() => subject.place('late')),
        ];
        later(function again() {
          if (over) late.resolve(work());
          else later(again);
        });
        if (failure) throw failure;
      });
      expect(await ended.catch((error: unknown) => error)).toBe(failure);
      over = true;
      expect(await late.promise).toEqual(Array(4).fill('UNIT_CLOSED'));
      await order('next');
      expect(await committed()).toEqual(expected);
    });

    it('neither writes nor adds from setInterval, which was part of it before', async () => {
      const { outbox } = subject;
      const [begun, late] = [Promise.withResolvers<unknown>(), Promise.withResolvers<unknown>()];
      let over = false;
      const ended = outbox.transaction(async (tx) => {
        await subject.place('a');
        const timer = setInterval(() => {
          const isLate = over;
          const adding = codeOf(() => outbox.add(Placed, { id: 'a' }));
          if (!isLate) begun.resolve(adding);
          else {
            clearInterval(timer);
            late.resolve(adding);
          }
        }, 1);
        expect(await begun.promise).toBe('done');
        expect(tx.signal.aborted).toBe(false);
        if (failure) throw failure;
      });
      expect(await ended.catch((error: unknown) => error)).toBe(failure);
      over = true;
      expect(await late.promise).toBe('UNIT_CLOSED');
      const [orders, events] = await committed();
      expect([orders, [...new Set(events)]]).toEqual(failure ? [[], []] : [['a'], ['a']]);
    });
  });

  it('is refused while COMMIT is under way', async () => {
    const { outbox } = subject;
    const [sent, go] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    let late: Promise<unknown[]> | undefined;
    tap.holdAt({
      text: 'COMMIT',
      until: () => {
        sent.resolve();
        return go.promise;
      },
    });
    const ended = outbox.transaction(async (tx) => {
      await subject.place('a');
      tx.add(Placed, { id: 'a' });
      late = sent.promise.then(async () => [
        await codeOf(() => tx.add(Placed, { id: 'late' })),
        await codeOf(() => subject.place('late')),
        await codeOf(() => outbox.transaction(() => subject.place('late'))),
      ]);
    });
    await sent.promise;
    expect(await late).toEqual(['UNIT_CLOSED', 'UNIT_CLOSED', 'UNIT_CLOSED']);
    go.resolve();
    await ended;
    expect(await committed()).toEqual([['a'], ['a']]);
  });

  it('of a Promise.all with a branch that rejects is rolled back with the rest, and refused from then on', async () => {
    const { outbox } = subject;
    const declined = new Error('declined');
    const wrote = Promise.withResolvers<void>();
    let branch: Promise<unknown> | undefined;
    const endless = async (): Promise<void> => {
      for (let n = 0; ; n += 1) {
        await subject.place(`o${n}`);
        outbox.add(Placed, { id: `o${n}` });
        if (n === 2) wrote.resolve();
      }
    };
    const rejecting = async (): Promise<never> => {
      await wrote.promise;
      throw declined;
    };
    const ended = outbox.transaction(async () => {
      branch = codeOf(endless);
      await Promise.all([branch, rejecting()]);
    });
    await expect(ended).rejects.toBe(declined);
    expect(await branch).toBe('UNIT_CLOSED');
    await order('next');
    expect(await committed()).toEqual([['next'], ['next']]);
  });

  it('of an inner call that is not awaited is refused, and the outer one stands', async () => {
    const { outbox } = subject;
    let inner: Promise<unknown> | undefined;
    const over = Promise.withResolvers<void>();
    await outbox.transaction(async (tx) => {
      await subject.place('a');
      tx.add(Placed, { id: 'a' });
      inner = codeOf(() =>
        outbox.transaction(async () => {
          await over.promise;
          outbox.add(Placed, { id: 'late' });
        }),
      );
    });
    over.resolve();
    expect(await inner).toBe('UNIT_CLOSED');
    expect(await committed()).toEqual([['a'], ['a']]);
  });

  it('with the handle of a transaction of somebody else, after its end, says NO_OPEN_TRANSACTION', async () => {
    let kept: ((event: EventDefinition<string, { id: string }>, id: string) => Promise<unknown>) | undefined;
    await subject.foreign(async (addTo) => {
      await addTo(Placed, 'a');
      kept = addTo;
    });
    await expect(kept?.(Placed, 'late')).rejects.toMatchObject({ code: 'NO_OPEN_TRANSACTION' });
    expect(await committed()).toEqual([[], ['a']]);
  });
});
