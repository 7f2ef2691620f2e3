import { type Clock, type MetricDefinition, Metrics, type MetricValue, systemClock } from '@txbox/core/spi';
import type { Relay } from '../relay.ts';
import type { RelayBacklog } from '../relay-backlog.ts';
import type { RelayEvents } from '../relay-event.ts';
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
      this.#metrics.value(M.heldLanes, { topic }).add();
      this.#metrics.value(M.heldEvents, { topic }).add(waiting);
    }
  }
}

const SHARD_CHANGES = ['acquired', 'handed-over', 'lost', 'stopped'] as const satisfies readonly (
  | 'acquired'
  | Told<'shard-released'>['why']
)[];
const LOOPS = ['read', 'settle', 'lease', 'park', 'maintenance'] as const satisfies readonly Told<'failed'>['what'][];
const CLEANED = ['archive', 'dead-letters'] as const satisfies readonly Told<'cleaned'>['what'][];

type Told<Name extends keyof RelayEvents> = RelayEvents[Name];

/** What every request to broker or database passes is looked up once; what happens rarely is looked up when it happens. */
function subscriptions(relay: Relay, metrics: Metrics): readonly (() => void)[] {
  const published = byTopic(metrics, M.published);
  const settled = metrics.value(M.settled, {});
  const settleDuration = metrics.histogram(M.settleDuration, {});
  const acknowledgedDuration = metrics.histogram(M.sendDuration, { outcome: 'acknowledged' });
  const failedDuration = metrics.histogram(M.sendDuration, { outcome: 'failed' });
  const eventLoopDelay = metrics.histogram(M.eventLoopDelay, {});
  // At 0 from the start, so that the first of its kind is a rise.
  for (const change of SHARD_CHANGES) metrics.set(M.shardChanges, { change }, 0);
  for (const loop of LOOPS) metrics.set(M.failures, { loop }, 0);
  for (const what of CLEANED) metrics.set(M.cleaned, { what }, 0);
  return [
    relay.on('published', ({ topic, messages, sendMs }) => {
      published(topic).add(messages);
      acknowledgedDuration.observe(sendMs / 1_000);
    }),
    relay.on('settled', ({ messages, settleMs }) => {
      settled.add(messages);
      settleDuration.observe(settleMs / 1_000);
    }),
    relay.on('retried', ({ topic, messages, reason, sendMs }) => {
      metrics.value(M.retried, { topic, kind: reason.kind }).add(messages);
      failedDuration.observe(sendMs / 1_000);
    }),
    relay.on('held', ({ topic, reason }) => metrics.value(M.holds, { topic, kind: reason.kind }).add()),
    relay.on('parked', ({ topic }) => metrics.value(M.parked, { topic }).add()),
    relay.on('followed', ({ topic, messages }) => metrics.value(M.followed, { topic }).add(messages)),
    relay.on('order-alarm', () => metrics.value(M.orderAlarms, {}).add()),
    relay.on('shard-acquired', () => metrics.value(M.shardChanges, { change: 'acquired' }).add()),
    relay.on('shard-released', ({ why }) => metrics.value(M.shardChanges, { change: why }).add()),
    relay.on('cleaned', ({ what, messages }) => metrics.value(M.cleaned, { what }).add(messages)),
    relay.on('failed', ({ what }) => metrics.value(M.failures, { loop: what }).add()),
    relay.on('event-loop-delay', ({ delayMs }) => eventLoopDelay.observe(delayMs / 1_000)),
    relay.on('event-loop-blocked', () => metrics.value(M.eventLoopBlocks, {}).add()),
  ];
}

function byTopic(metrics: Metrics, definition: MetricDefinition<'topic'>): (topic: string) => MetricValue {
  const values = new Map<string, MetricValue>();
  return (topic) => {
    const known = values.get(topic);
    if (known) return known;
    const value = metrics.value(definition, { topic });
    values.set(topic, value);
    return value;
  };
}
