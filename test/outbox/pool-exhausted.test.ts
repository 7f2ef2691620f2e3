import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { Placed } from './lane.ts';
import { SUBJECTS, type Subject } from './subject.ts';

/** Options of the pool, and how many of the transactions begun at once it serves. */
const IMPATIENT = [
  ['does not let wait', { waitForConnections: false }, 1],
  ['lets one wait', { queueLimit: 1 }, 2],
] as const;

describe.each(SUBJECTS)('an exhausted pool with %s', (_name, start) => {
  const order = (subject: Subject, id: string, until: Promise<unknown> = Promise.resolve()): Promise<string> =>
    subject.outbox.transaction(async (tx) => {
      await subject.place(id);
      tx.add(Placed, { id });
      await until;
      return id;
    });

  it.each(IMPATIENT)('that %s says DATABASE_UNAVAILABLE, nothing is done, and the same call works later', async (_what, client, served) => {
    const subject = await start({ connections: 1, client, outbox: { wake: false } });
    const { database } = subject;
    const release = Promise.withResolvers<void>();
    try {
      const begun = Promise.withResolvers<void>();
      const first = subject.outbox.transaction(async (tx) => {
        await subject.place('first');
        tx.add(Placed, { id: 'first' });
        begun.resolve();
        await release.promise;
      });
      await begun.promise;
      const rest = ['a', 'b', 'c'].map((id) => order(subject, id).catch((error: unknown) => error));
      for (const refused of await Promise.all(rest.slice(served - 1))) {
        expect(refused).toMatchObject({
          code: 'DATABASE_UNAVAILABLE',
          retryable: true,
          message: expect.stringContaining('Nothing was done'),
        });
      }
      release.resolve();
      await first;
      await Promise.all(rest);
      for (const id of ['a', 'b', 'c'].slice(served - 1)) expect(await order(subject, id)).toBe(id);
      expect([await database.orders(), (await database.events()).toSorted()]).toEqual([
        ['a', 'b', 'c', 'first'],
        ['a', 'b', 'c', 'first'],
      ]);
    } finally {
      release.resolve();
      await subject.close();
    }
  });

  it('serves many more transactions than it has connections, one after another, each with its own event', async () => {
    const subject = await start({ connections: 2, outbox: { wake: false } });
    const { database } = subject;
    try {
      const ids = Array.from({ length: 60 }, (_, n) => `o${100 + n}`);
      await Promise.all(ids.map((id) => order(subject, id, sleep(1))));
      expect([await database.orders(), (await database.events()).toSorted()]).toEqual([ids, ids]);
    } finally {
      await subject.close();
    }
  });
});
