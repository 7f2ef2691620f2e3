import { type DeadLetterHead, type DeadLetterStore, decodeHeaders, type EncodedMessage } from '@txbox/core/spi';
import { type OutboxStore, type ParkingFailure, type PendingRow, shardOf } from '@txbox/outbox/store';
import { expect } from 'vitest';
import { sampleMessage, uniqueName } from './sample.ts';
import { conformanceSuite } from './suite.ts';

/** An outbox and the dead letters of its relays. */
export interface ParkingBackend {
  readonly store: OutboxStore;
  readonly deadLetters: DeadLetterStore;
  /** Adds messages in a transaction of their own. */
  add(messages: readonly EncodedMessage[]): Promise<void>;
  dispose(): Promise<void>;
}

const FAILURE: ParkingFailure = { reason: 'TOO_LARGE: 50% of _it', attempts: 3, partition: 2, mayBePublished: false };
const REDRIVE = { action: 'redrive', actor: 'suite' } as const;
const DISCARD = { action: 'discard', actor: 'suite' } as const;
const SKIP = { action: 'skip', actor: 'suite' } as const;

/** What parking guarantees (P-R9, P-R11): `OutboxParker`, the parked rows of `OutboxReader`, and `DeadLetterStore`. */
export function parkingSuite(name: string, make: () => Promise<ParkingBackend>): void {
  conformanceSuite<ParkingBackend, never>('parking', name, make, {}, (claim) => {
    claim('parks a key: the message is kept whole, its followers show as parked, other keys do not', async (backend) => {
      const { topic, key, messages } = await keyed(backend, 3, {
        aggregateType: 'Order',
        aggregateId: '7',
        payload: Buffer.from([0, 255]),
      });
      const other = sampleMessage({ topic, key: Buffer.from(uniqueName('other')) });
      const sameKeyElsewhere = sampleMessage({ topic: uniqueName('elsewhere'), key });
      await backend.add([other, sameKeyElsewhere]);
      await backend.store.park(await row(backend, messages[0]), FAILURE);
      expect(await maybe(backend, messages[0])).toBeUndefined();
      for (const follower of messages.slice(1)) expect((await row(backend, follower)).parked).toBe(true);
      expect((await row(backend, other)).parked).toBe(false);
      expect((await row(backend, sameKeyElsewhere)).parked).toBe(false);
      const letter = await backend.deadLetters.find(idOf(messages[0]));
      expect(letter).toMatchObject({
        topic,
        key,
        attempts: 3,
        partition: 2,
        publishedAt: null,
        reason: FAILURE.reason,
        type: 'order.paid',
      });
      expect(letter).toMatchObject({ aggregateType: 'Order', aggregateId: '7', sequence: null, payload: Buffer.from([0, 255]) });
      expect(letter?.headers).toEqual(messages[0]?.headers);
    });

    claim('shows heads in full while a key is parked, whatever was asked, and says which have it', async (backend) => {
      const { messages } = await keyed(backend, 3);
      const [first, second] = [await row(backend, messages[0]), await row(backend, messages[1])];
      const heads = {
        shard: first.shard,
        low: first.position,
        start: Number.MAX_SAFE_INTEGER,
        limit: 1,
        inlineBytes: 0,
        compactHeads: true,
      };
      await backend.store.readPages([heads]);
      await backend.store.park(first, FAILURE);
      for (let again = 0; again < 2; again += 1) {
        const [page] = await backend.store.readPages([heads]);
        expect(page?.compactHeads).toBeUndefined();
        expect(page?.heads.find(({ id }) => id.equals(second.id))?.parked).toBe(true);
      }
    });

    claim('remembers that a message may have been published', async (backend) => {
      const { messages } = await keyed(backend, 1);
      await backend.store.park(await row(backend, messages[0]), { ...FAILURE, mayBePublished: true });
      expect((await backend.deadLetters.find(idOf(messages[0])))?.publishedAt).toMatch(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d/);
    });

    claim('does nothing about a row that is gone: its key is not parked', async (backend) => {
      const { messages } = await keyed(backend, 2);
      const gone = await row(backend, messages[0]);
      await backend.store.settle([gone], 'each');
      await backend.store.park(gone, FAILURE);
      expect((await row(backend, messages[1])).parked).toBe(false);
      expect(await backend.deadLetters.find(gone.id)).toBeUndefined();
    });

    claim('moves followers behind, in order, and not those that are gone', async (backend) => {
      const { topic, messages } = await keyed(backend, 5);
      const rows = await Promise.all(messages.map((message) => row(backend, message)));
      await backend.store.park(rows[0] as PendingRow, FAILURE);
      await backend.store.settle([rows[2] as PendingRow], 'each');
      expect(await backend.store.moveFollowers(rows.slice(1))).toBe(true);
      expect(await backend.store.moveFollowers(rows.slice(1))).toBe(true);
      const letters = await backend.deadLetters.list({ topic }, 0, 100);
      expect(letters.map((letter) => letter.id)).toEqual([0, 1, 3, 4].map((index) => idOf(messages[index])));
      expect(letters.map((letter) => letter.attempts)).toEqual([3, 0, 0, 0]);
    });

    claim('moves nothing of a key that is not parked any more', async (backend) => {
      const { messages } = await keyed(backend, 2);
      const [head, follower] = [await row(backend, messages[0]), await row(backend, messages[1])];
      await backend.store.park(head, FAILURE);
      await backend.deadLetters.remove(await lettersOf(backend, head), REDRIVE);
      expect(await backend.store.moveFollowers([follower])).toBe(false);
      expect((await row(backend, messages[1])).parked).toBe(false);
    });

    claim('un-parks a key with its last dead letter, not before', async (backend) => {
      const { messages } = await keyed(backend, 3);
      const rows = await Promise.all(messages.map((message) => row(backend, message)));
      await backend.store.park(rows[0] as PendingRow, FAILURE);
      await backend.store.moveFollowers(rows.slice(1, 2));
      const letters = await lettersOf(backend, rows[0] as PendingRow);
      expect(await backend.deadLetters.remove(letters.slice(0, 1), REDRIVE)).toBe(1);
      expect((await row(backend, messages[2])).parked).toBe(true);
      expect(await backend.deadLetters.remove(letters, REDRIVE)).toBe(1);
      expect((await row(backend, messages[2])).parked).toBe(false);
      expect(await backend.deadLetters.remove(letters, REDRIVE)).toBe(0);
    });

    claim('parks keyless messages alone', async (backend) => {
      const topic = uniqueName('keyless');
      const messages = [sampleMessage({ topic, key: null }), sampleMessage({ topic, key: null })];
      await backend.add(messages);
      await backend.store.park(await row(backend, messages[0]), FAILURE);
      expect((await row(backend, messages[1])).parked).toBe(false);
      expect((await backend.deadLetters.find(idOf(messages[0])))?.parkedKeyId).toEqual(idOf(messages[0]));
    });

    claim('skips a message: its key goes on, and it stays listed', async (backend) => {
      const { messages } = await keyed(backend, 2);
      await backend.store.skip(await row(backend, messages[0]), FAILURE);
      expect((await row(backend, messages[1])).parked).toBe(false);
      expect(await backend.deadLetters.find(idOf(messages[0]))).toMatchObject({ reason: FAILURE.reason, parkedKeyId: idOf(messages[0]) });
    });

    claim('leaves a gap marker in the place of a numbered message that is skipped', async (backend) => {
      const { topic, key, messages } = await keyed(backend, 1, { sequence: 41 });
      const skipped = await row(backend, messages[0]);
      await backend.store.skip(skipped, FAILURE);
      const marker = (await rows(backend, skipped.shard)).find((one) => one.position === skipped.position);
      expect(marker).toMatchObject({ topic, key, sequence: null, payload: Buffer.alloc(0), parked: false });
      expect(marker && decodeHeaders(marker.headers)).toEqual([['txbox-gap', Buffer.from('41')]]);
      expect(await backend.deadLetters.find(idOf(messages[0]))).toMatchObject({ sequence: 41 });
    });

    claim('takes a letter out of its order: discarded, it is gone; skipped, it stands alone', async (backend) => {
      const { topic, messages } = await keyed(backend, 3);
      const all = await Promise.all(messages.map((message) => row(backend, message)));
      await backend.store.park(all[0] as PendingRow, FAILURE);
      await backend.store.moveFollowers(all.slice(1));
      const [first, second] = (await backend.deadLetters.list({ topic }, 0, 10)) as [DeadLetterHead, DeadLetterHead];
      expect(await backend.deadLetters.takeOut(second, DISCARD)).toBe(true);
      expect(await backend.deadLetters.takeOut(second, DISCARD)).toBe(false);
      expect(await backend.deadLetters.takeOut(first, SKIP)).toBe(true);
      expect(await backend.deadLetters.find(second.id)).toBeUndefined();
      expect((await backend.deadLetters.front(first.parkedKeyId, 10, 1e6)).map((letter) => letter.id)).toEqual([idOf(messages[2])]);
      expect((await backend.deadLetters.front(first.id, 10, 1e6)).map((letter) => letter.id)).toEqual([first.id]);
    });

    claim('leaves a gap marker in the place of a numbered letter that is taken out', async (backend) => {
      for (const note of [DISCARD, SKIP]) {
        const { messages } = await keyed(backend, 2, { sequence: 7 });
        const all = await Promise.all(messages.map((message) => row(backend, message)));
        await backend.store.park(all[0] as PendingRow, FAILURE);
        await backend.store.moveFollowers(all.slice(1));
        const [first] = (await lettersOf(backend, all[0] as PendingRow)) as [DeadLetterHead];
        expect(await backend.deadLetters.takeOut(first, note)).toBe(true);
        const front = await backend.deadLetters.front(first.parkedKeyId, 10, 1e6);
        expect(front.map(({ headers }) => decodeHeaders(headers)[0]?.[0])).toEqual(['txbox-gap', 'txbox-type']);
        expect(front[0]).toMatchObject({ sequence: null, type: null, payload: Buffer.alloc(0), place: first.place });
        expect(await backend.deadLetters.find(first.id)).toEqual(note === SKIP ? expect.objectContaining({ sequence: 7 }) : undefined);
      }
    });

    claim('bounds what it gives of a key by number and bytes, and always gives the first', async (backend) => {
      const { messages } = await keyed(backend, 4, { payload: Buffer.alloc(1_000) });
      const all = await Promise.all(messages.map((message) => row(backend, message)));
      await backend.store.park(all[0] as PendingRow, FAILURE);
      await backend.store.moveFollowers(all.slice(1));
      const { parkedKeyId } = (await lettersOf(backend, all[0] as PendingRow))[0] as DeadLetterHead;
      const sizes = [
        [4, 1e6],
        [3, 1e6],
        [4, 2_500],
        [4, 1],
      ] as const;
      const given = await Promise.all(sizes.map(([limit, bytes]) => backend.deadLetters.front(parkedKeyId, limit, bytes)));
      expect(given.map((letters) => letters.length)).toEqual([4, 3, 2, 1]);
    });

    claim('notes when a letter is sent again, and keeps when it may have been published first', async (backend) => {
      const { messages } = await keyed(backend, 1);
      await backend.store.park(await row(backend, messages[0]), FAILURE);
      const found = async (): Promise<DeadLetterHead> => (await backend.deadLetters.find(idOf(messages[0]))) as DeadLetterHead;
      const before = await found();
      expect(before.quietMs).toBe(before.ageMs);
      await backend.deadLetters.beginSending([before]);
      const sent = await found();
      expect(sent.publishedAt).not.toBeNull();
      await backend.deadLetters.beginSending([sent]);
      const again = await found();
      expect(again.publishedAt).toBe(sent.publishedAt);
      expect(again.quietMs).toBeLessThanOrEqual(again.ageMs);
    });

    claim('notes that a letter was refused again: it may have been published as little as before', async (backend) => {
      const { messages } = await keyed(backend, 1);
      await backend.store.park(await row(backend, messages[0]), FAILURE);
      const found = async (): Promise<DeadLetterHead> => (await backend.deadLetters.find(idOf(messages[0]))) as DeadLetterHead;
      const before = await found();
      await backend.deadLetters.beginSending([before]);
      await backend.deadLetters.refused(before, 'TOO_LARGE: still');
      expect(await found()).toMatchObject({ attempts: FAILURE.attempts + 1, reason: 'TOO_LARGE: still', publishedAt: null });
    });

    claim('finds what waits for one key’s turn', async (backend) => {
      const { messages } = await keyed(backend, 2);
      const all = await Promise.all(messages.map((message) => row(backend, message)));
      await backend.store.park(all[0] as PendingRow, FAILURE);
      await backend.store.moveFollowers(all.slice(1));
      const { parkedKeyId, place } = (await lettersOf(backend, all[0] as PendingRow))[0] as DeadLetterHead;
      const ids = async (after: number): Promise<Buffer[]> =>
        (await backend.deadLetters.list({ parkedKeyId }, after, 10)).map(({ id }) => id);
      expect(await ids(0)).toEqual(messages.map(idOf));
      expect(await ids(place)).toEqual([idOf(messages[1])]);
    });

    claim('finds by topic, key, type, text of the reason and time', async (backend) => {
      const { topic, key, messages } = await keyed(backend, 1, { type: 'order.lost' });
      await backend.store.park(await row(backend, messages[0]), FAILURE);
      const found = async (filter: Parameters<DeadLetterStore['list']>[0]): Promise<number> =>
        (await backend.deadLetters.list({ topic, ...filter }, 0, 10)).length;
      const day = (days: number): string => new Date(Date.now() + days * 86_400_000).toISOString().slice(0, 19).replace('T', ' ');
      expect(await found({})).toBe(1);
      expect(await found({ key, type: 'order.lost', id: idOf(messages[0]), since: day(-1), until: day(1) })).toBe(1);
      for (const reason of ['TOO_LARGE', '50% of', '_it']) expect(await found({ reason })).toBe(1);
      for (const reason of ['50_', '%of', 'TOO.LARGE']) expect(await found({ reason })).toBe(0);
      expect(await found({ key: Buffer.from('another') })).toBe(0);
      expect(await found({ type: 'order.paid' })).toBe(0);
      expect(await found({ since: day(1) })).toBe(0);
      expect(await found({ until: day(-1) })).toBe(0);
    });

    claim('shows parked rows as such among more parked keys than it lists', async (backend) => {
      const topic = uniqueName('many');
      const messages = Array.from({ length: 450 }, (_, index) => sampleMessage({ topic, key: Buffer.from(`${topic}-${index % 225}`) }));
      await backend.add(messages);
      for (const message of messages.slice(0, 224)) await backend.store.park(await row(backend, message), FAILURE);
      for (const round of [1, 2]) {
        const parked = await Promise.all(messages.slice(225).map(async (message) => (await row(backend, message)).parked));
        expect(parked.filter(Boolean), `round ${round}`).toHaveLength(224);
        expect(parked[224]).toBe(false);
      }
      expect((await backend.deadLetters.count()).keys).toBeGreaterThanOrEqual(224);
    });
  });
}

async function keyed(
  backend: ParkingBackend,
  count: number,
  parts: Partial<EncodedMessage> = {},
): Promise<{ topic: string; key: Buffer; messages: readonly EncodedMessage[] }> {
  const topic = uniqueName('parking');
  const key = Buffer.from(uniqueName('key'));
  const messages = Array.from({ length: count }, () => sampleMessage({ topic, key, ...parts }));
  await backend.add(messages);
  return { topic, key, messages };
}

async function rows({ store }: ParkingBackend, shard: number): Promise<readonly PendingRow[]> {
  const [page] = await store.readPages([{ shard, low: 0, start: 0, limit: 10_000, inlineBytes: 1_000_000 }]);
  return page?.rows ?? [];
}

async function maybe(backend: ParkingBackend, message: EncodedMessage | undefined): Promise<PendingRow | undefined> {
  const { id, key } = message as EncodedMessage;
  return (await rows(backend, shardOf({ id, key }))).find((one) => one.id.equals(id));
}

async function row(backend: ParkingBackend, message: EncodedMessage | undefined): Promise<PendingRow> {
  const found = await maybe(backend, message);
  expect(found).toBeDefined();
  return found as PendingRow;
}

function idOf(message: EncodedMessage | undefined): Buffer {
  return (message as EncodedMessage).id;
}

async function lettersOf({ deadLetters }: ParkingBackend, { topic, key }: PendingRow): Promise<DeadLetterHead[]> {
  return await deadLetters.list({ topic, ...(key ? { key } : {}) }, 0, 100);
}
