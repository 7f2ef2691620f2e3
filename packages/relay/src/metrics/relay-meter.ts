import { type Clock, Metrics, systemClock } from '@txbox/core/spi';
import type { Relay } from '../relay.ts';
import type { RelayBacklog } from '../relay-backlog.ts';
import { RELAY_METRICS as M } from './relay-metrics.ts';

/** The database is asked what waits at most so often, however often somebody scrapes. */
const READ_EVERY_MS = 10_000;
/** Readings take at most one part in so many of the time. */
const READ_SHARE = 50;
/** A scrape waits for a reading for so long, then shows what was known before. */
const READ_WAIT_MS = 1_000;

/** Counts what a relay tells, and asks it for the rest when somebody scrapes. */
export class RelayMeter {
  readonly #relay: Relay;
  readonly #clock: Clock;
  readonly #metrics = new Metrics(Object.values(M));
  readonly #ends: readonly (() => void)[];
  #backlog: RelayBacklog | undefined;
  #readAt = 0;
  #nextReadAt = 0;
  #reading: Promise<void> | undefined;

  constructor(relay: Relay, clock: Clock = systemClock) {
    this.#relay = relay;
    this.#clock = clock;
    this.#ends = subscriptions(relay, this.#metrics);
    this.#metrics.set(M.startTime, {}, Math.round((clock.now() - process.uptime() * 1_000) / 1_000));
  }

  /** The metrics as text. Never rejects: what cannot be read is shown as it was, and its age grows. */
  async text(): Promise<string> {
    await this.#look();
    this.#showBacklog();
    this.#showStatus();
    this.#metrics.set(M.residentMemory, {}, process.memoryUsage.rss());
    const { user, system } = process.cpuUsage();
    this.#metrics.set(M.cpuSeconds, {}, (user + system) / 1_000_000);
    return this.#metrics.text();
  }

  /** Listens no more. */
  close(): void {
    for (const end of this.#ends) end();
  }

  async #look(): Promise<void> {
    if (this.#relay.status().state !== 'running') return;
    if (!this.#reading && this.#clock.monotonic() >= this.#nextReadAt) this.#reading = this.#read();
    if (!this.#reading) return;
    const enough = new AbortController();
    await Promise.race([this.#reading, this.#clock.sleep(READ_WAIT_MS, enough.signal)]);
    enough.abort();
  }

  async #read(): Promise<void> {
    const began = this.#clock.monotonic();
    try {
      this.#backlog = await this.#relay.backlog();
      this.#readAt = this.#clock.monotonic();
    } catch {
      // The database is away, which the relay itself tells; the age of the last reading grows.
    } finally {
      const now = this.#clock.monotonic();
      this.#nextReadAt = now + Math.max(READ_EVERY_MS, READ_SHARE * (now - began));
      this.#reading = undefined;
    }
  }

  #showBacklog(): void {
    for (const gauge of [M.shardLag, M.pendingEvents, M.pendingBytes]) this.#metrics.clear(gauge);
    const backlog = this.#backlog;
    if (!backlog) {
      this.#metrics.set(M.backlogReadAge, {}, Number.NaN);
      return;
    }
    const sinceMs = this.#clock.monotonic() - this.#readAt;
    // While the database does not answer, nothing is settled either: what waited grows older.
    const overdueMs = sinceMs > 2 * READ_EVERY_MS ? sinceMs : 0;
    let oldestMs = 0;
    for (const { shard, rows, bytes, oldestAgeMs } of backlog.shards) {
      const labels = { shard: String(shard) };
      const ageMs = rows === 0 ? 0 : oldestAgeMs + overdueMs;
      oldestMs = Math.max(oldestMs, ageMs);
      this.#metrics.set(M.shardLag, labels, ageMs / 1_000);
      this.#metrics.set(M.pendingEvents, labels, rows);
      this.#metrics.set(M.pendingBytes, labels, bytes);
    }
    this.#metrics.set(M.oldestAge, {}, oldestMs / 1_000);
    this.#metrics.set(M.parkedKeys, {}, backlog.parked.keys);
    this.#metrics.set(M.deadLetters, {}, backlog.parked.deadLetters);
    this.#metrics.set(M.backlogReadAge, {}, sinceMs / 1_000);
  }

  #showStatus(): void {
    const { shards, rows, bytes, held } = this.#relay.status();
    this.#metrics.set(M.shards, {}, shards.length);
    this.#metrics.set(M.memoryEvents, {}, rows);
    this.#metrics.set(M.memoryBytes, {}, bytes);
    this.#metrics.set(M.ready, {}, this.#relay.readiness().ready ? 1 : 0);
    for (const gauge of [M.heldLanes, M.heldEvents]) this.#metrics.clear(gauge);
    for (const { topic, rows: waiting } of held) {
      this.#metrics.add(M.heldLanes, { topic });
      this.#metrics.add(M.heldEvents, { topic }, waiting);
    }
  }
}

function subscriptions(relay: Relay, metrics: Metrics): readonly (() => void)[] {
  return [
    relay.on('published', ({ topic, messages, sendMs }) => {
      metrics.add(M.published, { topic }, messages);
      metrics.observe(M.sendDuration, { outcome: 'acknowledged' }, sendMs / 1_000);
    }),
    relay.on('settled', ({ messages, settleMs }) => {
      metrics.add(M.settled, {}, messages);
      metrics.observe(M.settleDuration, {}, settleMs / 1_000);
    }),
    relay.on('retried', ({ topic, messages, reason, sendMs }) => {
      metrics.add(M.retried, { topic, kind: reason.kind }, messages);
      metrics.observe(M.sendDuration, { outcome: 'failed' }, sendMs / 1_000);
    }),
    relay.on('held', ({ topic, reason }) => metrics.add(M.holds, { topic, kind: reason.kind })),
    relay.on('parked', ({ topic }) => metrics.add(M.parked, { topic })),
    relay.on('followed', ({ topic, messages }) => metrics.add(M.followed, { topic }, messages)),
    relay.on('order-alarm', () => metrics.add(M.orderAlarms, {})),
    relay.on('shard-acquired', () => metrics.add(M.shardChanges, { change: 'acquired' })),
    relay.on('shard-released', ({ why }) => metrics.add(M.shardChanges, { change: why })),
    relay.on('failed', ({ what }) => metrics.add(M.failures, { loop: what })),
    relay.on('event-loop-delay', ({ delayMs }) => metrics.observe(M.eventLoopDelay, {}, delayMs / 1_000)),
    relay.on('event-loop-blocked', () => metrics.add(M.eventLoopBlocks, {})),
  ];
}
