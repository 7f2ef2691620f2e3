import { newMessageIdBytes, type SqlSession } from '@txbox/core/spi';
import type { InboxStore, RecordOutcome } from '@txbox/inbox/store';
import { expect } from 'vitest';
import { uniqueName } from './sample.ts';
import { conformanceSuite, type SuiteOptions } from './suite.ts';

/** `open-recorders`: two transactions may both have recorded something and be open. */
export type InboxStoreFeature = 'open-recorders';

/** A consumer's transaction on a connection of its own. */
export interface InboxTransaction {
  readonly session: SqlSession;
  commit(): Promise<void>;
  rollback(): Promise<void>;
}

/** An inbox of its own, empty at first. */
export interface InboxStoreBackend {
  readonly store: InboxStore;
  begin(): Promise<InboxTransaction>;
  dispose(): Promise<void>;
}

/** What every store of an inbox guarantees (P-I1, P-I2). */
export function inboxStoreSuite(
  backend: string,
  make: () => Promise<InboxStoreBackend>,
  options: SuiteOptions<InboxStoreFeature> = {},
): void {
  conformanceSuite<InboxStoreBackend, InboxStoreFeature>('inbox store', backend, make, options, (claim) => {
    claim('records what is new, once', async (inbox) => {
      const group = uniqueName('group');
      const ids = newIds(3);
      expect(await process(inbox, group, ids)).toBe('recorded');
      for (const id of ids) expect(await process(inbox, group, [id])).toBe('duplicate');
      expect(await knownOf(inbox, group, [...ids, ...newIds(2)])).toEqual(hex(ids));
    });

    claim('forgets what was rolled back', async (inbox) => {
      const group = uniqueName('group');
      const ids = newIds(2);
      const transaction = await inbox.begin();
      expect(await inbox.store.record(transaction.session, group, ids)).toBe('recorded');
      await transaction.rollback();
      expect(await knownOf(inbox, group, ids)).toEqual([]);
      expect(await process(inbox, group, ids)).toBe('recorded');
    });

    claim('forgets what it is told to, of that group alone', async (inbox) => {
      const [group, other] = [uniqueName('group'), uniqueName('other')];
      const [first, second] = newIds(2) as [Buffer, Buffer];
      for (const name of [group, other]) await process(inbox, name, [first, second]);
      const transaction = await inbox.begin();
      await inbox.store.forget(transaction.session, group, [first, ...newIds(1)]);
      await inbox.store.forget(transaction.session, group, []);
      await transaction.commit();
      expect(await knownOf(inbox, group, [first, second])).toEqual(hex([second]));
      expect(await knownOf(inbox, other, [first, second])).toEqual(hex([first, second]));
      expect(await process(inbox, group, [first])).toBe('recorded');
    });

    claim('refuses a batch for one duplicate in it, and then tells which', async (inbox) => {
      const group = uniqueName('group');
      const ids = newIds(200);
      const processed = [ids[17], ids[199]] as Buffer[];
      await process(inbox, group, processed);
      expect(await process(inbox, group, ids)).toBe('duplicate');
      expect(await knownOf(inbox, group, ids)).toEqual(hex(processed));
      const fresh = ids.filter((id) => !processed.includes(id));
      expect(await process(inbox, group, fresh)).toBe('recorded');
      expect(await knownOf(inbox, group, ids)).toEqual(hex(ids));
    });

    claim('keeps groups apart, also those that differ in case, blanks or leading zeros only', async (inbox) => {
      const name = uniqueName('group');
      const [id] = newIds(1) as [Buffer];
      for (const group of [name, name.toUpperCase(), `${name} `, ` ${name}`, `${name}é`, '42', '042', '42.0', '4.2e1']) {
        expect(await process(inbox, group, [id])).toBe('recorded');
        expect(await process(inbox, group, [id])).toBe('duplicate');
      }
    });

    claim('keeps ids apart that differ in one byte, whatever its value', async (inbox) => {
      const group = uniqueName('group');
      const ids = Array.from({ length: 256 }, (_, byte) => Buffer.from([...Array(15).fill(0x41), byte]));
      ids.push(Buffer.alloc(16, 0x00), Buffer.alloc(16, 0xff), Buffer.alloc(16, 0x20), Buffer.alloc(16, 0x27), Buffer.alloc(16, 0x61));
      expect(await process(inbox, group, ids)).toBe('recorded');
      expect(await knownOf(inbox, group, ids)).toEqual(hex(ids));
    });

    claim('lets exactly one of two win that record the same at once, in opposite order', async (inbox) => {
      for (let round = 0; round < 10; round++) {
        const group = uniqueName('group');
        const ids = newIds(10);
        const outcomes = await Promise.all([process(inbox, group, ids), process(inbox, group, ids.toReversed())]);
        expect(outcomes.filter((outcome) => outcome === 'recorded')).toHaveLength(1);
        expect(await knownOf(inbox, group, ids)).toEqual(hex(ids));
      }
    });

    claim(
      'never takes what another open transaction holds, nor calls it processed',
      async (inbox) => {
        const group = uniqueName('group');
        const [id, other] = newIds(2) as [Buffer, Buffer];
        const holder = await inbox.begin();
        expect(await inbox.store.record(holder.session, group, [id])).toBe('recorded');
        expect(await knownOf(inbox, group, [id])).toEqual([]);
        expect(await process(inbox, group, [id, other])).toBe('in-progress');
        await holder.rollback();
        expect(await process(inbox, group, [id, other])).toBe('recorded');
      },
      { needs: 'open-recorders' },
    );

    claim(
      'lets two record different things side by side',
      async (inbox) => {
        const group = uniqueName('group');
        const [one, two] = newIds(2) as [Buffer, Buffer];
        const [first, second] = [await inbox.begin(), await inbox.begin()];
        expect(await inbox.store.record(first.session, group, [one])).toBe('recorded');
        expect(await inbox.store.record(second.session, group, [two])).toBe('recorded');
        await second.commit();
        await first.commit();
        expect(await knownOf(inbox, group, [one, two])).toEqual(hex([one, two]));
      },
      { needs: 'open-recorders' },
    );

    claim('has nothing to say about nothing', async (inbox) => {
      expect(await process(inbox, uniqueName('group'), [])).toBe('recorded');
      expect(await knownOf(inbox, uniqueName('group'), [])).toEqual([]);
    });
  });
}

function newIds(count: number): Buffer[] {
  return Array.from({ length: count }, () => newMessageIdBytes());
}

function hex(ids: readonly Buffer[]): string[] {
  return ids.map((id) => id.toString('hex')).sort();
}

/** Records and commits, or rolls back what was refused. */
async function process(inbox: InboxStoreBackend, group: string, ids: readonly Buffer[]): Promise<RecordOutcome> {
  const transaction = await inbox.begin();
  const outcome = await inbox.store.record(transaction.session, group, ids);
  if (outcome === 'recorded') await transaction.commit();
  else await transaction.rollback();
  return outcome;
}

async function knownOf(inbox: InboxStoreBackend, group: string, ids: readonly Buffer[]): Promise<string[]> {
  const transaction = await inbox.begin();
  const known = await inbox.store.known(transaction.session, group, ids);
  await transaction.rollback();
  return hex(known);
}
