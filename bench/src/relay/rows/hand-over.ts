import { bucketOf } from '@txbox/core/spi';
import { createOutbox } from '@txbox/outbox/mysql2';
import { SHARDS } from '@txbox/outbox/store';
import { createPool, type Pool, type RowDataPacket } from 'mysql2/promise';
import { type BenchReport, type BenchResult, median, quantile, rounded } from '../../bench-result.ts';
import { type BenchSite, measuredEvent } from '../bench-site.ts';
import { machineNow } from '../contestant.ts';
import { Sidecar, type SidecarRequest } from '../sidecar.ts';
import { readValues } from '../topic-reader.ts';

/** What is measured for L1 to L3. */
export interface HandOverPlan {
  readonly rounds: number;
  readonly step: (text: string) => void;
}

/** How the older of two relays goes, or sleeps and comes back. */
const WAYS = ['SIGTERM', 'SIGKILL', 'SIGSTOP'] as const;
type Way = (typeof WAYS)[number];

/** Seconds; of what is measured for each shard the shard that waited longest. */
interface Round {
  readonly way: Way;
  readonly at: number;
  readonly until: number;
  /** From the signal to the successor's first acknowledged request. */
  readonly takenOver: number;
  /** The same, from the last acknowledgement of the one that goes when that came later. */
  readonly afterLastAnswer: number;
  /** From the newcomer's word that it runs, or the sleeper's awakening, to its first acknowledged requests of half the shards. */
  readonly joined: number;
}

const TTL_MS = 10_000;
const HALF = SHARDS / 2;
const KEYS_OF_SHARD = 4;
/** Between two transactions with an event of each shard. */
const WRITE_EVERY_MS = 10;
/** Who publishes what is judged by so long a time. */
const SETTLED_MS = 1_000;
/** The sleeper sleeps on for so long when all it had is another's. */
const SLEEP_ON_MS = 2_000;
/** What a frozen process was about to do, it does so soon after. */
const SAME_BREATH_MS = 20;
const PATIENCE_MS = 60_000;

/**
 * L1 to L3: how long the events of a shard wait when its relay ends in order, is killed, or sleeps past its leases and comes back;
 * and what the topic shows of that. The topic has as many partitions as there are shards, so that a request tells its shard.
 */
export async function measureHandOver(site: BenchSite, { rounds, step }: HandOverPlan): Promise<BenchReport> {
  await using stack = new AsyncDisposableStack();
  const topic = await site.topic('hand-over', SHARDS);
  const { databaseUrl, brokers } = site;
  const pool = createPool({ uri: databaseUrl, connectionLimit: 3 });
  stack.defer(() => pool.end());
  const all: Sidecar[] = [];
  const start = (): Sidecar => {
    const sidecar = stack.use(new Sidecar({ databaseUrl, brokers }));
    all.push(sidecar);
    return sidecar;
  };
  const writer = new Writer(pool, topic);
  stack.defer(async () => void (await writer.stop()));
  let [older, younger] = [start(), start()];
  await Promise.all([older.runsAt, younger.runsAt]);
  writer.start();
  await until(() => sharesOf(older, SETTLED_MS).size === HALF && sharesOf(younger, SETTLED_MS).size === HALF, 'both have half the shards');
  const measured: Round[] = [];
  for (let round = 1; round <= rounds; round += 1) {
    for (const way of WAYS) {
      await pause(Math.random() * (TTL_MS / 3));
      const shards = sharesOf(older, SETTLED_MS);
      const at = older.signal(way);
      if (way === 'SIGTERM') await older.gone();
      const firsts = await firstAnswers(younger, shards, at);
      const lasts = [...shards].map((shard) => lastAnswer(older, shard));
      if (way === 'SIGSTOP') await pause(SLEEP_ON_MS);
      const next = way === 'SIGSTOP' ? older : start();
      const since = way === 'SIGSTOP' ? next.signal('SIGCONT') : await next.runsAt;
      const joined = await halfOf(next, since);
      await until(() => sharesOf(next, SETTLED_MS).size === HALF && sharesOf(younger, SETTLED_MS).size === HALF, 'the shares are even');
      const sinceLast = firsts.map((first, index) => first - Math.max(at, lasts[index] ?? at));
      const shown: Round = {
        ...{ way, at, until: machineNow() },
        takenOver: (Math.max(...firsts) - at) / 1_000,
        afterLastAnswer: Math.max(...sinceLast) / 1_000,
        joined: (joined - since) / 1_000,
      };
      measured.push(shown);
      [older, younger] = [younger, next];
      step(`L, round ${round} of ${rounds}: ${way}: ${shards.size} shards taken over in ${shown.takenOver.toFixed(2)} s`);
    }
  }
  const committed = await writer.stop();
  await until(async () => (await pending(pool)) === 0, 'everything is settled');
  for (const sidecar of [older, younger]) {
    sidecar.signal('SIGTERM');
    await sidecar.gone();
  }
  const verdict = verdictOf(await readValues(brokers, topic), committed);
  return reportOf(measured, verdict, repeatsOf(all, measured));
}

/** What an independent reading of the topic says. */
interface Verdict {
  readonly committed: number;
  readonly lost: number;
  readonly orderBreaks: number;
  readonly duplicates: number;
}

/** Commits events of all shards without a pause, each key's in order: `key number`. */
class Writer {
  readonly #pool: Pool;
  readonly #topic: string;
  readonly #keys: readonly string[] = keysOfAllShards();
  #work: Promise<void> = Promise.resolve();
  #stopping = false;
  #committed = 0;

  constructor(pool: Pool, topic: string) {
    this.#pool = pool;
    this.#topic = topic;
  }

  start(): void {
    this.#work = this.#write();
    this.#work.catch((error: unknown) => {
      process.stderr.write(`The writer ended: ${String(error)}\n`);
    });
  }

  /** How many events of each key were committed. */
  async stop(): Promise<ReadonlyMap<string, number>> {
    this.#stopping = true;
    await this.#work;
    const steps = this.#committed;
    return new Map(
      this.#keys.map((key, at) => [key, Math.floor(steps / KEYS_OF_SHARD) + (at % KEYS_OF_SHARD < steps % KEYS_OF_SHARD ? 1 : 0)]),
    );
  }

  async #write(): Promise<void> {
    const outbox = createOutbox({ pool: this.#pool });
    const event = measuredEvent(this.#topic);
    while (!this.#stopping) {
      const number = Math.floor(this.#committed / KEYS_OF_SHARD);
      const keys = this.#keys.filter((_, at) => at % KEYS_OF_SHARD === this.#committed % KEYS_OF_SHARD);
      await outbox.transaction(async (tx) => {
        for (const key of keys) tx.add(event, Buffer.from(`${key} ${number}`), { key });
      });
      this.#committed += 1;
      await pause(WRITE_EVERY_MS);
    }
    await outbox.close();
  }
}

/** Those of one shard stand side by side: every fourth one is a key of each shard. */
function keysOfAllShards(): string[] {
  const byShard = Array.from({ length: SHARDS }, (): string[] => []);
  for (let n = 0; byShard.some((keys) => keys.length < KEYS_OF_SHARD); n += 1) {
    const keys = byShard[bucketOf(Buffer.from(`key-${n}`), SHARDS)] as string[];
    if (keys.length < KEYS_OF_SHARD) keys.push(`key-${n}`);
  }
  return byShard.flat();
}

/** Shards whose events it published in the last so many milliseconds. */
function sharesOf(sidecar: Sidecar, withinMs: number): Set<number> {
  const since = machineNow() - withinMs;
  const shards = new Set<number>();
  for (let at = sidecar.requests.length - 1; at >= 0; at -= 1) {
    const { begunAt, partition } = sidecar.requests[at] as SidecarRequest;
    if (begunAt < since) break;
    shards.add(partition);
  }
  return shards;
}

/** When the successor's first request of each shard after the signal was answered, in the order of the shards. */
async function firstAnswers(successor: Sidecar, shards: ReadonlySet<number>, after: number): Promise<number[]> {
  const find = (): (number | undefined)[] =>
    [...shards].map(
      (shard) =>
        successor.requests.find(({ partition, begunAt, answeredAt }) => partition === shard && begunAt > after && answeredAt !== undefined)
          ?.answeredAt,
    );
  await until(() => find().every((at) => at !== undefined), 'all shards are taken over');
  return find() as number[];
}

function lastAnswer(sidecar: Sidecar, shard: number): number | undefined {
  return sidecar.requests.findLast(({ partition, answeredAt }) => partition === shard && answeredAt !== undefined)?.answeredAt;
}

/** When it had an answer of half of all shards. */
async function halfOf(sidecar: Sidecar, since: number): Promise<number> {
  const answers = (): number[] => {
    const first = new Map<number, number>();
    for (const { partition, begunAt, answeredAt } of sidecar.requests) {
      if (begunAt > since && answeredAt !== undefined && !first.has(partition)) first.set(partition, answeredAt);
    }
    return [...first.values()].sort((a, b) => a - b);
  };
  await until(() => answers().length >= HALF, 'the newcomer has half the shards');
  return answers()[HALF - 1] as number;
}

function verdictOf(values: readonly string[], committed: ReadonlyMap<string, number>): Verdict {
  const next = new Map<string, number>();
  let [orderBreaks, duplicates] = [0, 0];
  for (const value of values) {
    const [key, number] = value.split(' ') as [string, string];
    const expected = next.get(key) ?? 0;
    if (Number(number) === expected) next.set(key, expected + 1);
    else if (Number(number) < expected) duplicates += 1;
    else orderBreaks += 1;
  }
  const lost = [...committed].reduce((sum, [key, count]) => sum + count - (next.get(key) ?? 0), 0);
  return { committed: [...committed.values()].reduce((sum, count) => sum + count, 0), lost, orderBreaks, duplicates };
}

/** Events that were sent twice, by what happened then; and those a relay sent although another one had them by then. */
interface Repeats {
  readonly of: ReadonlyMap<Way | 'none', number>;
  /** Sent again by one that slept, after it awoke: how long after, milliseconds. */
  readonly afterAwakening: readonly number[];
}

function repeatsOf(sidecars: readonly Sidecar[], rounds: readonly Round[]): Repeats {
  const first = new Map<string, { readonly by: Sidecar }>();
  const of = new Map<Way | 'none', number>();
  const afterAwakening: number[] = [];
  const requests = sidecars.flatMap((by) => by.requests.map((request) => ({ by, ...request }))).sort((a, b) => a.begunAt - b.begunAt);
  for (const { by, begunAt, events } of requests) {
    const round = rounds.findLast(({ at }) => at <= begunAt);
    for (const event of events) {
      const known = first.get(event);
      if (!known) {
        first.set(event, { by });
        continue;
      }
      const way = round && begunAt < round.until ? round.way : 'none';
      of.set(way, (of.get(way) ?? 0) + 1);
      if (way === 'SIGSTOP' && known.by !== by && by.awokeAt !== undefined && begunAt > by.awokeAt)
        afterAwakening.push(begunAt - by.awokeAt);
    }
  }
  return { of, afterAwakening };
}

function reportOf(measured: readonly Round[], verdict: Verdict, { of, afterAwakening }: Repeats): BenchReport {
  const seconds = (way: Way, what: 'takenOver' | 'afterLastAnswer' | 'joined'): number[] =>
    measured.filter((round) => round.way === way).map((round) => round[what]);
  const timed = (id: string, values: readonly number[], most: number, note: string): BenchResult => ({
    ...{ id, better: 'lower', unit: 's', note },
    value: [rounded(median(values)), rounded(Math.max(...values))],
    floor: [most, most],
    goal: [most, most],
    low: rounded(quantile(values, 0.1)),
    high: rounded(quantile(values, 0.9)),
  });
  const both = (values: readonly number[]): string => `${median(values).toFixed(2)} s, at most ${Math.max(...values).toFixed(2)} s`;
  const { committed, lost, orderBreaks, duplicates } = verdict;
  const decidedAwake = afterAwakening.filter((ms) => ms > SAME_BREATH_MS).length;
  const repeated = WAYS.map((way) => `${way} ${of.get(way) ?? 0}`).join(', ');
  return {
    results: [
      timed(
        'L1',
        seconds('SIGTERM', 'afterLastAnswer'),
        1,
        `seconds from the last answer to a relay that was told to end until its successor's first acknowledged records, of the shard that waits longest; median and ` +
          `maximum. From SIGTERM itself ${both(seconds('SIGTERM', 'takenOver'))}. A newcomer has its half within ${both(seconds('SIGTERM', 'joined'))} of its start`,
      ),
      timed(
        'L2',
        seconds('SIGKILL', 'takenOver'),
        TTL_MS / 1_000 + 1,
        `seconds from SIGKILL until the successor's first acknowledged records, of the shard that waits longest; median and maximum; leaseTtlMs ${TTL_MS}`,
      ),
      {
        id: 'L3',
        value: [orderBreaks + lost, decidedAwake],
        floor: [0, 0],
        goal: [0, 0],
        better: 'lower',
        unit: 'events',
        low: 0,
        high: 0,
        note:
          `events lost or out of order among ${committed}, and sent again by a relay that slept past its leases, beyond the ${afterAwakening.length - decidedAwake} that it was about ` +
          `to send when it froze (within ${SAME_BREATH_MS} ms of awakening); the topic has ${duplicates} duplicates, of what was ` +
          `unsettled at a signal (${repeated}, otherwise ${of.get('none') ?? 0}). Taken over from the sleeper in ${both(seconds('SIGSTOP', 'takenOver'))}; awake it has its half again in ` +
          both(seconds('SIGSTOP', 'joined')),
      },
    ],
    variants: measured.map(({ way, takenOver, afterLastAnswer, joined }) => ({
      ...{ variant: `hand-over: ${way}`, events: committed },
      secondsTakenOver: rounded(takenOver),
      secondsAfterLastAnswer: rounded(afterLastAnswer),
      secondsJoined: rounded(joined),
    })),
  };
}

async function pending(pool: Pool): Promise<number> {
  const [rows] = await pool.query<RowDataPacket[]>('SELECT COUNT(*) AS n FROM txbox_outbox');
  return Number(rows[0]?.['n']);
}

async function until(holds: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const end = performance.now() + PATIENCE_MS;
  while (!(await holds())) {
    if (performance.now() > end) throw new Error(`It did not come to this: ${what}.`);
    await pause(20);
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
