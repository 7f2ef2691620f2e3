import { randomBytes } from 'node:crypto';
import type { LeaseSlot, LeaseStore } from '@txbox/core/spi';
import { expect } from 'vitest';
import { uniqueName } from './sample.ts';
import { conformanceSuite, type SuiteOptions } from './suite.ts';

/** `session-time-zone`: each session of the database has a time zone of its own. */
export type LeaseStoreFeature = 'session-time-zone';

/** A lease table of its own. */
export interface LeaseStoreBackend {
  readonly store: LeaseStore;
  /** The same leases through another connection. */
  readonly other: LeaseStore;
  /** Moves a lease's expiry to so many milliseconds from now by the database's clock, past or future. */
  setExpiry(slot: LeaseSlot, inMs: number): Promise<void>;
  /** The same leases through a session in this time zone (`+09:00`). */
  inTimeZone?(zone: string): Promise<LeaseStore>;
  dispose(): Promise<void>;
}

const TTL_MS = 60_000;

/** What every lease store guarantees (P-R8, P-T7). */
export function leaseStoreSuite(
  backend: string,
  make: () => Promise<LeaseStoreBackend>,
  options: SuiteOptions<LeaseStoreFeature> = {},
): void {
  conformanceSuite<LeaseStoreBackend, LeaseStoreFeature>('lease store', backend, make, options, (claim) => {
    claim('creates slots free, and leaves those that are there', async ({ store }) => {
      const scope = uniqueName('scope');
      await store.ensure(scope, 2);
      expect(await store.list(scope, TTL_MS)).toEqual(
        [0, 1].map((slot) => ({ scope, slot, owner: null, epoch: 0, expired: true, wantedBy: null })),
      );
      const owner = randomBytes(16);
      await takeOne(store, { scope, slot: 1 }, owner, TTL_MS);
      await store.ensure(scope, 3);
      expect((await store.list(scope, TTL_MS)).map((lease) => [lease.slot, lease.owner, lease.epoch])).toEqual([
        [0, null, 0],
        [1, owner, 1],
        [2, null, 0],
      ]);
    });

    claim('creates slots for two at once', async ({ store, other }) => {
      const scope = uniqueName('scope');
      await Promise.all([store.ensure(scope, 16), other.ensure(scope, 16)]);
      expect((await store.list(scope, TTL_MS)).map((lease) => lease.slot)).toEqual([...Array(16).keys()]);
    });

    claim('refuses a lease while another holds it', async ({ store, other }) => {
      const slot = await freeSlot(store);
      const owner = Buffer.from('00ff80c3280a0d7f00010a0d1a22275c', 'hex');
      expect(await takeOne(store, slot, owner, TTL_MS)).toBe(1);
      expect(await takeOne(other, slot, randomBytes(16), TTL_MS)).toBeUndefined();
      const [lease] = await other.list(slot.scope, TTL_MS);
      expect(lease).toMatchObject({ epoch: 1, expired: false });
      expect(lease?.owner).toEqual(owner);
    });

    claim('takes those of many leases that are free, expired or already of the owner', async ({ store, other, setExpiry }) => {
      const scope = uniqueName('scope');
      await store.ensure(scope, 6);
      const [owner, stranger] = [randomBytes(16), randomBytes(16)];
      expect(await store.take(scope, [4, 0], owner, TTL_MS)).toEqual([
        { slot: 0, epoch: 1 },
        { slot: 4, epoch: 1 },
      ]);
      expect(await other.take(scope, [1, 2, 0], stranger, TTL_MS)).toEqual([
        { slot: 1, epoch: 1 },
        { slot: 2, epoch: 1 },
      ]);
      await setExpiry({ scope, slot: 2 }, -1);
      expect(await store.take(scope, [5, 4, 3, 2, 1], owner, TTL_MS)).toEqual([
        { slot: 2, epoch: 2 },
        { slot: 3, epoch: 1 },
        { slot: 4, epoch: 2 },
        { slot: 5, epoch: 1 },
      ]);
      expect((await store.list(scope, TTL_MS)).map((lease) => lease.expired)).toEqual(Array(6).fill(false));
      expect(await store.take(scope, [], owner, TTL_MS)).toEqual([]);
    });

    claim('gives many leases, each to exactly one of two takers at once', async ({ store, other }) => {
      for (let round = 0; round < 5; round++) {
        const scope = uniqueName('scope');
        await store.ensure(scope, 16);
        const slots = [...Array(16).keys()];
        const taken = await Promise.all([
          store.take(scope, slots, randomBytes(16), TTL_MS),
          other.take(scope, slots.toReversed(), randomBytes(16), TTL_MS),
        ]);
        expect(taken.flatMap((held) => held.map(({ slot }) => slot)).sort((a, b) => a - b)).toEqual(slots);
      }
    });

    claim('gives a lease to exactly one of two takers at once', async ({ store, other }) => {
      for (let round = 0; round < 10; round++) {
        const slot = await freeSlot(store);
        const [one, two] = [randomBytes(16), randomBytes(16)];
        const epochs = await Promise.all([takeOne(store, slot, one, TTL_MS), takeOne(other, slot, two, TTL_MS)]);
        expect(epochs.filter((epoch) => epoch !== undefined)).toEqual([1]);
        const [lease] = await store.list(slot.scope, TTL_MS);
        expect(lease?.owner).toEqual(epochs[0] === 1 ? one : two);
      }
    });

    claim(
      'raises the epoch when an expired lease is taken; the former owner can do nothing any more',
      async ({ store, other, setExpiry }) => {
        const slot = await freeSlot(store);
        const [former, next] = [randomBytes(16), randomBytes(16)];
        expect(await takeOne(store, slot, former, TTL_MS)).toBe(1);
        await setExpiry(slot, -1);
        expect((await store.list(slot.scope, TTL_MS))[0]?.expired).toBe(true);
        expect(await takeOne(other, slot, next, TTL_MS)).toBe(2);
        expect(await store.renew(slot.scope, [{ slot: 0, epoch: 1 }], former, TTL_MS)).toEqual([]);
        await store.release(slot, former, 1);
        const [lease] = await store.list(slot.scope, TTL_MS);
        expect(lease).toMatchObject({ epoch: 2, expired: false });
        expect(lease?.owner).toEqual(next);
      },
    );

    claim('counts an expiry beyond twice the time to live as expired: the clock was set back', async ({ store, setExpiry }) => {
      const slot = await freeSlot(store);
      await takeOne(store, slot, randomBytes(16), TTL_MS);
      await setExpiry(slot, 2 * TTL_MS - 10_000);
      expect((await store.list(slot.scope, TTL_MS))[0]?.expired).toBe(false);
      await setExpiry(slot, 2 * TTL_MS + 10_000);
      expect((await store.list(slot.scope, TTL_MS))[0]?.expired).toBe(true);
      expect(await takeOne(store, slot, randomBytes(16), TTL_MS)).toBe(2);
    });

    claim('prolongs exactly what the owner holds with that epoch', async ({ store, other, setExpiry }) => {
      const scope = uniqueName('scope');
      await store.ensure(scope, 4);
      const [owner, stranger] = [randomBytes(16), randomBytes(16)];
      for (const slot of [0, 1, 2]) await takeOne(store, { scope, slot }, owner, TTL_MS);
      await takeOne(other, { scope, slot: 3 }, stranger, TTL_MS);
      for (const slot of [0, 1, 2, 3]) await setExpiry({ scope, slot }, 5_000);
      const held = [
        { slot: 2, epoch: 1 },
        { slot: 0, epoch: 1 },
        { slot: 1, epoch: 7 },
        { slot: 3, epoch: 1 },
      ];
      expect(await store.renew(scope, held, owner, 10 * TTL_MS)).toEqual([0, 2]);
      // By a clock against which 5 s are still well and ten minutes are too far.
      expect((await store.list(scope, TTL_MS)).map((lease) => lease.expired)).toEqual([true, false, true, false]);
      expect(await store.renew(scope, [], owner, TTL_MS)).toEqual([]);
    });

    claim('frees what is released at once, and keeps its epoch', async ({ store, other }) => {
      const slot = await freeSlot(store);
      const owner = randomBytes(16);
      await takeOne(store, slot, owner, TTL_MS);
      await store.release(slot, owner, 2);
      await store.release(slot, randomBytes(16), 1);
      expect(await takeOne(other, slot, randomBytes(16), TTL_MS)).toBeUndefined();
      await store.release(slot, owner, 1);
      expect((await store.list(slot.scope, TTL_MS))[0]).toMatchObject({ owner: null, epoch: 1, expired: true });
      expect(await takeOne(other, slot, randomBytes(16), TTL_MS)).toBe(2);
    });

    claim('shows the owner who wants its lease, until the wish is taken back', async ({ store, other }) => {
      const slot = await freeSlot(store);
      const wanting = Buffer.from('ff00ff80c3280a0d7f00010a0d1a2227', 'hex');
      await takeOne(store, slot, randomBytes(16), TTL_MS);
      await other.want(slot, wanting);
      expect((await store.list(slot.scope, TTL_MS))[0]?.wantedBy).toEqual(wanting);
      await other.want(slot, null);
      expect((await store.list(slot.scope, TTL_MS))[0]?.wantedBy).toBeNull();
    });

    claim('keeps scopes apart that differ only in case', async ({ store }) => {
      const scope = uniqueName('scope');
      await store.ensure(scope, 1);
      await store.ensure(scope.toUpperCase(), 1);
      expect(await takeOne(store, { scope, slot: 0 }, randomBytes(16), TTL_MS)).toBe(1);
      expect(await takeOne(store, { scope: scope.toUpperCase(), slot: 0 }, randomBytes(16), TTL_MS)).toBe(1);
    });

    claim(
      'goes by the same clock in sessions of every time zone',
      async ({ store, inTimeZone }) => {
        const zones = await Promise.all(
          ['+09:00', '-05:00', '+05:30'].map(async (zone) => await (inTimeZone as NonNullable<typeof inTimeZone>)(zone)),
        );
        for (const taker of [store, ...zones]) {
          const slot = await freeSlot(store);
          expect(await takeOne(taker, slot, randomBytes(16), TTL_MS)).toBe(1);
          for (const looker of [store, ...zones]) {
            expect((await looker.list(slot.scope, TTL_MS))[0]?.expired).toBe(false);
            expect(await takeOne(looker, slot, randomBytes(16), TTL_MS)).toBeUndefined();
          }
        }
      },
      { needs: 'session-time-zone' },
    );
  });
}

async function freeSlot(store: LeaseStore): Promise<LeaseSlot> {
  const scope = uniqueName('scope');
  await store.ensure(scope, 1);
  return { scope, slot: 0 };
}

/** The new epoch, or `undefined` when somebody holds it. */
async function takeOne(store: LeaseStore, { scope, slot }: LeaseSlot, owner: Buffer, ttlMs: number): Promise<number | undefined> {
  return (await store.take(scope, [slot], owner, ttlMs))[0]?.epoch;
}
