import { MemoryOutbox } from '@txbox/testing';
import { describe, expect, it } from 'vitest';
import { Lane } from '../src/lane.ts';
import { type CommittedRow, LowMark, PositionHorizon } from '../src/low-mark.ts';
import { type LaneRouter, type QueuedRow, ShardQueue } from '../src/shard-queue.ts';
import { keysOf, message } from './message.ts';

/** The longest an INSERT takes from its first number to its last row, and what the low mark lags behind. */
const LAG_MS = 50;
const SHARD = 3;
const KEYS = keysOf(SHARD, 3);
const STRANGER = keysOf(SHARD + 1, 1)[0] as Buffer;
const EVENTS = 60;

/** Mutants: each lacks one part of P-R2. */
class PlainHint extends LowMark {
  hint = 0;
  override get value(): number {
    return this.hint;
  }
  override lowerTo(position: number): void {
    this.hint = Math.min(this.hint, position);
  }
}
class NoDirtyLook extends LowMark {
  override dirtyLook(look: Parameters<LowMark['dirtyLook']>[0]): void {
    super.dirtyLook(look, [], true);
  }
}
class NoCommittedLook extends LowMark {
  override committedLook(): boolean {
    return super.committedLook([] satisfies CommittedRow[], Number.POSITIVE_INFINITY);
  }
}

interface Variant {
  readonly name: string;
  readonly mark: () => LowMark;
  readonly lagMs: number;
}

const RULE: Variant = { name: 'the rule', mark: () => new LowMark(), lagMs: LAG_MS };
const MUTANTS: readonly Variant[] = [
  { name: 'a plain hint: reading starts where the last page ended', mark: () => new PlainHint(), lagMs: LAG_MS },
  { name: 'no dirty look: rows of open transactions are not seen', mark: () => new NoDirtyLook(), lagMs: LAG_MS },
  { name: 'no committed look: rows that an open DELETE hides are not seen', mark: () => new NoCommittedLook(), lagMs: LAG_MS },
  { name: 'no lag: numbers whose rows are not inserted yet are passed', mark: () => new LowMark(), lagMs: 0 },
];

describe('the low mark over an outbox in memory (P-R2)', () => {
  it('keeps the order of every key and loses nothing, whatever commits late or rolls back', async () => {
    for (let seed = 1; seed <= 40; seed++) {
      const world = new World(seed, RULE);
      await world.run();
      expect({ seed, ...(await world.verdict()) }).toEqual({ seed, outOfOrder: 0, lost: 0, rowsLeft: 0 });
      // A mark that never rose would keep every order, too.
      expect(world.highestLow).toBeGreaterThan(EVENTS);
    }
  });

  it.each(MUTANTS)('goes wrong with $name', async (mutant) => {
    let broken = 0;
    for (let seed = 1; seed <= 40 && broken === 0; seed++) {
      const world = new World(seed, mutant);
      await world.run();
      const { outOfOrder, lost, rowsLeft } = await world.verdict();
      broken += outOfOrder + lost + rowsLeft;
    }
    expect(broken).toBeGreaterThan(0);
  });

  it.each([
    { variant: RULE, sent: [300, 600, 602] },
    { variant: MUTANTS[0] as Variant, sent: [600, 602] },
  ])('reads a row that commits late before its followers: $variant.name', async ({ variant, sent }) => {
    const outbox = new MemoryOutbox();
    const relay = new Reader(outbox, variant);
    const [key] = KEYS as [Buffer];
    outbox.numberFrom(300);
    const late = outbox.begin();
    late.insert([message(key)]);
    outbox.numberFrom(600);
    outbox.add([message(KEYS[1] as Buffer)]);
    await relay.pass(1_000);
    expect(relay.takeQueued()).toEqual([600]);
    late.commit();
    outbox.numberFrom(602);
    outbox.add([message(key)]);
    await relay.pass(2_000);
    await relay.pass(2_001);
    expect([600, ...relay.takeQueued()].sort((a, b) => a - b)).toEqual(sent);
  });
});

/** What a relay does with one shard, by hand. */
class Reader implements LaneRouter {
  readonly queue: ShardQueue = new ShardQueue(SHARD, 1);
  readonly lane: Lane<QueuedRow> = new Lane('orders', 0, {
    limits: { rows: 5, bytes: 1_000_000, loneRowBytes: 1_000_000 },
    backoff: { baseMs: 1, capMs: 1 },
    refusedBackoff: { baseMs: 1, capMs: 1 },
    random: () => 1,
  });
  readonly #outbox: MemoryOutbox;
  readonly #horizon: PositionHorizon;
  readonly #mark: LowMark;
  readonly #queued: number[] = [];

  constructor(outbox: MemoryOutbox, variant: Variant) {
    this.#outbox = outbox;
    this.#horizon = new PositionHorizon(variant.lagMs);
    this.#mark = variant.mark();
    Object.assign(this.queue, { lowMark: this.#mark });
  }

  laneOf(): Lane<QueuedRow> {
    return this.lane;
  }

  isFull(): boolean {
    return false;
  }

  isHeldUp(): boolean {
    return false;
  }

  enqueue(lane: Lane<QueuedRow>, row: QueuedRow): void {
    lane.enqueue(row);
    this.#queued.push(row.row.position);
  }

  async dirtyLook(now: number): Promise<void> {
    this.#horizon.saw(await this.#outbox.highestPosition(), now);
    const look = this.#mark.plan(this.#horizon.target(now));
    if (!look) return;
    const [positions = []] = await this.#outbox.dirtyPositions([{ shard: SHARD, ...look, limit: 100 }]);
    this.#mark.dirtyLook(look, positions, positions.length < 100);
  }

  /** Asks for a page; its snapshot is of now, its arrival is the caller's choice. */
  async ask(limit: number): Promise<() => void> {
    const sent = this.queue.ask(limit, 1_000);
    const [page] = await this.#outbox.readPages([sent.request]);
    return () => {
      this.queue.deliver(sent, page, this);
      if (this.#mark instanceof PlainHint) this.#mark.hint = this.queue.cursor;
    };
  }

  async pass(now: number): Promise<void> {
    await this.dirtyLook(now);
    (await this.ask(100))();
  }

  takeQueued(): number[] {
    return this.#queued.splice(0);
  }
}

/** Writers, relays that take over from each other, and a log, on a clock of their own; the same seed is the same history. */
class World {
  readonly #outbox: MemoryOutbox = new MemoryOutbox();
  readonly #variant: Variant;
  readonly #random: () => number;
  readonly #agenda: { readonly at: number; readonly step: () => void | Promise<void> }[] = [];
  readonly #committed: Map<Buffer, string[]> = new Map(KEYS.map((key) => [key, []]));
  readonly #log: string[] = [];
  #reader: Reader;
  #now = 0;
  #writing = KEYS.length;
  highestLow = 0;

  constructor(seed: number, variant: Variant) {
    this.#random = randomOf(seed);
    this.#variant = variant;
    this.#reader = new Reader(this.#outbox, variant);
  }

  /** Until the writers are done, and for long enough after that to send and settle whatever is seen. */
  async run(): Promise<void> {
    for (const key of KEYS) this.#write(key, EVENTS);
    this.#disturb();
    this.#takeOver();
    let endAt = Number.POSITIVE_INFINITY;
    while (this.#agenda.length > 0 && this.#now < endAt) {
      this.#agenda.sort((a, b) => a.at - b.at);
      const next = this.#agenda.shift();
      if (!next) break;
      this.#now = next.at;
      await next.step();
      if (this.#writing === 0) endAt = Math.min(endAt, this.#now + 2_000);
    }
  }

  async verdict(): Promise<{ outOfOrder: number; lost: number; rowsLeft: number }> {
    const first = [...new Set(this.#log)];
    let outOfOrder = 0;
    let lost = 0;
    for (const ids of this.#committed.values()) {
      const places = ids.map((id) => first.indexOf(id));
      lost += places.filter((place) => place < 0).length;
      outOfOrder += places.filter((place, index) => index > 0 && place < (places[index - 1] as number)).length;
    }
    const [page] = await this.#outbox.readPages([{ shard: SHARD, low: 0, start: 0, limit: 1_000, inlineBytes: 0 }]);
    return { outOfOrder, lost, rowsLeft: page?.rows.length ?? 0 };
  }

  #in(delayMs: number, step: () => void | Promise<void>): void {
    this.#agenda.push({ at: this.#now + delayMs, step });
  }

  #between(least: number, most: number): number {
    return least + Math.floor(this.#random() * (most - least + 1));
  }

  /** One key's transactions, one after another: they share the aggregate's lock. */
  #write(key: Buffer, left: number): void {
    if (left === 0) {
      this.#writing -= 1;
      return;
    }
    const transaction = this.#outbox.begin();
    const event = message(key);
    const position = transaction.draw(1);
    this.#in(this.#between(0, LAG_MS - 2), () => {
      transaction.insert([event], position);
      this.#in(this.#random() < 0.2 ? this.#between(100, 600) : this.#between(0, 5), () => {
        if (this.#random() < 0.1) transaction.rollback();
        else {
          transaction.commit();
          this.#committed.get(key)?.push(event.id.toString('hex'));
        }
        this.#in(this.#between(0, 10), () => this.#write(key, left - 1));
      });
    });
  }

  /** Another shard's transactions use numbers, too, and make the horizon rise. */
  #disturb(): void {
    if (this.#writing === 0) return;
    this.#outbox.add([message(STRANGER)]);
    this.#in(this.#between(1, 15), () => this.#disturb());
  }

  /** The former relay forgets what it read; its requests and its open DELETEs end as they may. */
  #takeOver(): void {
    if (this.#writing === 0) return;
    this.#reader.queue.giveUp();
    this.#reader = new Reader(this.#outbox, this.#variant);
    this.#read(this.#reader);
    this.#in(this.#between(300, 1_500), () => this.#takeOver());
  }

  #read(reader: Reader): void {
    this.#in(this.#between(1, 8), async () => {
      if (this.#random() < 0.7) await reader.dirtyLook(this.#now);
      this.#in(this.#between(0, 10), async () => {
        const arrive = await reader.ask(this.#between(1, 6));
        this.#in(this.#between(0, 10), () => {
          if (reader !== this.#reader) return;
          arrive();
          this.highestLow = Math.max(this.highestLow, reader.queue.low);
          this.#send(reader);
          this.#read(reader);
        });
      });
    });
  }

  #send(reader: Reader): void {
    const rows = reader === this.#reader ? reader.lane.next(this.#now, { rows: 500, bytes: 500_000 }) : undefined;
    if (!rows) return;
    this.#in(this.#between(0, 5), () => {
      this.#log.push(...rows.map((row) => row.row.id.toString('hex')));
      this.#in(this.#between(0, 5), () => {
        for (const row of reader.lane.acknowledge()) reader.queue.acknowledge(row, this.#now);
        this.#in(this.#between(0, 80), () => this.#settle(reader));
        this.#send(reader);
      });
    });
  }

  /** A DELETE that may stay open for long and may roll back. */
  #settle(reader: Reader): void {
    const rows = reader.queue.takeAcknowledged(20, this.#now);
    if (rows.length === 0) return;
    const transaction = this.#outbox.begin();
    transaction.remove(rows.map((row) => row.row.id));
    this.#in(this.#between(0, 300), () => {
      if (this.#random() < 0.3) {
        transaction.rollback();
        reader.queue.putBackAcknowledged(rows);
        if (reader === this.#reader) this.#in(this.#between(1, 200), () => this.#settle(reader));
        return;
      }
      transaction.commit();
      reader.queue.settled(rows);
    });
  }
}

/** mulberry32: small, seeded, good enough to choose interleavings. */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
