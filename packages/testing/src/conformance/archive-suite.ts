import {
  type DeadLetterHead,
  type DeadLetterStore,
  decodeHeaders,
  type EncodedMessage,
  encodeHeaders,
  newMessageIdBytes,
} from '@txbox/core/spi';
import { type ArchivedMessage, type ArchiveFilter, type OutboxArchive, type PendingRow, type RowHead, shardOf } from '@txbox/outbox/store';
import { expect } from 'vitest';
import type { OutboxStoreBackend, OutboxStoreFeature } from './outbox-store-backend.ts';
import { ALL_BYTES, AWKWARD_HEADERS, sampleMessage, uniqueName } from './sample.ts';
import { conformanceSuite, type SuiteOptions } from './suite.ts';

/** An outbox of its own whose store archives what it settles. */
export interface ArchiveBackend extends OutboxStoreBackend {
  readonly archive: OutboxArchive;
  /** The dead letters of its relays; those that are redriven are archived. */
  readonly deadLetters: DeadLetterStore;
  /** Makes archived messages as old as that. */
  backdate(ids: readonly Buffer[], ageMs: number): Promise<void>;
}

const HOUR_MS = 3_600_000;

/** What an archive guarantees: `OutboxSettler` of a store that archives, and `OutboxArchive`. */
export function archiveSuite(
  backend: string,
  make: () => Promise<ArchiveBackend>,
  options: SuiteOptions<Extract<OutboxStoreFeature, 'late-commits'>> = {},
): void {
  conformanceSuite<ArchiveBackend, Extract<OutboxStoreFeature, 'late-commits'>>('archive', backend, make, options, (claim) => {
    claim('is empty at first', async ({ archive }) => {
      expect(await archive.span({})).toEqual({ after: 0, upTo: 0 });
      expect(await all(archive, {})).toEqual([]);
    });

    for (const form of ['range', 'each'] as const) {
      claim(`keeps what it settles, whole, in the order of the positions (${form})`, async (backend) => {
        const topic = uniqueName('whole');
        const key = Buffer.from('k');
        const parts = { topic, key, type: 'order.paid', sequence: 7, headers: encodeHeaders(AWKWARD_HEADERS), payload: ALL_BYTES };
        const messages = [sampleMessage(parts), sampleMessage({ ...parts, sequence: null, payload: Buffer.alloc(0) })];
        const rows = await added(backend, messages);
        expect(await backend.store.settle(rows, form)).toBe(2);
        expect(await rowsOf(backend, messages)).toEqual([]);
        const archived = await all(backend.archive, { topic });
        expect(archived.map(({ id }) => id)).toEqual(messages.map(({ id }) => id));
        expect(archived[0]).toMatchObject({ topic, key, type: 'order.paid', sequence: 7, payload: ALL_BYTES, bytes: rows[0]?.bytes });
        expect(decodeHeaders(archived[0]?.headers as Buffer)).toEqual(AWKWARD_HEADERS);
        expect(archived[1]).toMatchObject({ sequence: null, payload: Buffer.alloc(0) });
      });

      claim(`keeps once what is settled twice, at once or one after the other (${form})`, async (backend) => {
        const topic = uniqueName('once');
        const rows = await added(
          backend,
          Array.from({ length: 1_100 }, () => sampleMessage({ topic })),
        );
        const settled = await Promise.all([backend.store.settle(rows, form), backend.store.settle(rows, form)]);
        expect(settled[0] + settled[1]).toBe(rows.length);
        expect(await backend.store.settle(rows, form)).toBe(0);
        expect((await all(backend.archive, { topic })).map(({ id }) => id)).toEqual(rows.map(({ id }) => id));
      });

      claim(`neither keeps nor deletes another event at a settled position (${form})`, async (backend) => {
        const topic = uniqueName('reissued');
        const message = sampleMessage({ topic });
        const [row] = await added(backend, [message]);
        expect(await backend.store.settle([{ ...(row as RowHead), id: newMessageIdBytes() }], form)).toBe(0);
        expect(await all(backend.archive, { topic })).toEqual([]);
        expect(await rowsOf(backend, [message])).toHaveLength(1);
      });

      claim(
        `does not wait for an uncommitted row between those it is to keep (${form})`,
        async (backend) => {
          const parts = { topic: uniqueName('between'), key: Buffer.from('one key') };
          const before = sampleMessage(parts);
          const after = sampleMessage(parts);
          const uncommitted = sampleMessage(parts);
          await added(backend, [before]);
          const writing = await backend.begin();
          await writing.insert([uncommitted]);
          await added(backend, [after]);
          expect(await backend.store.settle(await rowsOf(backend, [before, after]), form)).toBe(2);
          await writing.commit();
          expect(await rowsOf(backend, [uncommitted])).toHaveLength(1);
          expect((await all(backend.archive, { topic: parts.topic })).map(({ id }) => id)).toEqual([before.id, after.id]);
        },
        { needs: 'late-commits' },
      );
    }

    claim('keeps rows of several shards that are settled in one go, each key in order', async (backend) => {
      const topic = uniqueName('shards');
      const keys = ['a', 'b', 'c', 'd', 'e'].map((key) => Buffer.from(key));
      const messages = Array.from({ length: 60 }, (_, n) => sampleMessage({ topic, key: keys[n % keys.length] as Buffer }));
      const rows = await added(backend, messages);
      expect(await backend.store.settle(rows, 'each')).toBe(60);
      const archived = await all(backend.archive, { topic });
      for (const key of keys) {
        const expected = messages.filter((message) => message.key?.equals(key)).map(({ id }) => id);
        expect(archived.filter((message) => message.key?.equals(key)).map(({ id }) => id)).toEqual(expected);
      }
    });

    claim('keeps rows whose bytes are too many for one transaction', async (backend) => {
      const topic = uniqueName('large');
      const payload = Buffer.alloc(3_000_000, 7);
      const rows: PendingRow[] = [];
      for (let n = 0; n < 4; n++) rows.push(...(await added(backend, [sampleMessage({ topic, payload })])));
      expect(await backend.store.settle(rows, 'each')).toBe(4);
      const first = await backend.archive.read({ topic }, await backend.archive.span({}), 10, 7_000_000);
      expect(first.messages.map(({ id }) => id)).toEqual(rows.slice(0, 2).map(({ id }) => id));
      expect((await all(backend.archive, { topic })).every((message) => message.payload.equals(payload))).toBe(true);
    });

    claim(
      'keeps dead letters that are redriven, whole and once, in the order of their key; not those that are discarded',
      async (backend) => {
        const { store, deadLetters, archive } = backend;
        const parts = { topic: uniqueName('redriven'), key: Buffer.from('k'), headers: encodeHeaders(AWKWARD_HEADERS), payload: ALL_BYTES };
        const messages = Array.from({ length: 5 }, () => sampleMessage(parts));
        const [before, head, ...followers] = await added(backend, messages);
        await store.settle([before as PendingRow], 'each');
        await store.park(head as PendingRow, { reason: 'TOO_LARGE', attempts: 1, partition: 0, mayBePublished: false });
        await store.moveFollowers(followers.slice(0, 2));
        const [first, second, third] = await deadLetters.list({ topic: parts.topic }, 0, 10);
        const both = [first, second] as DeadLetterHead[];
        const redrive = { action: 'redrive', actor: 'suite' } as const;
        const removed = await Promise.all([deadLetters.remove(both, redrive), deadLetters.remove(both, redrive)]);
        expect(removed.sort()).toEqual([0, 2]);
        await deadLetters.takeOut(third as DeadLetterHead, { action: 'discard', actor: 'suite' });
        await store.settle(followers.slice(2), 'each');
        const kept = await all(archive, { topic: parts.topic });
        expect(kept.map(({ id }) => id)).toEqual([0, 1, 2, 4].map((index) => messages[index]?.id));
        for (const { place: _place, id: _id, publishedAt, ...whole } of kept) {
          const { place: _first, id: _firstId, publishedAt: atFirst, ...same } = kept[0] as ArchivedMessage;
          expect(whole).toEqual(same);
          expect(publishedAt >= atFirst).toBe(true);
        }
      },
    );

    claim('finds by id, topic, key and type, byte by byte', async (backend) => {
      const topic = uniqueName('find');
      const key = Buffer.from('abc');
      const messages = [
        sampleMessage({ topic, key }),
        sampleMessage({ topic, key: Buffer.from('ABC') }),
        sampleMessage({ topic, key: null, type: 'Order.paid' }),
        sampleMessage({ topic: topic.toUpperCase(), key }),
      ];
      await archived(backend, messages);
      const [one, other, keyless, elsewhere] = messages.map(({ id }) => id);
      const found = async (filter: ArchiveFilter): Promise<Buffer[]> => (await all(backend.archive, filter)).map(({ id }) => id);
      expect(await found({ topic })).toEqual([one, other, keyless]);
      expect(await found({ topic, key })).toEqual([one]);
      expect(await found({ topic, type: 'Order.paid' })).toEqual([keyless]);
      expect(await found({ topic: topic.toUpperCase() })).toEqual([elsewhere]);
      expect(await found({ id: other as Buffer })).toEqual([other]);
      expect(await found({ id: other as Buffer, topic: topic.toUpperCase() })).toEqual([]);
    });

    claim('finds by the time of publishing, from the one instant until before the other', async (backend) => {
      const topic = uniqueName('time');
      const messages = Array.from({ length: 3 }, () => sampleMessage({ topic }));
      await archived(backend, messages);
      for (const [index, { id }] of messages.entries()) await backend.backdate([id], (3 - index) * HOUR_MS);
      const [first, second, third] = await all(backend.archive, { topic });
      expect(second?.publishedAt).toMatch(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}$/);
      const found = async (filter: ArchiveFilter): Promise<Buffer[]> =>
        (await all(backend.archive, { topic, ...filter })).map(({ id }) => id);
      const since = second?.publishedAt as string;
      expect(await found({ since })).toEqual([second?.id, third?.id]);
      expect(await found({ until: since })).toEqual([first?.id]);
      expect(await found({ since, until: third?.publishedAt as string })).toEqual([second?.id]);
      const span = await backend.archive.span({ since, until: third?.publishedAt as string });
      expect(span.after).toBeLessThan(second?.place as number);
      expect(span.upTo).toBeGreaterThanOrEqual(second?.place as number);
    });

    claim('counts by topic, and reads in parts that go on where the last one ended', async (backend) => {
      const topic = uniqueName('count');
      const messages = Array.from({ length: 25 }, () => sampleMessage({ topic, payload: Buffer.alloc(10) }));
      await archived(backend, messages);
      await archived(backend, [sampleMessage({ topic: uniqueName('other') })]);
      const span = await backend.archive.span({});
      let counted = 0;
      for (let after = span.after; after < span.upTo; ) {
        const { topics, upTo } = await backend.archive.count({ topic }, { ...span, after });
        counted += topics.reduce((sum, one) => sum + (one.topic === topic ? one.messages : 1_000), 0);
        after = upTo;
      }
      expect(counted).toBe(25);
      const inParts: Buffer[] = [];
      for (let after = span.after; after < span.upTo; ) {
        const part = await backend.archive.read({ topic }, { ...span, after }, 10, 1_000_000);
        expect(part.messages.length).toBeLessThanOrEqual(10);
        expect(part.upTo).toBeGreaterThan(after);
        inParts.push(...part.messages.map(({ id }) => id));
        after = part.upTo;
      }
      expect(inParts).toEqual(messages.map(({ id }) => id));
    });

    claim('prunes what is old, the oldest first, and nothing else', async (backend) => {
      const topic = uniqueName('prune');
      const messages = Array.from({ length: 6 }, () => sampleMessage({ topic }));
      await archived(backend, messages);
      const ids = messages.map(({ id }) => id);
      await backend.backdate(ids.slice(0, 2), 30 * HOUR_MS);
      await backend.backdate(ids.slice(2, 4), 40 * HOUR_MS);
      await backend.backdate(ids.slice(4, 5), 20 * HOUR_MS);
      expect(await backend.archive.prune(24 * HOUR_MS, 2)).toBe(2);
      expect((await all(backend.archive, { topic })).map(({ id }) => id)).toEqual([...ids.slice(0, 2), ...ids.slice(4)]);
      expect(await backend.archive.prune(24 * HOUR_MS, 10)).toBe(2);
      expect(await backend.archive.prune(24 * HOUR_MS, 10)).toBe(0);
      expect((await all(backend.archive, { topic })).map(({ id }) => id)).toEqual(ids.slice(4));
    });
  });
}

/** Adds messages in a transaction; their rows, in the order of the messages. */
async function added(backend: ArchiveBackend, messages: readonly EncodedMessage[]): Promise<PendingRow[]> {
  const transaction = await backend.begin();
  await transaction.insert(messages);
  await transaction.commit();
  return await rowsOf(backend, messages);
}

async function archived(backend: ArchiveBackend, messages: readonly EncodedMessage[]): Promise<void> {
  // One by one: the archive is in the order in which they were settled.
  for (const message of messages) await backend.store.settle(await added(backend, [message]), 'each');
}

/** Rows of messages that wait in the outbox, lowest position first. */
async function rowsOf({ store }: ArchiveBackend, messages: readonly EncodedMessage[]): Promise<PendingRow[]> {
  const names = new Set(messages.map(({ id }) => id.toString('hex')));
  const shards = [...new Set(messages.map(shardOf))];
  const pages = await store.readPages(shards.map((shard) => ({ shard, low: 0, start: 0, limit: 10_000, inlineBytes: 1_000_000 })));
  const rows = pages.flatMap((page) => page.rows).filter(({ id }) => names.has(id.toString('hex')));
  return rows.toSorted((one, other) => one.position - other.position);
}

async function all(archive: OutboxArchive, filter: ArchiveFilter): Promise<ArchivedMessage[]> {
  const span = await archive.span(filter);
  const found: ArchivedMessage[] = [];
  for (let after = span.after; after < span.upTo; ) {
    const part = await archive.read(filter, { ...span, after }, 2_000, 64_000_000);
    found.push(...part.messages);
    after = part.upTo;
  }
  return found;
}
