import { Transactional } from '@txbox/core';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { Placed } from './lane.ts';
import { SUBJECTS, type Subject } from './subject.ts';

const codeOf = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => 'resolved',
    (error: { code?: unknown }) => error.code ?? error,
  );

describe.each(SUBJECTS)('propagation with %s', (_name, start) => {
  let subject: Subject;
  beforeAll(async () => {
    subject = await start();
  });
  afterAll(() => subject.close());
  beforeEach(() => subject.database.clear());

  const committed = async (): Promise<[string[], string[]]> => [await subject.database.orders(), await subject.database.events()];
  const placeAndAdd = async (id: string): Promise<void> => {
    await subject.place(id);
    subject.outbox.add(Placed, { id });
  };

  it('requires-new commits by itself, whatever becomes of the one around', async () => {
    const { outbox } = subject;
    const outer = outbox.transaction(async () => {
      await placeAndAdd('outer');
      await outbox.transaction({ propagation: 'requires-new', isolationLevel: 'SERIALIZABLE', retry: { maxAttempts: 2 } }, async (tx) => {
        await placeAndAdd('new');
        tx.add(Placed, { id: 'new too' });
      });
      expect(await committed()).toEqual([['new'], ['new', 'new too']]);
      await expect(
        outbox.transaction({ propagation: 'requires-new' }, async () => {
          await placeAndAdd('undone');
          throw new Error('only this one');
        }),
      ).rejects.toThrow('only this one');
      await placeAndAdd('outer again');
      throw new Error('declined');
    });
    await expect(outer).rejects.toThrow('declined');
    expect(await committed()).toEqual([['new'], ['new', 'new too']]);
  });

  it('nested undoes what it did, with its events, its callbacks and what was nested in it, and nothing else', async () => {
    const { outbox } = subject;
    const told = vi.fn();
    await outbox.transaction(async (tx) => {
      await placeAndAdd('before');
      const failing = outbox.transaction({ propagation: 'nested' }, async (nested) => {
        await placeAndAdd('undone');
        nested.add(Placed, { id: 'undone too' });
        nested.afterCommit(() => told('undone'));
        await outbox.transaction({ propagation: 'nested' }, async () => {
          await placeAndAdd('inner');
        });
        throw new Error('declined');
      });
      await expect(failing).rejects.toThrow('declined');
      const result = await outbox.transaction({ propagation: 'nested' }, async (nested) => {
        await placeAndAdd('kept');
        nested.afterCommit(() => told('kept'));
        return 7;
      });
      expect(result).toBe(7);
      tx.add(Placed, { id: 'after' });
    });
    expect(await committed()).toEqual([
      ['before', 'kept'],
      ['before', 'kept', 'after'],
    ]);
    expect(told.mock.calls).toEqual([['kept']]);
  });

  it('nested begins a transaction where none is open, with all its options', async () => {
    const { outbox } = subject;
    await outbox.transaction({ propagation: 'nested', retry: { maxAttempts: 2 }, timeoutMs: 60_000 }, () => placeAndAdd('a'));
    expect(await committed()).toEqual([['a'], ['a']]);
  });

  it('nested ones that are asked for at the same time come one after another', async () => {
    const { outbox } = subject;
    const nested = (id: string): Promise<void> =>
      outbox.transaction({ propagation: 'nested' }, async () => {
        await placeAndAdd(id);
        if (id === 'b') throw new Error('declined');
        await subject.query('SELECT 1');
      });
    const outcomes = await outbox.transaction(() => Promise.allSettled(['a', 'b', 'c'].map(nested)));
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect(await committed()).toEqual([
      ['a', 'c'],
      ['a', 'c'],
    ]);
  });

  it('nested dooms the whole when it would undo what ran beside it', async () => {
    const { outbox } = subject;
    for (const beside of ['a row', 'an event', 'a look'] as const) {
      await subject.database.clear();
      const begun = Promise.withResolvers<void>();
      const done = Promise.withResolvers<void>();
      const both = outbox.transaction((tx) =>
        Promise.allSettled([
          outbox.transaction({ propagation: 'nested' }, async () => {
            await placeAndAdd('nested');
            begun.resolve();
            await done.promise;
            throw new Error('declined');
          }),
          (async () => {
            await begun.promise;
            if (beside === 'a row') await subject.place('beside');
            else if (beside === 'an event') tx.add(Placed, { id: 'beside' });
            else await subject.query('SELECT * FROM orders');
            done.resolve();
          })(),
        ]),
      );
      if (beside === 'a look') await both;
      else await expect(both).rejects.toMatchObject({ code: 'UNIT_DOOMED', message: expect.stringContaining('another branch') });
      expect(await committed()).toEqual([[], []]);
    }
  });

  it('nested that is not awaited dooms the whole, and what it does after its end is refused', async () => {
    const { outbox } = subject;
    const go = Promise.withResolvers<void>();
    let late: Promise<unknown> = Promise.resolve();
    const whole = outbox.transaction(async () => {
      await placeAndAdd('a');
      const begun = Promise.withResolvers<void>();
      late = codeOf(
        outbox.transaction({ propagation: 'nested' }, async () => {
          begun.resolve();
          await go.promise;
        }),
      );
      await begun.promise;
    });
    await expect(whole).rejects.toMatchObject({ code: 'UNIT_DOOMED', message: expect.stringContaining('nested') });
    go.resolve();
    expect(await late).toMatch(/^UNIT_/);
    expect(await committed()).toEqual([[], []]);

    const over = Promise.withResolvers<void>();
    const codes: Promise<unknown>[] = [];
    await outbox.transaction(async () => {
      await outbox.transaction({ propagation: 'nested' }, async (nested) => {
        await placeAndAdd('kept');
        const afterwards = async (work: () => unknown): Promise<unknown> => {
          await over.promise;
          return await codeOf((async () => await work())());
        };
        codes.push(
          afterwards(() => subject.place('late')),
          afterwards(() => outbox.add(Placed, { id: 'late' })),
          afterwards(() => outbox.transaction(() => subject.place('late'))),
        );
        expect(nested.signal.aborted).toBe(false);
      });
      over.resolve();
      expect(await Promise.all(codes)).toEqual(['UNIT_CLOSED', 'UNIT_CLOSED', 'UNIT_CLOSED']);
      await placeAndAdd('outer');
    });
    expect(await committed()).toEqual([
      ['kept', 'outer'],
      ['kept', 'outer'],
    ]);
  });

  it('mandatory joins, or refuses where nothing is open', async () => {
    const { outbox } = subject;
    const mandatory = (): Promise<void> => outbox.transaction({ propagation: 'mandatory' }, () => placeAndAdd('a'));
    expect(await codeOf(mandatory())).toBe('PROPAGATION_REFUSED');
    expect(await committed()).toEqual([[], []]);
    await outbox.transaction(mandatory);
    expect(await committed()).toEqual([['a'], ['a']]);
  });

  it('never refuses inside a transaction, and runs without one elsewhere', async () => {
    const { outbox } = subject;
    const never = (): Promise<unknown> => outbox.transaction({ propagation: 'never' }, () => subject.place('a'));
    expect(await codeOf(outbox.transaction(never))).toBe('PROPAGATION_REFUSED');
    await never();
    expect(await committed()).toEqual([['a'], []]);
  });

  it('supports joins where a transaction is open, and runs without one elsewhere', async () => {
    const { outbox } = subject;
    const supports = (id: string): Promise<unknown> => outbox.transaction({ propagation: 'supports' }, () => subject.place(id));
    const declined = outbox.transaction(async () => {
      await supports('undone');
      throw new Error('declined');
    });
    await expect(declined).rejects.toThrow('declined');
    await supports('alone');
    expect(await committed()).toEqual([['alone'], []]);
    const refused = outbox.transaction({ propagation: 'supports' }, async (tx) => {
      expect(tx.attempt).toBe(1);
      expect(tx.signal.aborted).toBe(false);
      expect(() => tx.afterCommit(() => undefined)).toThrowError(expect.objectContaining({ code: 'NO_UNIT_OF_WORK' }));
      tx.add(Placed, { id: 'nowhere' });
    });
    expect(await codeOf(refused)).toBe('NO_UNIT_OF_WORK');
  });

  it('not-supported steps out of the open transaction', async () => {
    const { outbox } = subject;
    const declined = outbox.transaction(async () => {
      await subject.place('undone');
      await outbox.transaction({ propagation: 'not-supported' }, async (tx) => {
        await subject.place('outside');
        expect(() => tx.add(Placed, { id: 'nowhere' })).toThrowError(expect.objectContaining({ code: 'NO_UNIT_OF_WORK' }));
      });
      expect(await committed()).toEqual([['outside'], []]);
      throw new Error('declined');
    });
    await expect(declined).rejects.toThrow('declined');
    expect(await committed()).toEqual([['outside'], []]);
  });

  it('is the same for @Transactional', async () => {
    class Service {
      @Transactional({ propagation: 'mandatory' })
      async mandatory(id: string): Promise<void> {
        await placeAndAdd(id);
      }

      @Transactional({ propagation: 'nested' })
      async nested(id: string): Promise<void> {
        await placeAndAdd(id);
        throw new Error('declined');
      }

      @Transactional({ propagation: 'requires-new' })
      async apart(id: string): Promise<void> {
        await placeAndAdd(id);
      }
    }
    const service = new Service();
    expect(await codeOf(service.mandatory('a'))).toBe('PROPAGATION_REFUSED');
    const declined = subject.outbox.transaction(async () => {
      await service.mandatory('joined');
      await service.nested('undone').catch(() => undefined);
      await service.apart('apart');
      throw new Error('declined');
    });
    await expect(declined).rejects.toThrow('declined');
    expect(await committed()).toEqual([['apart'], ['apart']]);
  });

  it('refuses what a call that joins cannot have', async () => {
    const { outbox } = subject;
    await outbox.transaction({ isolationLevel: 'READ COMMITTED' }, async () => {
      const inner = (options: object): Promise<unknown> => codeOf(outbox.transaction(options, async () => undefined));
      for (const options of [{ retry: { maxAttempts: 1 } }, { idempotencyKey: 'k' }, { timeoutMs: 10 }, { readOnly: true }]) {
        expect(await inner(options)).toBe('PROPAGATION_REFUSED');
        expect(await inner({ ...options, propagation: 'nested' })).toBe('PROPAGATION_REFUSED');
      }
      expect(await inner({ isolationLevel: 'REPEATABLE READ' })).toBe('ISOLATION_TOO_WEAK');
      expect(await inner({ isolationLevel: 'SERIALIZABLE', propagation: 'nested' })).toBe('ISOLATION_TOO_WEAK');
      expect(await inner({ isolationLevel: 'READ UNCOMMITTED', readOnly: false })).toBe('resolved');
      await placeAndAdd('a');
    });
    expect(await committed()).toEqual([['a'], ['a']]);
  });
});

describe.each(SUBJECTS)('a pool that is too small with %s', (_name, start) => {
  it('says so of requires-new on one connection, and goes on', async () => {
    const subject = await start({ connections: 1 });
    try {
      const { outbox, database } = subject;
      await outbox.transaction(async (tx) => {
        await subject.place('a');
        tx.add(Placed, { id: 'a' });
        expect(await codeOf(outbox.transaction({ propagation: 'requires-new' }, async () => undefined))).toBe('PROPAGATION_REFUSED');
        expect(await codeOf(outbox.outside(() => outbox.transaction(async () => undefined)))).toBe('PROPAGATION_REFUSED');
      });
      expect([await database.orders(), await database.events()]).toEqual([['a'], ['a']]);
      await outbox.transaction({ propagation: 'requires-new' }, () => subject.place('b'));
    } finally {
      await subject.close();
    }
  });

  it('refuses the one that would make all wait for each other, and lets the others through', async () => {
    const subject = await start({ connections: 3 });
    try {
      const { outbox, database } = subject;
      const begun: string[] = [];
      const all = Promise.withResolvers<void>();
      const outcomes = await Promise.all(
        ['a', 'b', 'c'].map((id) =>
          outbox.transaction(async () => {
            begun.push(id);
            if (begun.length === 3) all.resolve();
            await all.promise;
            return await codeOf(outbox.transaction({ propagation: 'requires-new' }, () => subject.place(id)));
          }),
        ),
      );
      expect(outcomes.toSorted()).toEqual(['PROPAGATION_REFUSED', 'resolved', 'resolved']);
      expect(await database.orders()).toHaveLength(2);
    } finally {
      await subject.close();
    }
  });

  it('does not refuse to wait for a connection that comes free', async () => {
    const subject = await start({ connections: 2 });
    try {
      const { outbox, database } = subject;
      const apart = (id: string): Promise<unknown> => outbox.transaction({ propagation: 'requires-new' }, () => subject.place(id));
      await outbox.transaction(() => Promise.all(['a', 'b', 'c'].map(apart)));
      expect(await database.orders()).toEqual(['a', 'b', 'c']);
    } finally {
      await subject.close();
    }
  });
});
