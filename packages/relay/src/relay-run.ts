import { randomBytes } from 'node:crypto';
import { type Database, deadLetterStore, type Loop, leaseStore, startLoop, systemClock } from '@txbox/core/spi';
import { type OutboxStore, outboxStore, RELAY_SCOPE, type RowHead, type TopicPins } from '@txbox/outbox/store';
import { BrokerProbe } from './broker-probe.ts';
import { watchOwnEventLoop } from './event-loop-watch.ts';
import { FollowerMover } from './follower-mover.ts';
import { describeError } from './foreign-error.ts';
import { heldLanes } from './held-lane.ts';
import { IdleWait } from './idle-wait.ts';
import { KeptSessions } from './kept-session.ts';
import type { LanePolicy } from './lane.ts';
import { LaneTable } from './lane-table.ts';
import type { Maintenance } from './maintenance/maintenance.ts';
import { maintenanceOf } from './maintenance/relay-maintenance.ts';
import { laneFacts, type ReadinessFacts } from './readiness.ts';
import type { RelayBacklog } from './relay-backlog.ts';
import type { RelayEmitter, RelayEvents } from './relay-event.ts';
import { type ResolvedRelayOptions, SLOWER } from './relay-options.ts';
import { MOST_HELD, type RelayReport } from './relay-report.ts';
import { Sender } from './sender.ts';
import { Settler } from './settler.ts';
import { ShardLeases } from './shard-leases.ts';
import { ShardLoop } from './shard-loop.ts';
import type { QueuedRow } from './shard-queue.ts';
import { relayMembership } from './sql/relay-membership.ts';
import { WakeListener } from './wake-listener.ts';

/** A request that is unanswered for so long counts as one that waits. */
const STUCK_AFTER_MS = 2_000;
/** Pause between two sweeps below the low marks. */
const SWEEP_MS = 5_000;
/** Most bytes of unanswered requests, of each of the two kinds: those that wait, and all others. */
const MAX_IN_FLIGHT_BYTES = 16_777_216;
/** Shards that are settled side by side. With two, the rows that waited to be settled filled the memory, and reading waited for room. */
const SETTLERS = 4;
/** A failed pass of a loop is tried again after so long. */
const LOOP_BACKOFF = { baseMs: 100, capMs: 2_000 };

/** Counters of a run. */
export interface RelayCounts {
  published: number;
  settled: number;
  failedRequests: number;
  orderAlarms: number;
  /** Messages that became dead letters because the broker refused them. */
  parked: number;
}

/**
 * From taking shards to giving them up: loops side by side, and one that forgets what was kept for long enough.
 *
 * ```
 * leases ──► reading ──► lanes ──► sending ──► settling
 *               ▲                     │
 *            wake-ups                 ├── broker
 *                                     └── refused: parked ──► followers moved
 * ```
 */
export class RelayRun {
  readonly id: Buffer = randomBytes(16);
  readonly lanes: LaneTable;
  readonly #options: ResolvedRelayOptions;
  readonly #events: RelayEmitter;
  readonly #sender: Sender;
  readonly #settler: Settler;
  readonly #mover: FollowerMover;
  readonly #maintenance: Maintenance | undefined;
  readonly #stored: OutboxStore;
  readonly #reading: ShardLoop;
  readonly #idle: IdleWait;
  readonly #wake: WakeListener;
  readonly #sessions: readonly KeptSessions[];
  readonly #leaseSessions: KeptSessions;
  readonly #pins: TopicPins;
  readonly #tables: string;
  readonly #database: Database;
  readonly #knownTopics: readonly string[];
  readonly #probe: BrokerProbe;
  #leases: ShardLeases | undefined;
  #readLoop: Loop | undefined;
  #settleLoop: Loop | undefined;
  #moveLoop: Loop | undefined;
  #maintenanceLoop: Loop | undefined;
  #leaseLoop: Loop | undefined;
  #endWatch: (() => void) | undefined;
  readonly #stopping = new AbortController();
  #ended = false;
  #stopped: Promise<void> | undefined;

  constructor(database: Database, options: ResolvedRelayOptions, events: RelayEmitter, topics: readonly string[]) {
    const { publisher, logger, tablePrefix, retry, maxRows, maxBytes } = options;
    this.#options = options;
    this.#events = events;
    this.#tables = tablePrefix;
    this.#database = database;
    this.#knownTopics = topics;
    this.#probe = new BrokerProbe(publisher, systemClock);
    const clock = systemClock;
    const now = (): number => clock.monotonic();
    const random = Math.random;
    const staleAfterMs = Math.max(500, options.leaseTtlMs);
    const readSessions = new KeptSessions(database, { now, staleAfterMs, onLost: () => this.#reading.restart() });
    const settleSessions = Array.from({ length: SETTLERS }, () => new KeptSessions(database, { now, staleAfterMs }));
    this.#leaseSessions = new KeptSessions(database, { now, staleAfterMs });
    this.#pins = outboxStore(this.#leaseSessions, { tablePrefix });
    const parkSessions = new KeptSessions(database, { now, staleAfterMs });
    const maintenanceSessions = new KeptSessions(database, { now, staleAfterMs });
    this.#sessions = [readSessions, ...settleSessions, parkSessions, maintenanceSessions, this.#leaseSessions];

    const stored = outboxStore(database, { tablePrefix });
    this.#stored = stored;
    this.lanes = new LaneTable(
      lanePolicy(options, random),
      { baseMs: SLOWER.topic * retry.baseMs, capMs: Math.max(retry.capMs, SLOWER.topic * retry.baseMs) },
      { rows: maxRows, bytes: maxBytes, afterMs: STUCK_AFTER_MS },
    );
    const mayAct = (): boolean => !this.#ended && this.#leases?.trusted === true;
    this.#sender = new Sender({
      publisher,
      payloads: stored,
      pins: stored,
      parker: stored,
      onPermanentFailure: options.onPermanentFailure,
      lanes: this.lanes,
      clock,
      logger,
      events,
      random,
      maxRequests: options.maxRequests,
      maxBytes: MAX_IN_FLIGHT_BYTES,
      maxRows: maxRows / 2,
      mayAct,
      onAcknowledged: (rows, at) => this.#acknowledged(rows, at),
      onProgress: (gone) => this.#moved(gone),
    });
    this.#settler = new Settler({
      settlers: settleSessions.map((sessions) => outboxStore(sessions, { tablePrefix, archive: options.archive !== false })),
      classify: (error) => database.dialect.classify(error),
      clock,
      events,
      onSettled: () => this.#settled(),
    });
    this.#mover = new FollowerMover({
      parker: outboxStore(parkSessions, { tablePrefix }),
      queues: () => this.#reading.queues.values(),
      onMoved: (rows) => this.#followed(rows),
      onFreed: () => this.#readLoop?.wake(),
    });
    this.#maintenance = maintenanceOf(maintenanceSessions, options, this.id, events, this.#stopping.signal);
    this.#reading = new ShardLoop({
      reader: outboxStore(readSessions, { tablePrefix }),
      lanes: this.lanes,
      clock,
      logger,
      events,
      mayAct,
      onRows: () => this.#sender.pump(),
      onParked: () => this.#moveLoop?.wake(),
      pollMinMs: options.pollMinMs,
      pollMaxMs: options.pollMaxMs,
      lowLagMs: options.lowLagMs,
      sweepMs: SWEEP_MS,
      pageRows: options.pageRows,
      maxRows,
      maxBytes,
    });
    this.#wake = new WakeListener((shards) => {
      this.#reading.wake(shards);
      this.#readLoop?.wake();
    });
    this.#idle = new IdleWait({
      stored,
      reading: this.#reading,
      settler: this.#settler,
      lanes: this.lanes,
      events,
      wakeReading: () => this.#readLoop?.wake(),
    });
  }

  /** Shards with the epochs of their leases. */
  get shards(): ReadonlyMap<number, number> {
    return this.#leases?.held ?? new Map();
  }

  /** Rows in memory and their bytes. */
  get held(): { readonly rows: number; readonly bytes: number } {
    const queues = [...this.#reading.queues.values()];
    return { rows: queues.reduce((sum, queue) => sum + queue.size, 0), bytes: queues.reduce((sum, queue) => sum + queue.heldBytes, 0) };
  }

  /** What `/health/ready` is about. */
  readiness(): ReadinessFacts {
    const lanes = laneFacts(this.lanes, systemClock.monotonic());
    return {
      trusted: this.#leases?.trusted === true,
      shards: this.shards.size,
      share: this.#leases?.share ?? 0,
      ...lanes,
      // While there is something to send, its fate tells.
      brokerSilence: lanes.lanes > 0 ? undefined : this.#probe.look(this.#askableTopic()),
    };
  }

  /** What waits in the shards of this relay, from the database. */
  async backlog(): Promise<RelayBacklog> {
    // Rows that are left out of memory do not hold the low mark.
    const requests = [...this.#reading.queues.values()].map(({ shard, low, lowestLeftOut }) => ({
      shard,
      from: Math.min(low, lowestLeftOut ?? low),
    }));
    const shards = await this.#stored.shardBacklogs(requests.sort((a, b) => a.shard - b.shard));
    return { shards, parked: await deadLetterStore(this.#database, RELAY_SCOPE, this.#tables).count() };
  }

  counts(): RelayCounts {
    return {
      published: this.#sender.published,
      settled: this.#settler.settled,
      failedRequests: this.#sender.failed,
      orderAlarms: this.#reading.orderAlarms,
      parked: this.#sender.parked,
    };
  }

  #report(): RelayReport {
    const held = heldLanes(this.lanes, systemClock.monotonic());
    return { ...this.held, ...this.counts(), held: held.slice(0, MOST_HELD), heldLanes: held.length };
  }

  /** Takes the free shards and begins. Rejects when the address for wake-ups or the database cannot be had. */
  async start(version: string): Promise<void> {
    const { leaseTtlMs, wake } = this.#options;
    await this.#wake.start(wake);
    const { address } = this.#wake;
    const self = { id: this.id, wakeHost: address?.host ?? null, wakePort: address?.port ?? null, version };
    const leases = new ShardLeases({
      self,
      report: () => this.#report(),
      leases: leaseStore(this.#leaseSessions, this.#tables),
      membership: relayMembership(this.#leaseSessions, this.#tables),
      clock: systemClock,
      ttlMs: leaseTtlMs,
      onAcquired: (shard, epoch) => this.#acquired(shard, epoch),
      onLost: (shard, epoch) => this.#released(shard, epoch, 'lost'),
      drain: (shard, epoch) => this.#drain(shard, epoch),
      learnPins: () => this.#learnPins(),
      onRenewed: () => this.#pump(),
    });
    this.#leases = leases;
    await leases.runOnce();
    this.#leaseLoop = this.#loop('lease', () => leases.runOnce());
    this.#readLoop = this.#loop('read', () => this.#read());
    this.#settleLoop = this.#loop('settle', () => this.#settler.runOnce());
    this.#moveLoop = this.#loop('park', () => this.#mover.runOnce());
    this.#endWatch = watchOwnEventLoop(this.#options, this.#events, () => leases.trusted);
    const maintenance = this.#maintenance;
    if (maintenance) this.#maintenanceLoop = this.#loop('maintenance', () => maintenance.runOnce());
  }

  /**
   * Resolves when everything that was committed before this call is published and settled, by this relay or another:
   * shards of one that died are not ours before its leases expire. Rejects with `STOPPED`.
   */
  whenIdle(): Promise<void> {
    return this.#idle.whenIdle();
  }

  /** Resolves when nothing is left in the shards of this relay but what a failure holds. */
  whenIdleOrHeld(): Promise<void> {
    return this.#idle.whenIdleOrHeld();
  }

  /** P-R13: reads no more, awaits acknowledgements for `graceMs`, settles, releases. Again: the same stop. */
  stop(graceMs: number): Promise<void> {
    this.#stopped ??= this.#runStop(graceMs);
    return this.#stopped;
  }

  async #runStop(graceMs: number): Promise<void> {
    this.#ended = true;
    this.#stopping.abort();
    const deadline = systemClock.monotonic() + graceMs;
    const within = (work: Promise<unknown> | undefined): Promise<void> => settledWithin(work, deadline - systemClock.monotonic());
    this.#endWatch?.();
    this.#wake.stop();
    this.#sender.end();
    this.#reading.endFullReads();
    this.#idle.end();
    const reading = this.#readLoop?.stop();
    const settling = this.#settleLoop?.stop();
    const moving = this.#moveLoop?.stop();
    const maintaining = this.#maintenanceLoop?.stop();
    await within(this.#sender.quiet());
    await within(settling);
    await within(moving);
    await within(this.#flush(deadline));
    await within(reading);
    await within(maintaining);
    const leasing = this.#leaseLoop?.stop();
    await within(leasing);
    for (const [shard, epoch] of this.shards) this.#released(shard, epoch, 'stopped');
    // What cannot be released expires; a stop never fails for it.
    await settledWithin(Promise.all([this.#leases?.releaseAll(), this.#maintenance?.release()]), RELEASE_MS);
    // A statement that hangs ends with its connection, and with it the loop that waits for it.
    for (const sessions of this.#sessions) await sessions.close();
    await Promise.all([reading, settling, moving, maintaining, leasing]);
  }

  async #flush(deadline: number): Promise<void> {
    while (!this.#settler.isIdle && systemClock.monotonic() < deadline) {
      try {
        await this.#settler.flush();
      } catch {
        await systemClock.sleep(LOOP_BACKOFF.baseMs);
      }
    }
  }

  #loop(what: RelayEvents['failed']['what'], runOnce: () => Promise<number>): Loop {
    return startLoop({
      runOnce,
      backoff: LOOP_BACKOFF,
      onError: (error, failures) => {
        if (this.#ended) return;
        const { code, message } = describeError(error);
        this.#options.logger.warn({ what, code, failures, reason: message }, 'The relay could not do its work and tries again.');
        this.#events.emit('failed', { what, code, message });
      },
    });
  }

  #acquired(shard: number, epoch: number): void {
    this.#reading.add(shard, epoch);
    this.#readLoop?.wake();
    this.#options.logger.debug({ shard, epoch }, 'A shard was acquired.');
    this.#events.emit('shard-acquired', { shard, epoch });
  }

  #released(shard: number, epoch: number, why: RelayEvents['shard-released']['why']): void {
    this.#reading.remove(shard);
    this.#idle.tell();
    this.#options.logger.debug({ shard, epoch, why }, 'A shard was released.');
    this.#events.emit('shard-released', { shard, epoch, why });
  }

  async #drain(shard: number, epoch: number): Promise<void> {
    const queue = this.#reading.remove(shard);
    // At a stop this goes on: whatever is settled in time is released by it, the rest by the stop itself.
    while (queue && queue.size > 0) await this.#idle.next();
    this.#released(shard, epoch, 'handed-over');
  }

  #askableTopic(): string | undefined {
    for (const topic of this.lanes.topics) if (topic.partitions !== undefined) return topic.topic;
    return this.#knownTopics[0] ?? this.#options.topics[0];
  }

  #acknowledged(rows: readonly QueuedRow[], at: number): void {
    this.#probe.answered();
    for (const row of rows) {
      row.queue.acknowledge(row, at);
      this.#settler.add(row.queue);
    }
    this.#settleLoop?.wake();
  }

  /** P-R12: topics that are being given more partitions are held; those that were go by their new count. */
  async #learnPins(): Promise<void> {
    const pins = await this.#pins.pins();
    const { logger } = this.#options;
    for (const { topic, switching } of this.lanes.learnPins(pins)) {
      if (switching) {
        logger.warn({ topic, code: switching.code, reason: switching.message }, 'A topic is held.');
        this.#events.emit('held', { topic, reason: switching, attempts: 1, retryInMs: this.#options.leaseTtlMs / 3 });
      } else {
        logger.info({ topic }, 'A topic moves again.');
        this.#events.emit('recovered', { topic });
      }
    }
    this.#moved([]);
  }

  /** Memory has room again, for which reading may wait. */
  #settled(): void {
    if (this.#reading.isHungry) this.#readLoop?.wake();
    this.#idle.tell();
  }

  #followed(rows: readonly RowHead[]): void {
    const [first] = rows;
    if (!first?.key) return;
    this.#events.emit('followed', { topic: first.topic, key: first.key, messages: rows.length });
    this.#idle.tell();
  }

  /** A request has ended: lanes may have room again, and reading may be of use. */
  #moved(gone: readonly QueuedRow[]): void {
    for (const row of gone) row.queue.drop(row);
    if (this.lanes.stuck.size > 0) this.lanes.review(systemClock.monotonic());
    // Before what was left out is taken back in: it belongs to other lanes now.
    this.lanes.reroute();
    this.#reading.takeBackIn();
    if (this.#reading.isHungry) this.#readLoop?.wake();
    this.#idle.tell();
  }

  /** A read that ends forgets what was settled meanwhile, which may be all that somebody waits for. */
  async #read(): Promise<number> {
    try {
      return await this.#reading.runOnce();
    } finally {
      this.#idle.tell();
    }
  }

  #pump(): void {
    this.#readLoop?.wake();
    this.#sender.pump();
  }
}

/** Longest wait for the leases to be released at a stop. */
const RELEASE_MS = 2_000;

/** Resolves when the work has ended, well or not, and at the latest after `ms`. */
async function settledWithin(work: Promise<unknown> | undefined, ms: number): Promise<void> {
  const enough = new AbortController();
  await Promise.race([work?.catch(() => undefined), systemClock.sleep(Math.max(0, ms), enough.signal)]);
  enough.abort();
}

function lanePolicy({ publisher, batchRows, batchBytes, retry }: ResolvedRelayOptions, random: () => number): LanePolicy {
  const bytes = Math.min(batchBytes, publisher.maxRecordBytes);
  return {
    limits: { rows: batchRows, bytes, loneRowBytes: Math.ceil(bytes / 2) },
    backoff: retry,
    refusedBackoff: { baseMs: SLOWER.refused * retry.baseMs, capMs: SLOWER.refused * retry.capMs },
    random,
  };
}
