import { decodeHeaders, type EncodedMessage, encodeHeaders, newMessageIdBytes } from '@txbox/core/spi';
import { type Page, type RowHead, SHARDS, shardOf } from '@txbox/outbox/store';
import { expect } from 'vitest';
import { inspectorClaims } from './outbox-inspector-claims.ts';
import {
  ALL,
  added,
  lateCommit,
  type OutboxStoreBackend,
  type OutboxStoreFeature,
  only,
  rowsOf,
  sameId,
  visible,
} from './outbox-store-backend.ts';
import { ALL_BYTES, AWKWARD_HEADERS, sampleMessage, uniqueName } from './sample.ts';
import { conformanceSuite, type SuiteOptions } from './suite.ts';

/** What every store of an outbox guarantees: `OutboxReader`, `OutboxSettler`, `TopicPins` and `OutboxInspector`, and `OutboxWriter` behind the transactions. */
export function outboxStoreSuite(
  backend: string,
  make: () => Promise<OutboxStoreBackend>,
  options: SuiteOptions<OutboxStoreFeature> = {},
): void {
  conformanceSuite<OutboxStoreBackend, OutboxStoreFeature>('outbox store', backend, make, options, (claim) => {
    claim('is empty at first', async ({ store }) => {
      expect(await store.highestPosition()).toBe(0);
      expect(await store.backlog()).toEqual({ rows: 0, bytes: 0, oldestAgeMs: 0 });
      expect(await store.readPages([{ ...ALL, shard: 0 }])).toEqual([{ shard: 0, heads: [], rows: [], end: Number.POSITIVE_INFINITY }]);
    });

    claim('gives back every byte of ids, keys, headers and payloads', async (outbox) => {
      const id = Buffer.from('00010a0d1a22275c80c3288fa0d7fdff', 'hex');
      const message = sampleMessage({
        id,
        key: ALL_BYTES.subarray(0, 255),
        aggregateType: 'Bestellung',
        aggregateId: '订单-1',
        sequence: 9_007_199_254_740_991,
        headers: encodeHeaders(AWKWARD_HEADERS),
        payload: ALL_BYTES,
      });
      await added(outbox, [message]);
      const row = await only(outbox, message);
      expect(row).toMatchObject({ shard: shardOf(message), topic: 'orders', sequence: 9_007_199_254_740_991 });
      expect(row.id).toEqual(id);
      expect(row.key).toEqual(message.key);
      expect(decodeHeaders(row.headers)).toEqual(AWKWARD_HEADERS);
      expect(row.payload).toEqual(ALL_BYTES);
      expect(row.bytes).toBe(255 + row.headers.length + 256);
    });

    claim('keeps keys apart that differ only in case, in trailing blanks or in a last zero byte', async (outbox) => {
      const keys = ['abc', 'ABC', 'abc ', 'abc\0', 'àbc', 'abc'].map((key) => Buffer.from(key));
      const messages = keys.map((key) => sampleMessage({ key }));
      await added(outbox, messages);
      for (const message of messages) expect((await only(outbox, message)).key).toEqual(message.key);
    });

    claim('passes an empty payload, an empty key and no key', async (outbox) => {
      const messages = [sampleMessage({ payload: Buffer.alloc(0) }), sampleMessage({ key: Buffer.alloc(0) }), sampleMessage({ key: null })];
      await added(outbox, messages);
      const [empty, emptyKey, keyless] = await Promise.all(messages.map((message) => only(outbox, message)));
      expect(empty?.payload).toEqual(Buffer.alloc(0));
      expect(emptyKey?.key).toEqual(Buffer.alloc(0));
      expect(keyless?.key).toBeNull();
    });

    claim('says when a row was inserted, in UTC', async (outbox) => {
      const message = sampleMessage();
      await added(outbox, [message]);
      const { createdAt } = await only(outbox, message);
      expect(createdAt).toMatch(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}$/);
      expect(Math.abs(Date.parse(`${createdAt.replace(' ', 'T').slice(0, 23)}Z`) - Date.now())).toBeLessThan(120_000);
    });

    claim('leaves a payload of 900 kB out of a page and loads it whole', async (outbox) => {
      const payload = Buffer.alloc(900_000, ALL_BYTES);
      const message = sampleMessage({ payload });
      await added(outbox, [message]);
      const row = (await rowsOf(outbox, shardOf(message), { inlineBytes: 1_000 })).find(sameId(message));
      expect(row).toMatchObject({ payload: null });
      expect(row?.bytes).toBeGreaterThan(900_000);
      const loaded = await outbox.store.loadPayloads([row as RowHead]);
      expect(loaded.get((row as RowHead).position)?.equals(payload)).toBe(true);
      expect((await only(outbox, message)).payload?.equals(payload)).toBe(true);
    });

    claim('loads no payload of a row that is gone, nor of another at its position', async (outbox) => {
      const message = sampleMessage();
      await added(outbox, [message]);
      const row = await only(outbox, message);
      expect(await outbox.store.loadPayloads([{ ...row, id: newMessageIdBytes() }])).toEqual(new Map());
      await outbox.store.settle([row], 'range');
      expect(await outbox.store.loadPayloads([row])).toEqual(new Map());
    });

    claim('puts a key into one shard, always the same, and a keyless message by its id', async (outbox) => {
      const messages = Array.from({ length: 40 }, (_, index) => sampleMessage({ key: index % 2 ? null : Buffer.from(`k${index}`) }));
      await added(outbox, messages);
      for (const message of messages) expect((await only(outbox, message)).shard).toBe(shardOf(message));
    });

    claim('orders rows as they were inserted, within a statement and across transactions', async (outbox) => {
      const key = Buffer.from(uniqueName('order'));
      const messages = Array.from({ length: 60 }, () => sampleMessage({ key }));
      await added(outbox, messages.slice(0, 50));
      await added(outbox, messages.slice(50));
      const rows = (await rowsOf(outbox, shardOf({ key, id: key }))).filter((row) => row.key?.equals(key));
      expect(rows.map((row) => row.id.toString('hex'))).toEqual(messages.map((message) => message.id.toString('hex')));
      expect(rows.map((row) => row.position)).toEqual(rows.map((row) => row.position).toSorted((a, b) => a - b));
    });

    claim('reads a page from its start on, at most its limit, and the rows before as heads', async (outbox) => {
      const key = Buffer.from(uniqueName('page'));
      const shard = shardOf({ key, id: key });
      const floor = await outbox.store.highestPosition();
      await added(
        outbox,
        Array.from({ length: 10 }, () => sampleMessage({ key })),
      );
      const all = await rowsOf(outbox, shard, { low: floor + 1 });
      const positions = all.map((row) => row.position);
      const start = positions[4] as number;
      const [page] = await outbox.store.readPages([{ ...ALL, shard, low: positions[1] as number, start, limit: 3 }]);
      expect(page?.heads.map((head) => head.position)).toEqual(positions.slice(1, 4));
      expect(page?.rows.map((row) => row.position)).toEqual(positions.slice(4, 7));
      expect(page?.heads.map((head) => [head.shard, head.topic, head.key, head.id])).toEqual(
        all.slice(1, 4).map((row) => [shard, row.topic, row.key, row.id]),
      );
    });

    claim('may show heads as a block where that is enough: the same positions and ids', async (outbox) => {
      const key = Buffer.from(uniqueName('block'));
      const shard = shardOf({ key, id: key });
      const floor = await outbox.store.highestPosition();
      await added(
        outbox,
        Array.from({ length: 300 }, () => sampleMessage({ key })),
      );
      const all = await rowsOf(outbox, shard, { low: floor + 1 });
      const start = (all.at(-1)?.position ?? 0) + 1;
      const request = { ...ALL, shard, low: floor + 1, start, compactHeads: true };
      const [page] = await outbox.store.readPages([request]);
      const block = page?.compactHeads;
      expect(block ? page.heads : []).toEqual([]);
      expect(block?.length ?? page?.heads.length).toBe(300);
      for (const [index, { position, id }] of all.entries()) {
        expect(block?.position(index) ?? page?.heads[index]?.position).toBe(position);
        expect(block?.isOf(index, id) ?? page?.heads[index]?.id.equals(id)).toBe(true);
        expect(block?.isOf(index, newMessageIdBytes()) ?? false).toBe(false);
      }
      const [empty] = await outbox.store.readPages([{ ...request, low: start, start: start + 1 }]);
      expect([empty?.heads, empty?.compactHeads]).toEqual([[], undefined]);
    });

    claim('answers many shards at once, in the order of the requests', async (outbox) => {
      const messages = Array.from({ length: 64 }, () => sampleMessage({ key: null, topic: uniqueName('many') }));
      await added(outbox, messages);
      const shards = [...Array(SHARDS).keys()].reverse();
      const pages = await outbox.store.readPages(shards.map((shard) => ({ ...ALL, shard })));
      expect(pages.map((page) => page.shard)).toEqual(shards);
      for (const page of pages) {
        expect(page.rows.filter((row) => messages.some((message) => message.id.equals(row.id))).length).toBe(
          messages.filter((message) => shardOf(message) === page.shard).length,
        );
        expect(page.rows.every((row) => row.shard === page.shard)).toBe(true);
      }
      expect(await outbox.store.readPages([])).toEqual([]);
    });

    claim('shows of each shard all that stands before the end that it names, whatever else is asked for', async (outbox) => {
      const floor = await outbox.store.highestPosition();
      const keys = [...'abcdefghijkl'].map((letter) => Buffer.from(uniqueName(letter)));
      await added(
        outbox,
        Array.from({ length: 240 }, (_, n) => sampleMessage({ key: keys[n % keys.length] as Buffer })),
      );
      const top = await outbox.store.highestPosition();
      const all = await outbox.store.readPages(
        [...Array(SHARDS).keys()].map((shard) => ({ ...ALL, shard, low: floor + 1, start: floor + 1 })),
      );
      const within = (shard: number, from: number, to: number): number[] =>
        (all[shard] as Page).rows.map((row) => row.position).filter((position) => position >= from && position < to);
      for (let round = 0; round < 20; round += 1) {
        const some = [...Array(SHARDS).keys()].filter(() => Math.random() < 0.7);
        const headsAlone = round % 5 === 4;
        const requests = some.map((shard) => {
          const low = floor + 1 + Math.floor(Math.random() * (top - floor));
          const start = Math.random() < 0.5 ? low : low + Math.floor(Math.random() * (top - low));
          const limit = headsAlone ? 0 : Math.random() < 0.3 ? 3 : 30;
          return { shard, low, start, limit, inlineBytes: 1_000_000, backlog: Math.random() < 0.3, compactHeads: Math.random() < 0.5 };
        });
        const pages = await outbox.store.readPages(requests);
        for (const [index, { shard, low, start, limit }] of requests.entries()) {
          const { heads, compactHeads, rows, end } = pages[index] as Page;
          const headPositions = compactHeads
            ? Array.from({ length: compactHeads.length }, (_, at) => compactHeads.position(at))
            : heads.map(({ position }) => position);
          expect(headPositions).toEqual(within(shard, low, Math.min(start, end)));
          expect(rows.map(({ position }) => position)).toEqual(within(shard, start, end));
          expect(rows.length).toBeLessThanOrEqual(limit);
          // A full page may be all there is; one that is not full ends early only where others crowd it out.
          if (within(shard, start, top + 1).length > limit) expect(end).toBeLessThanOrEqual(top);
          if (limit === 0) expect(end).toBe(start);
        }
      }
    });

    claim('shows no row before its commit, and never one that was rolled back', async (outbox) => {
      const kept = sampleMessage();
      const dropped = sampleMessage();
      const first = await outbox.begin();
      await first.insert([dropped]);
      expect(await visible(outbox, dropped)).toBe(false);
      await first.rollback();
      expect(await visible(outbox, dropped)).toBe(false);
      const second = await outbox.begin();
      await second.insert([kept]);
      expect(await visible(outbox, kept)).toBe(false);
      await second.commit();
      expect(await visible(outbox, kept)).toBe(true);
    });

    claim(
      'shows a row that commits late below rows that are long visible',
      async (outbox) => {
        const { before, late, after } = await lateCommit(outbox);
        expect(before.position).toBeLessThan(late.position);
        expect(late.position).toBeLessThan(after.position);
      },
      { needs: 'late-commits' },
    );

    claim('shows a row whose DELETE is open, and still after that was rolled back', async (outbox) => {
      const message = sampleMessage();
      await added(outbox, [message]);
      const deleting = await outbox.begin();
      await deleting.remove([message.id]);
      expect(await visible(outbox, message)).toBe(true);
      await deleting.rollback();
      expect(await visible(outbox, message)).toBe(true);
      const again = await outbox.begin();
      await again.remove([message.id]);
      await again.commit();
      expect(await visible(outbox, message)).toBe(false);
    });

    claim('finds the lowest committed rows within inclusive bounds by a dirty look', async (outbox) => {
      const key = Buffer.from(uniqueName('dirty'));
      const shard = shardOf({ key, id: key });
      const floor = (await outbox.store.highestPosition()) + 1;
      await added(outbox, [sampleMessage({ key }), sampleMessage({ key })]);
      const [first, second] = (await rowsOf(outbox, shard, { low: floor })).map((row) => row.position) as [number, number];
      const look = async (low: number, upTo: number, limit = 1_000): Promise<number[] | undefined> =>
        (await outbox.store.dirtyPositions([{ shard, low, upTo, limit }]))[0];
      expect(await look(0, floor - 1)).not.toContain(first);
      expect(await look(floor, second)).toEqual([first, second]);
      expect(await look(floor, second, 1)).toEqual([first]);
      expect(await look(first, first)).toEqual([first]);
      expect(await look(first + 1, second)).toEqual([second]);
      expect(await look(second + 1, second + 1_000)).toEqual([]);
      const other = (shard + 1) % SHARDS;
      expect(
        await outbox.store.dirtyPositions([
          { shard: other, low: floor, upTo: second, limit: 10 },
          { shard, low: floor, upTo: second, limit: 10 },
        ]),
      ).toEqual([[], [first, second]]);
    });

    claim(
      'shows an uncommitted row to a dirty look, until it is rolled back',
      async (outbox) => {
        const key = Buffer.from(uniqueName('uncommitted'));
        const shard = shardOf({ key, id: key });
        const low = (await outbox.store.highestPosition()) + 1;
        const look = async (): Promise<number | undefined> =>
          (await outbox.store.dirtyPositions([{ shard, low, upTo: low + 1_000_000, limit: 1 }]))[0]?.[0];
        const writing = await outbox.begin();
        await writing.insert([sampleMessage({ key })]);
        expect(await look()).toBeGreaterThanOrEqual(low);
        expect(await rowsOf(outbox, shard, { low })).toEqual([]);
        await writing.rollback();
        expect(await look()).toBeUndefined();
      },
      { needs: 'dirty-reads' },
    );

    claim('knows the highest committed position of all shards', async (outbox) => {
      const messages = Array.from({ length: 20 }, () => sampleMessage({ key: null }));
      await added(outbox, messages);
      const rows = await Promise.all(messages.map((message) => only(outbox, message)));
      expect(await outbox.store.highestPosition()).toBe(Math.max(...rows.map((row) => row.position)));
    });

    for (const form of ['range', 'each'] as const) {
      claim(`settles by identity and counts what was there (${form})`, async (outbox) => {
        const key = Buffer.from(uniqueName('settle'));
        const low = (await outbox.store.highestPosition()) + 1;
        await added(
          outbox,
          Array.from({ length: 1_200 }, () => sampleMessage({ key })),
        );
        const rows = await rowsOf(outbox, shardOf({ key, id: key }), { low });
        const named = rows.filter((_, index) => index !== 7);
        expect(await outbox.store.settle(named, form)).toBe(1_199);
        expect(await outbox.store.settle(named, form)).toBe(0);
        expect((await rowsOf(outbox, shardOf({ key, id: key }), { low })).map((row) => row.position)).toEqual([rows[7]?.position]);
        expect(await outbox.store.settle([], form)).toBe(0);
      });

      claim(`leaves another event that got a settled position again (${form})`, async (outbox) => {
        const message = sampleMessage();
        await added(outbox, [message]);
        const row = await only(outbox, message);
        expect(await outbox.store.settle([{ ...row, id: newMessageIdBytes() }], form)).toBe(0);
        expect(await visible(outbox, message)).toBe(true);
      });

      claim(
        `leaves a row that committed late inside the span that is settled (${form})`,
        async (outbox) => {
          const { before, late, after } = await lateCommit(outbox);
          expect(await outbox.store.settle([before, after], form)).toBe(2);
          expect((await rowsOf(outbox, late.shard, { low: before.position })).map((row) => row.position)).toEqual([late.position]);
        },
        { needs: 'late-commits' },
      );
    }

    claim('settles rows of several shards in one go (each)', async (outbox) => {
      const messages = Array.from({ length: 1_050 }, () => sampleMessage({ key: Buffer.from(uniqueName('any shard')) }));
      const floor = await outbox.store.highestPosition();
      await added(outbox, messages);
      const shards = [...Array(SHARDS).keys()].map((shard) => ({ ...ALL, shard, low: floor + 1, start: floor + 1 }));
      const rows = (await outbox.store.readPages(shards)).flatMap((page) => page.rows).toReversed();
      const kept = rows.find((row) => row.id.equals((messages[3] as EncodedMessage).id)) as RowHead;
      const named = rows.map((row) => (row === kept ? { ...row, id: newMessageIdBytes() } : row));
      expect(await outbox.store.settle(named, 'each')).toBe(1_049);
      expect((await outbox.store.readPages(shards)).flatMap((page) => page.rows.map((row) => row.position))).toEqual([kept.position]);
    });

    claim(
      'settles without waiting for an uncommitted row between the named ones (each)',
      async (outbox) => {
        const key = Buffer.from(uniqueName('each'));
        const low = (await outbox.store.highestPosition()) + 1;
        await added(outbox, [sampleMessage({ key })]);
        const writing = await outbox.begin();
        const uncommitted = sampleMessage({ key });
        await writing.insert([uncommitted]);
        await added(outbox, [sampleMessage({ key })]);
        const rows = await rowsOf(outbox, shardOf({ key, id: key }), { low });
        expect(await outbox.store.settle(rows, 'each')).toBe(2);
        await writing.commit();
        expect(await visible(outbox, uncommitted)).toBe(true);
      },
      { needs: 'late-commits' },
    );

    inspectorClaims(claim);
  });
}
