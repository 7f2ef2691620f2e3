import { setTimeout as sleep } from 'node:timers/promises';
import { ChaosRelay, type ChaosRelayCounts, type ChaosRelayOptions } from './chaos-relay.ts';
import type { ChaosSite } from './chaos-site.ts';
import { between, type Random } from './random.ts';

/** What was done to the relays. */
export interface Faults {
  kills: number;
  /** Kills of both at once. */
  doubleKills: number;
  /** Pauses past the TTL. */
  longPauses: number;
  shortPauses: number;
  stops: number;
}

type Side = 0 | 1;

const SHARDS = 16;
const LOOK_MS = 25;

/** Two relays, which are killed, paused and stopped at random. */
export class RelayPair implements AsyncDisposable {
  /** What all relays told so far. */
  readonly counts: ChaosRelayCounts;
  readonly faults: Faults = { kills: 0, doubleKills: 0, longPauses: 0, shortPauses: 0, stops: 0 };
  /** Milliseconds from a relay's death or pause until a living one owned every shard, while the other ran all the time. */
  readonly takeOvers: number[] = [];
  readonly #site: ChaosSite;
  readonly #options: ChaosRelayOptions;
  readonly #relays: [ChaosRelay, ChaosRelay];
  /** Does not act at the moment. */
  readonly #away: Set<string> = new Set();

  private constructor(site: ChaosSite, options: ChaosRelayOptions, relays: [ChaosRelay, ChaosRelay], counts: ChaosRelayCounts) {
    this.#site = site;
    this.#options = options;
    this.#relays = relays;
    this.counts = counts;
  }

  static async start(site: ChaosSite, leaseTtlMs: number): Promise<RelayPair> {
    const options = { url: site.databaseUrl, brokers: site.brokers, leaseTtlMs };
    const counts: ChaosRelayCounts = { alarm: 0, parked: 0, lost: 0 };
    const one = await ChaosRelay.start(options, counts);
    try {
      return new RelayPair(site, options, [one, await ChaosRelay.start(options, counts)], counts);
    } catch (error) {
      await one.kill();
      throw error;
    }
  }

  /** One fault after another until `signal` is aborted; both run then. */
  async disturb(random: Random, signal: AbortSignal): Promise<void> {
    const { leaseTtlMs } = this.#options;
    while (!signal.aborted) {
      await sleep(between(random, 500, 3_000));
      const side: Side = random() < 0.5 ? 0 : 1;
      const kind = random();
      if (kind < 0.35) await this.#kill(side, between(random, 0, 2_000));
      else if (kind < 0.65) await this.#pause(side, between(random, 1.1, 2.5) * leaseTtlMs);
      else if (kind < 0.8) await this.#blink(side, between(random, 0.1, 0.8) * leaseTtlMs);
      else if (kind < 0.9) await this.#stop(side);
      else await this.#killBoth();
    }
  }

  /** Resolves when living relays own every shard; the milliseconds from `since` on. Rejects after `mostMs`. */
  async owned(since: number, mostMs: number): Promise<number> {
    for (;;) {
      const rows = await this.#site.rows(
        "SELECT LOWER(HEX(owner)) AS owner FROM txbox_lease WHERE scope = 'relay-shard' AND owner IS NOT NULL AND expires_at > UTC_TIMESTAMP(6)",
      );
      const now = performance.now();
      if (rows.filter((row) => !this.#away.has(row['owner'] as string)).length === SHARDS) return now - since;
      if (now - since > mostMs) throw new Error(`Not every shard was owned after ${Math.round(now - since)} ms.`);
      await sleep(LOOK_MS);
    }
  }

  async stop(): Promise<void> {
    await Promise.all(this.#relays.map((relay) => relay.stop()));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#relays.map((relay) => relay.kill()));
  }

  async #kill(side: Side, awayMs: number): Promise<void> {
    this.faults.kills += 1;
    const dead = this.#relays[side];
    this.#away.add(dead.id);
    const since = performance.now();
    await dead.kill();
    const [takeOver] = await Promise.all([this.owned(since, MOST_MS), sleep(awayMs).then(() => this.#restart(side))]);
    this.takeOvers.push(takeOver);
  }

  async #pause(side: Side, ms: number): Promise<void> {
    this.faults.longPauses += 1;
    const paused = this.#relays[side];
    this.#away.add(paused.id);
    const since = performance.now();
    paused.pause();
    const [takeOver] = await Promise.all([this.owned(since, MOST_MS), sleep(ms)]);
    this.takeOvers.push(takeOver);
    paused.resume();
    this.#away.delete(paused.id);
  }

  async #blink(side: Side, ms: number): Promise<void> {
    this.faults.shortPauses += 1;
    this.#relays[side].pause();
    await sleep(ms);
    this.#relays[side].resume();
  }

  async #stop(side: Side): Promise<void> {
    this.faults.stops += 1;
    await this.#relays[side].stop();
    await this.#restart(side);
  }

  async #killBoth(): Promise<void> {
    this.faults.doubleKills += 1;
    for (const relay of this.#relays) this.#away.add(relay.id);
    await Promise.all(this.#relays.map((relay) => relay.kill()));
    await Promise.all([this.#restart(0), this.#restart(1)]);
    await this.owned(performance.now(), MOST_MS);
  }

  async #restart(side: Side): Promise<void> {
    this.#relays[side] = await ChaosRelay.start(this.#options, this.counts);
  }
}

/** Then nobody waits any more. */
const MOST_MS = 60_000;
