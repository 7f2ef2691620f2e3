import { backoffMs, TxboxError } from '@txbox/core/spi';
import type { Consumer, EachBatchPayload, RetryOptions } from 'kafkajs';
import { createClient, loadKafkajs } from '../kafkajs-client.ts';
import { Sockets } from '../kafkajs-sockets.ts';
import { balancedAssigner } from './kafkajs-assigner.ts';
import { LaneBatches } from './kafkajs-batches.ts';
import { Lane } from './kafkajs-lane.ts';
import type { MemberContext } from './kafkajs-member-context.ts';

/** Attempts at one thing inside kafkajs, over about twenty seconds: joining waits for batches at work that long. */
const CONSUMER_RETRY: RetryOptions = { initialRetryTime: 50, maxRetryTime: 2_000, factor: 0.2, multiplier: 2, retries: 14 };
const LOCATE_BACKOFF = { baseMs: 50, capMs: 2_000 };
/** How long a consumer may take over its goodbye before its connections are cut. */
const GOODBYE_MS = 3_000;

/**
 * One kafkajs consumer from its connection to its end. States and what moves between them:
 *
 * ```
 * joining ── GROUP_JOIN ──► reading ── rebalance ──► draining ── no batch runs ──► joining
 *    └──────────────────────────┴──── stop, crash, silence ──┴──► ended
 * ```
 *
 * - A rebalance is joined when the batches at work have settled; they are told, and may check-point meanwhile, since
 *   the group keeps the old generation until all members have joined or are put out. So nobody begins a lane that
 *   another still works on, unless a batch takes longer than the session.
 * - Each generation begins at the stored offsets, read anew; what was fetched for the last one is forgotten.
 * - Fetching runs ahead of the batches, lane by lane, so that a slow lane stops no other, and shows the group that the
 *   member lives (P-I10).
 * - kafkajs never restarts by itself here: whoever runs a member makes another one when it fails.
 */
export class GroupMember {
  readonly #context: MemberContext;
  readonly #lanes: Map<string, Lane> = new Map();
  readonly #batches: LaneBatches;
  readonly #failed: PromiseWithResolvers<never> = Promise.withResolvers();
  readonly #sockets: Sockets = new Sockets();
  #consumer: Consumer | undefined;
  #state: 'joining' | 'reading' | 'draining' | 'ended' = 'joining';
  #stopping = false;
  #lifeSignAt: number;
  /** True once it was given lanes, or was told that there are none for it. */
  joined = false;

  constructor(context: MemberContext) {
    this.#context = context;
    this.#lifeSignAt = context.clock.monotonic();
    this.#batches = new LaneBatches(context, {
      onRoom: (lane) => {
        if (!lane.signal.aborted && lane.paused && lane.position !== undefined) this.#resume(lane);
      },
      onRebalance: () => this.#drain(),
    });
    this.#failed.promise.catch(() => undefined);
  }

  /** Resolves after a stop, rejects when this member is of no use any more. Batches may still run then. */
  async run(topics: readonly string[], signal: AbortSignal): Promise<void> {
    const watching = new AbortController();
    try {
      await this.#start(topics);
      void this.#watch(watching.signal);
      await Promise.race([this.#failed.promise, untilAborted(signal)]);
      this.#stopping = true;
      this.#release();
      await this.#batches.drained();
    } finally {
      watching.abort();
      this.#end();
      await this.#leave();
    }
  }

  /** Resolves when no batch runs any more. */
  async drained(): Promise<void> {
    await this.#batches.drained();
  }

  async lag(): Promise<bigint | undefined> {
    if (this.#state !== 'reading') return undefined;
    const lanes = [...this.#lanes.values()];
    let lag = 0n;
    for (const topic of new Set(lanes.map((lane) => lane.topic))) {
      const bounds = await this.#context.directory.boundsOf(topic);
      for (const lane of lanes.filter((one) => one.topic === topic)) {
        if (lane.ended || lane.position === undefined) return undefined;
        lag += lane.lag(bounds.get(lane.partition)?.high ?? 0n);
      }
    }
    return lag;
  }

  async #start(topics: readonly string[]): Promise<void> {
    const { options, subscribe } = this.#context;
    const kafkajs = await loadKafkajs(options.patchIdleTimer);
    const consumer = createClient(kafkajs, options, this.#sockets.factory).consumer({
      groupId: subscribe.group,
      allowAutoTopicCreation: false,
      sessionTimeout: options.sessionTimeoutMs,
      rebalanceTimeout: options.sessionTimeoutMs,
      heartbeatInterval: Math.ceil(options.sessionTimeoutMs / 10),
      maxWaitTimeInMs: options.maxWaitMs,
      maxBytesPerPartition: options.maxLaneBytes,
      maxBytes: 10 * options.maxLaneBytes,
      partitionAssigners: [balancedAssigner(kafkajs.AssignerProtocol, () => this.#mayJoin())],
      retry: { ...CONSUMER_RETRY, restartOnFailure: async () => false },
    });
    this.#consumer = consumer;
    const { events } = consumer;
    consumer.on(events.GROUP_JOIN, ({ payload }) => this.#adopt(payload.memberAssignment));
    consumer.on(events.REBALANCING, () => this.#drain());
    consumer.on(events.FETCH, () => this.#showLife());
    consumer.on(events.END_BATCH_PROCESS, ({ payload }) => this.#skipUndelivered(payload));
    consumer.on(events.CRASH, ({ payload }) => this.#failed.reject(payload.error));
    consumer.on(events.REQUEST_TIMEOUT, ({ payload }) => {
      // kafkajs would go on asking on the same connection, which may be dead.
      this.#failed.reject(new Error(`${payload.apiName} got no answer from ${payload.broker}`));
    });
    await consumer.connect();
    await consumer.subscribe({ topics: [...topics], fromBeginning: true });
    // Joining may take as long as another member takes to finish its batches.
    consumer
      .run({ autoCommit: false, eachBatchAutoResolve: false, eachBatch: async (payload) => this.#accept(payload) })
      .catch((error: unknown) => this.#failed.reject(error));
  }

  /** Asked by kafkajs before it joins, again and again. Who joins lets go of what it had. */
  #mayJoin(): boolean {
    this.#drain();
    if (this.#batches.atWork) return false;
    for (const lane of this.#lanes.values()) lane.end();
    return true;
  }

  #drain(): void {
    if (this.#state !== 'reading') return;
    this.#state = 'draining';
    this.#release();
  }

  #release(): void {
    for (const lane of this.#lanes.values()) {
      lane.release();
      this.#pause(lane);
    }
  }

  #adopt(assignment: Readonly<Record<string, readonly number[]>>): void {
    if (this.#state === 'ended') return;
    for (const lane of this.#lanes.values()) lane.end();
    this.#lanes.clear();
    this.#state = 'reading';
    this.joined = true;
    this.#showLife();
    for (const [topic, partitions] of Object.entries(assignment)) {
      for (const partition of partitions) {
        const lane = new Lane(topic, partition);
        if (this.#stopping) lane.release();
        this.#lanes.set(keyOf(topic, partition), lane);
        this.#pause(lane);
      }
      void this.#locate(topic);
    }
  }

  /** Finds out where a topic's lanes begin that do not know it; kafkajs is told so that both agree. */
  async #locate(topic: string): Promise<void> {
    const lost = (): Lane[] => [...this.#lanes.values()].filter((lane) => lane.topic === topic && lane.position === undefined);
    const asked = lost();
    const { directory, subscribe, clock, report } = this.#context;
    for (let failures = 1; asked.some((lane) => !lane.ended); failures += 1) {
      try {
        const [stored, bounds] = await Promise.all([directory.storedOffsets(subscribe.group, topic), directory.boundsOf(topic)]);
        for (const lane of asked) {
          if (lane.ended || lane.position !== undefined) continue;
          const { low, high } = bounds.get(lane.partition) ?? { low: 0n, high: 0n };
          const offset = latest(stored.get(lane.partition) ?? low, lane.done);
          // What is stored lies outside the log when its records expired or the topic was made anew.
          lane.moveTo(offset < low || offset > high ? low : offset);
          this.#tell((consumer) => consumer.seek({ topic, partition: lane.partition, offset: String(lane.position) }));
          this.#resume(lane);
        }
        return;
      } catch (error) {
        report(error);
        await clock.sleep(backoffMs(LOCATE_BACKOFF, failures));
      }
    }
  }

  /** Takes what was fetched. Returns at once, so that fetching goes on for other lanes. */
  #accept({ batch, resolveOffset, isStale, commitOffsetsIfNecessary, heartbeat }: EachBatchPayload): void {
    const lane = this.#lanes.get(keyOf(batch.topic, batch.partition));
    if (!lane || lane.signal.aborted || lane.paused || isStale()) return;
    // A fetch of the last generation, or kafkajs went elsewhere because the place is not in the log any more.
    if ((batch as unknown as { fetchedOffset: unknown }).fetchedOffset !== String(lane.position)) {
      lane.position = undefined;
      this.#pause(lane);
      void this.#locate(lane.topic);
      return;
    }
    lane.access = { commitOffsetsIfNecessary, heartbeat };
    lane.append(batch.messages, BigInt(batch.lastOffset()) + 1n);
    resolveOffset(batch.lastOffset());
    if (lane.queuedBytes >= this.#context.options.maxLaneBytes) this.#pause(lane);
    this.#batches.pump(lane);
  }

  /** kafkajs skips runs of records that are never delivered (marks of transactions) without telling anybody else. */
  #skipUndelivered({
    topic,
    partition,
    batchSize,
    lastOffset,
  }: {
    topic: string;
    partition: number;
    batchSize: number;
    lastOffset: string;
  }): void {
    const lane = this.#lanes.get(keyOf(topic, partition));
    if (!lane || batchSize > 0 || lane.position === undefined || lane.paused) return;
    const next = BigInt(lastOffset) + 1n;
    if (next > lane.scanned) lane.scanned = next;
  }

  #pause(lane: Lane): void {
    lane.paused = true;
    this.#tell((consumer) => consumer.pause([{ topic: lane.topic, partitions: [lane.partition] }]));
  }

  #resume(lane: Lane): void {
    lane.paused = false;
    this.#tell((consumer) => consumer.resume([{ topic: lane.topic, partitions: [lane.partition] }]));
  }

  #tell(what: (consumer: Consumer) => void): void {
    try {
      if (this.#consumer) what(this.#consumer);
    } catch {
      // A consumer that has crashed takes no orders; its end is on its way.
    }
  }

  #showLife(): void {
    this.#lifeSignAt = this.#context.clock.monotonic();
  }

  /** A consumer that neither fetches nor joins for long is given up, whatever kafkajs thinks of it (P-I10). */
  async #watch(signal: AbortSignal): Promise<void> {
    const { options, clock } = this.#context;
    while (!signal.aborted) {
      await clock.sleep(options.sessionTimeoutMs / 6, signal);
      const patienceMs = this.#state === 'reading' ? options.sessionTimeoutMs / 2 : 3 * options.sessionTimeoutMs;
      if (clock.monotonic() - this.#lifeSignAt < patienceMs + options.maxWaitMs) continue;
      this.#failed.reject(new TxboxError('BROKER_UNAVAILABLE', `Nothing could be fetched for ${patienceMs} ms.`));
    }
  }

  #end(): void {
    this.#state = 'ended';
    for (const lane of this.#lanes.values()) lane.end();
    this.#lanes.clear();
  }

  async #leave(): Promise<void> {
    const { clock } = this.#context;
    const gone = new AbortController();
    const leaving = (this.#consumer?.disconnect() ?? Promise.resolve()).catch(() => undefined).finally(() => gone.abort());
    await clock.sleep(GOODBYE_MS, gone.signal);
    this.#sockets.cut();
    await Promise.race([leaving, clock.sleep(GOODBYE_MS, gone.signal)]);
  }
}

function keyOf(topic: string, partition: number): string {
  return `${partition} ${topic}`;
}

function latest(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}

async function untilAborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}
