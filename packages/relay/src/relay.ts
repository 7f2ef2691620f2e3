import { createRequire } from 'node:module';
import { type Database, isTxboxError, Lifecycle, type LifecycleState, openDatabase, systemClock, TxboxError } from '@txbox/core/spi';
import { examineStart } from './doctor/examination.ts';
import { describeError } from './foreign-error.ts';
import { type HeldLane, heldLanes } from './held-lane.ts';
import { type RelayReadiness, readinessOf } from './readiness.ts';
import type { RelayBacklog } from './relay-backlog.ts';
import { RelayEmitter, type RelayEvents } from './relay-event.ts';
import { DEFAULT_GRACE_MS, type RelayOptions, type ResolvedRelayOptions, resolveRelayOptions } from './relay-options.ts';
import { type RelayCounts, RelayRun } from './relay-run.ts';

/** What a relay shows of itself. Counters begin when it is created. */
export interface RelayStatus extends Readonly<RelayCounts> {
  /** This process's id in `txbox_relay`, hexadecimal; `undefined` while it does not run. */
  readonly id: string | undefined;
  readonly state: LifecycleState;
  /** Shards that it holds. */
  readonly shards: readonly number[];
  /** Events in memory, and about their bytes. */
  readonly rows: number;
  readonly bytes: number;
  readonly held: readonly HeldLane[];
}

/** Publishes what services committed to their outbox, in order per key (P-R). Made by {@link createRelay}. */
export interface Relay extends AsyncDisposable {
  /**
   * Takes its share of the shards and publishes until `stop`. Failures from then on are retried and shown by events, log
   * and `status`. Rejects with `START_REFUSED` where a promise would not hold and that is not accepted (P-R14; `details.refusals`
   * has all of them), with `DATABASE_UNAVAILABLE`, `BROKER_UNAVAILABLE`, `SCHEMA_MISSING`, `SCHEMA_TOO_OLD`, `SCHEMA_TOO_NEW`;
   * may be tried again then.
   */
  start(): Promise<void>;
  /**
   * Reads no more, waits at most `graceMs` (default 10,000) for the answers to what is on its way, settles, releases its
   * shards, closes the publisher. What was not acknowledged by then is published again by the next relay. May be called twice.
   */
  stop(options?: { readonly graceMs?: number }): Promise<void>;
  /**
   * Publishes and settles what is committed now in the shards that nobody else holds, then gives them up: for tests, jobs and
   * functions. Ends early when nothing is left but what a failure holds. Returns how many events were published. Rejects like
   * `start`, and with `ALREADY_STARTED` after it.
   */
  runOnce(): Promise<number>;
  /**
   * Resolves when everything that was committed before the call is published and settled, by this relay or by others of the
   * same outbox; waits as long as a failure holds something. Rejects with `STOPPED` unless it runs.
   */
  whenIdle(): Promise<void>;
  status(): RelayStatus;
  /**
   * Whether it can do what it is there for, and why not. Knows it at once; where there is nothing to publish, it asks the
   * broker for a topic in the background, at most every ten seconds.
   */
  readiness(): RelayReadiness;
  /**
   * What waits in the shards that it holds, by two statements whose cost does not grow with the backlog: what is more than
   * some thousand events a shard is estimated. Dead letters are counted. Rejects with `STOPPED` unless it runs.
   */
  backlog(): Promise<RelayBacklog>;
  /** Listens to an event; returns what ends that. */
  on<Name extends keyof RelayEvents>(name: Name, listener: (event: RelayEvents[Name]) => void): () => void;
}

const { version: VERSION } = createRequire(import.meta.url)('../package.json') as { version: string };

/** Creates a relay; it does nothing before `start` or `runOnce`. Throws `OPTIONS_INVALID` with all problems at once. */
export function createRelay(options: RelayOptions): Relay {
  return new RelayService(resolveRelayOptions(options));
}

class RelayService implements Relay {
  readonly #options: ResolvedRelayOptions;
  readonly #events = new RelayEmitter();
  readonly #lifecycle: Lifecycle;
  readonly #before: RelayCounts = { published: 0, settled: 0, failedRequests: 0, orderAlarms: 0, parked: 0 };
  #database: Database | undefined;
  #run: RelayRun | undefined;
  #single: Promise<number> | undefined;
  #beginning: Promise<RelayRun> | undefined;
  #startFailure: string | undefined;

  constructor(options: ResolvedRelayOptions) {
    this.#options = options;
    this.#lifecycle = new Lifecycle({
      name: 'The relay',
      start: async (signal) => {
        // Whoever called `runOnce` hears of its failure.
        await this.#single?.catch(() => undefined);
        if (!signal.aborted) await this.#begin();
      },
      stop: (graceMs) => this.#end(graceMs ?? DEFAULT_GRACE_MS),
    });
  }

  async start(): Promise<void> {
    try {
      await this.#lifecycle.start();
    } catch (error) {
      const { code, message } = describeError(error);
      this.#startFailure = `${code}: ${message}`;
      throw error;
    }
  }

  async stop({ graceMs }: { readonly graceMs?: number } = {}): Promise<void> {
    const stopping = this.#lifecycle.stop(graceMs);
    await this.#endSingle(graceMs ?? DEFAULT_GRACE_MS);
    await stopping;
    await this.#options.publisher.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  runOnce(): Promise<number> {
    const { state } = this.#lifecycle;
    if (state !== 'idle')
      return Promise.reject(new TxboxError('ALREADY_STARTED', `The relay is ${state}; runOnce() is for one that is not.`));
    this.#single ??= this.#runOnce().finally(() => {
      this.#single = undefined;
    });
    return this.#single;
  }

  async whenIdle(): Promise<void> {
    if (this.#lifecycle.state === 'starting') await this.#lifecycle.start();
    if (!this.#run) throw new TxboxError('STOPPED', 'The relay is not running; call start() first.');
    await this.#run.whenIdle();
  }

  status(): RelayStatus {
    const run = this.#run;
    const { rows, bytes } = run?.held ?? { rows: 0, bytes: 0 };
    return {
      id: run?.id.toString('hex'),
      state: this.#lifecycle.state,
      shards: [...(run?.shards.keys() ?? [])].sort((a, b) => a - b),
      rows,
      bytes,
      ...sum(this.#before, run?.counts()),
      held: run ? heldLanes(run.lanes, systemClock.monotonic()) : [],
    };
  }

  readiness(): RelayReadiness {
    return readinessOf(this.#lifecycle.state, this.#run?.readiness(), this.#startFailure);
  }

  async backlog(): Promise<RelayBacklog> {
    if (!this.#run) throw new TxboxError('STOPPED', 'The relay is not running; call start() first.');
    return await this.#run.backlog();
  }

  on<Name extends keyof RelayEvents>(name: Name, listener: (event: RelayEvents[Name]) => void): () => void {
    return this.#events.on(name, listener);
  }

  async #begin(): Promise<RelayRun> {
    const { database, publisher, leaseTtlMs, logger } = this.#options;
    const opened =
      'session' in database
        ? database
        : await openDatabase({ url: database.url, lockWaitTimeoutMs: LOCK_WAIT_MS, idleTimeoutMs: Math.max(1_000, 2 * leaseTtlMs) });
    this.#database = opened;
    const run = new RelayRun(opened, this.#options, this.#events, await this.#examined(opened));
    this.#run = run;
    await run.start(VERSION);
    const { shards } = this.status();
    logger.info({ id: run.id.toString('hex'), database: opened.description, publisher: publisher.name, shards }, 'The relay runs.');
    return run;
  }

  /** Resolves to the topics that are known before anything is read. */
  async #examined(database: Database): Promise<readonly string[]> {
    const session = await database.session();
    try {
      return await examineStart(session, this.#options, systemClock);
    } finally {
      await session.release();
    }
  }

  async #end(graceMs: number): Promise<void> {
    const run = this.#run;
    await run?.stop(graceMs);
    if (run && run === this.#run) {
      Object.assign(this.#before, sum(this.#before, run.counts()));
      this.#run = undefined;
    }
    const database = this.#database;
    this.#database = undefined;
    if (!('session' in this.#options.database)) await database?.close();
  }

  /** A single run is not a start; it is ended once it has begun. */
  async #endSingle(graceMs: number): Promise<void> {
    const single = this.#single;
    if (!single) return;
    await this.#beginning?.catch(() => undefined);
    await this.#end(graceMs);
    await single.catch(() => undefined);
  }

  async #runOnce(): Promise<number> {
    const published = this.#before.published;
    try {
      this.#beginning = this.#begin();
      const run = await this.#beginning;
      await run.whenIdleOrHeld();
    } catch (error) {
      if (!isTxboxError(error, 'STOPPED')) throw error;
    } finally {
      await this.#end(DEFAULT_GRACE_MS);
    }
    return this.#before.published - published;
  }
}

/** P-R13. */
const LOCK_WAIT_MS = 1_000;

function sum(one: RelayCounts, other: RelayCounts | undefined): RelayCounts {
  if (!other) return { ...one };
  return {
    published: one.published + other.published,
    settled: one.settled + other.settled,
    failedRequests: one.failedRequests + other.failedRequests,
    orderAlarms: one.orderAlarms + other.orderAlarms,
    parked: one.parked + other.parked,
  };
}
