import { randomBytes } from 'node:crypto';
import type { Clock, LeaseStore } from '@txbox/core/spi';
import { SHARDS } from '@txbox/outbox/store';
import { MemoryLeaseStore } from '@txbox/testing';
import { describe, expect, it } from 'vitest';
import type { Member, Membership } from '../src/membership.ts';
import type { RelayReport } from '../src/relay-report.ts';
import { ShardLeases } from '../src/shard-leases.ts';

const TTL_MS = 10_000;
const REPORT: RelayReport = {
  ...{ published: 0, settled: 0, failedRequests: 0, orderAlarms: 0, parked: 0, rows: 0, bytes: 0, held: [], heldLanes: 0 },
};
/** What a statement takes. */
const STATEMENT_MS = 2;

describe('shards among relays (P-R8), whatever the moment at which something happens', () => {
  const seeds = Array.from({ length: 40 }, (_, n) => n + 1);

  it.each([1, 2, 3])('are owned again within a second after the lease TTL when one of %i relays dies', async (relays) => {
    for (const seed of seeds) {
      const world = new World(seed);
      const [victim] = await world.startSeveral(relays);
      await world.advance(1_000 + world.random() * TTL_MS);
      // The worst moment: it has just renewed.
      await world.until(() => (victim as Participant).renewals > 3 && (victim as Participant).renewedAt >= world.now - STATEMENT_MS);
      (victim as Participant).dead = true;
      if (relays === 1) await world.start();
      const died = world.now;
      await world.until(() => world.owned() === SHARDS);
      expect({ seed, late: world.now - died > TTL_MS + 1_000 }).toEqual({ seed, late: false });
      await world.until(() => world.isEven());
    }
  });

  it('are shared evenly by two and three, each newcomer having its share within a second', async () => {
    for (const seed of seeds) {
      const world = new World(seed);
      const shares: number[][] = [];
      for (const _ of [1, 2, 3]) {
        await world.start();
        const joined = world.now;
        await world.until(() => world.isEven() && world.owned() === SHARDS);
        shares.push(world.shares());
        expect({ seed, late: world.now - joined > 1_000 }).toEqual({ seed, late: false });
        await world.advance(world.random() * TTL_MS);
        // Nobody takes anything back.
        expect(world.shares()).toEqual(shares.at(-1));
      }
      expect(shares).toEqual([[16], [8, 8], [6, 5, 5]]);
    }
  });

  it('are handed over within a second after the last answer, and not before it', async () => {
    for (const seed of seeds) {
      const world = new World(seed);
      const [owner] = (await world.startSeveral(1)) as [Participant];
      const answer = Promise.withResolvers<void>();
      owner.answered = () => answer.promise;
      await world.start();
      await world.advance(world.random() * 3 * TTL_MS + 2_000);
      expect(world.shares()).toEqual([16, 0]);
      answer.resolve();
      const answered = world.now;
      await world.until(() => world.shares().join() === '8,8');
      expect({ seed, late: world.now - answered > 1_000 }).toEqual({ seed, late: false });
    }
  });

  it('go to the others within a second when a relay leaves', async () => {
    for (const seed of seeds) {
      const world = new World(seed);
      const [leaving] = (await world.startSeveral(3)) as [Participant];
      await world.advance(world.random() * TTL_MS);
      leaving.dead = true;
      await leaving.leases.releaseAll();
      const left = world.now;
      await world.until(() => world.owned() === SHARDS && world.isEven());
      expect({ seed, late: world.now - left > 1_000 }).toEqual({ seed, late: false });
      expect(world.shares()).toEqual([8, 8]);
    }
  });

  it('of a relay that slept past its leases are not trusted by it, are lost, and are shared again', async () => {
    for (const seed of seeds) {
      const world = new World(seed);
      const [sleeper] = (await world.startSeveral(2)) as [Participant];
      await world.advance(world.random() * TTL_MS);
      sleeper.dead = true;
      await world.until(() => world.owned() === SHARDS);
      await world.advance(world.random() * TTL_MS);
      // It still believes to hold its share, and knows that it must not trust this.
      expect([sleeper.leases.held.size, sleeper.leases.trusted]).toEqual([8, false]);
      sleeper.dead = false;
      await sleeper.pass();
      expect({ seed, held: sleeper.leases.held.size, lost: sleeper.lost, trusted: sleeper.leases.trusted }).toEqual({
        seed,
        held: 0,
        lost: 8,
        trusted: true,
      });
      await world.until(() => world.shares().join() === '8,8');
      expect(world.overlaps).toBe(0);
    }
  });

  it('stay with a relay that slept past its leases when nobody took them', async () => {
    const world = new World(1);
    const [sleeper] = (await world.startSeveral(1)) as [Participant];
    sleeper.dead = true;
    await world.advance(5 * TTL_MS);
    expect(sleeper.leases.trusted).toBe(false);
    sleeper.dead = false;
    await sleeper.pass();
    expect([sleeper.leases.held.size, sleeper.leases.trusted, sleeper.lost]).toEqual([SHARDS, true, 0]);
  });

  it('are trusted for two thirds of the TTL from before a renewal was sent', async () => {
    const world = new World(1);
    const [relay] = (await world.startSeveral(1)) as [Participant];
    await world.until(() => relay.renewals === 3);
    relay.dead = true;
    await world.advance(relay.renewalSentAt + (TTL_MS * 2) / 3 - world.now - 1);
    expect(relay.leases.trusted).toBe(true);
    await world.advance(1);
    expect(relay.leases.trusted).toBe(false);
  });

  it('are shared by sixteen relays and no more', async () => {
    const world = new World(1);
    await world.startSeveral(18);
    await world.until(() => world.owned() === SHARDS && world.isEven());
    expect(world.shares().sort()).toEqual([0, 0, ...Array<number>(16).fill(1)]);
  });

  it('end up even and owned by the living after any number of joins, crashes, sleeps and leaves', async () => {
    for (const seed of seeds) {
      const world = new World(seed);
      await world.startSeveral(2);
      for (let step = 0; step < 12; step++) {
        await world.advance(world.random() * 2_000);
        const one = world.participants[Math.floor(world.random() * world.participants.length)] as Participant;
        const dice = world.random();
        if (dice < 0.4) await world.start();
        else if (dice < 0.6) one.dead = true;
        else if (dice < 0.8) one.dead = false;
        else if (world.participants.length > 1 && !one.dead) await world.leave(one);
      }
      if (world.participants.every((one) => one.dead)) await world.start();
      await world.advance(3 * TTL_MS);
      expect({ seed, owned: world.owned(), even: world.isEven(), overlaps: world.overlaps }).toEqual({
        seed,
        owned: SHARDS,
        even: true,
        overlaps: 0,
      });
    }
  });
});

type Mutable<T> = { -readonly [Name in keyof T]: T[Name] };

interface Participant {
  readonly leases: ShardLeases;
  readonly renewals: number;
  readonly renewedAt: number;
  readonly renewalSentAt: number;
  readonly lost: number;
  answered: () => Promise<void>;
  dead: boolean;
  pass(): Promise<void>;
}

/** Relays on one lease table, on one clock that is moved by hand and by statements. */
class World {
  now = 1_000_000;
  readonly participants: Participant[] = [];
  /** Times at which two relays that trust their leases held the same shard. */
  overlaps = 0;
  readonly #store = new MemoryLeaseStore(() => this.now);
  readonly #members = new Map<string, { readonly self: Omit<Member, 'startedAt'>; seenAt: number }>();
  readonly #passes = new Map<Participant, number>();
  #state: number;

  constructor(seed: number) {
    this.#state = seed;
  }

  random(): number {
    this.#state = (Math.imul(this.#state, 1_664_525) + 1_013_904_223) >>> 0;
    return this.#state / 4_294_967_296;
  }

  /** Begins, and lets each have its share. */
  async startSeveral(relays: number): Promise<Participant[]> {
    for (let n = 0; n < relays; n++) {
      await this.start();
      await this.advance(this.random() * 2_000);
    }
    await this.until(() => this.owned() === SHARDS && this.isEven());
    return this.participants;
  }

  async start(): Promise<Participant> {
    const clock: Clock = { now: () => this.now, monotonic: () => this.now, sleep: () => Promise.reject(new Error('not used')) };
    const id = randomBytes(16);
    const world = this;
    const participant: Mutable<Participant> = {
      leases: new ShardLeases({
        self: { id, wakeHost: null, wakePort: null, version: '0' },
        report: () => REPORT,
        leases: this.#slow(this.#store, (name) => {
          if (name === 'renew') {
            participant.renewals += 1;
            participant.renewedAt = this.now;
          }
        }),
        membership: this.#membership(() => {
          participant.renewalSentAt = this.now - STATEMENT_MS;
        }),
        clock,
        ttlMs: TTL_MS,
        onAcquired: () => undefined,
        onLost: () => {
          participant.lost += 1;
        },
        drain: () => participant.answered(),
        learnPins: () => Promise.resolve(),
        onRenewed: () => undefined,
      }),
      renewals: 0,
      renewedAt: 0,
      renewalSentAt: 0,
      lost: 0,
      answered: () => Promise.resolve(),
      dead: false,
      async pass() {
        world.#passes.set(participant, world.now + (await participant.leases.runOnce()));
      },
    };
    this.participants.push(participant);
    await participant.pass();
    return participant;
  }

  async leave(participant: Participant): Promise<void> {
    this.participants.splice(this.participants.indexOf(participant), 1);
    this.#passes.delete(participant);
    await participant.leases.releaseAll();
  }

  async advance(ms: number): Promise<void> {
    const end = this.now + ms;
    while (await this.#step(end));
    this.now = Math.max(this.now, end);
  }

  async until(condition: () => boolean): Promise<void> {
    const end = this.now + 20 * TTL_MS;
    while (!condition()) if (!(await this.#step(end))) throw new Error('It never came to that.');
  }

  owned(): number {
    return new Set(this.#living().flatMap((one) => [...one.leases.held.keys()])).size;
  }

  shares(): number[] {
    return this.#living()
      .map((one) => one.leases.held.size)
      .sort((a, b) => b - a);
  }

  isEven(): boolean {
    const shares = this.shares();
    return (shares[0] as number) - (shares.at(-1) as number) <= 1;
  }

  #living(): Participant[] {
    return this.participants.filter((one) => !one.dead);
  }

  /** The next pass of a relay, if it is due before `end`. */
  async #step(end: number): Promise<boolean> {
    // Hand-overs end between passes.
    await new Promise(setImmediate);
    const [next] = this.#living().sort((a, b) => (this.#passes.get(a) as number) - (this.#passes.get(b) as number));
    const at = next ? (this.#passes.get(next) as number) : Number.POSITIVE_INFINITY;
    if (!next || at > end) return false;
    this.now = Math.max(this.now, at);
    await next.pass();
    const trusted = this.participants.filter((one) => one.leases.trusted).flatMap((one) => [...one.leases.held.keys()]);
    if (new Set(trusted).size < trusted.length) this.overlaps += 1;
    return true;
  }

  #slow(store: LeaseStore, called: (name: string) => void): LeaseStore {
    const slow = async <T>(name: string, work: () => Promise<T>): Promise<T> => {
      const result = await work();
      this.now += STATEMENT_MS;
      called(name);
      return result;
    };
    return {
      ensure: (...given) => slow('ensure', () => store.ensure(...given)),
      list: (...given) => slow('list', () => store.list(...given)),
      take: (...given) => slow('take', () => store.take(...given)),
      renew: (...given) => slow('renew', () => store.renew(...given)),
      release: (...given) => slow('release', () => store.release(...given)),
      want: (...given) => slow('want', () => store.want(...given)),
    };
  }

  #membership(seen: () => void): Membership {
    return {
      seen: (self) => {
        this.#members.set(self.id.toString('hex'), { self, seenAt: this.now });
        this.now += STATEMENT_MS;
        seen();
        return Promise.resolve();
      },
      list: (ttlMs) =>
        Promise.resolve(
          [...this.#members.values()].map(({ self, seenAt }) => ({ ...self, startedAt: '', alive: this.now - seenAt <= ttlMs })),
        ),
      forgetOld: () => Promise.resolve(),
      reports: () => Promise.resolve(new Map()),
      leave: (id) => {
        this.#members.delete(id.toString('hex'));
        return Promise.resolve();
      },
    };
  }
}
