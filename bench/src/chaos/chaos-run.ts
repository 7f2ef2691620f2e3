import { setTimeout as sleep } from 'node:timers/promises';
import { quantile } from '../bench-result.ts';
import { ProgressBar } from '../progress-bar.ts';
import { ChaosSite } from './chaos-site.ts';
import { KeySpace, type Verdict } from './key-space.ts';
import { Operator } from './operator.ts';
import { randomOf } from './random.ts';
import { type Faults, RelayPair } from './relay-pair.ts';

/** What a run is made of. */
export interface ChaosPlan {
  readonly url: string;
  readonly brokers: readonly string[];
  readonly seconds: number;
  /** Chooses what happens, not when the machine gets to it. */
  readonly seed: number;
  /** Key spaces, each with a topic and writers of its own: how many keys each has. */
  readonly keys: readonly number[];
  readonly leaseTtlMs: number;
}

/** What a run found. */
export interface ChaosReport extends Omit<ChaosPlan, 'url' | 'brokers'> {
  /** What must not be. Nothing = the run has passed. */
  readonly problems: readonly string[];
  readonly topics: readonly Verdict[];
  readonly faults: Faults;
  readonly orderAlarms: number;
  readonly shardsLost: number;
  readonly slowCommits: number;
  /** Events that the topics refuse unless their limit is raised for a redrive. */
  readonly tooLarge: number;
  readonly parked: number;
  readonly mostParkedKeys: number;
  readonly redrives: number;
  readonly redrivesKilled: number;
  /** Until living relays owned every shard again. */
  readonly takeOverMs: { readonly count: number; readonly median: number; readonly most: number };
  /** From the last fault until everything was published. */
  readonly drainMs: number;
}

/** Machines that have other work to do. */
const SLACK_MS = 2_000;
const MOST_DRAIN_MS = 180_000;

/** Lets writers, relays, faults and an operator loose, and reads what has come of it. */
export async function runChaos(plan: ChaosPlan): Promise<ChaosReport> {
  const { seconds, seed, keys, leaseTtlMs } = plan;
  await using site = await ChaosSite.open(
    plan,
    keys.map((count, index) => `${index}-${count}`),
  );
  const spaces: KeySpace[] = [];
  for (const [index, count] of keys.entries()) spaces.push(await KeySpace.create(site, index, count));
  await using relays = await RelayPair.start(site, leaseTtlMs);
  const operator = new Operator(site);
  const ending = new AbortController();
  const failed = (error: unknown): never => {
    ending.abort();
    throw error;
  };
  const parts = [
    ...spaces.map((space, index) => space.write(seed + index, ending.signal)),
    relays.disturb(randomOf(seed + 1_000), ending.signal),
    operator.work(randomOf(seed + 2_000), ending.signal),
  ].map((part) => part.catch(failed));
  const problems: string[] = [];
  const watching = watch(seconds, ending, site, spaces, relays);
  for (const part of await Promise.allSettled(parts)) if (part.status === 'rejected') problems.push(String(part.reason));
  await watching;
  const began = performance.now();
  problems.push(...(await drain(site, operator)));
  const drainMs = Math.round(performance.now() - began);
  await relays.stop();
  const topics: Verdict[] = [];
  for (const space of spaces) topics.push(await space.verdict());
  for (const { keys: count, lost, ghosts, orderBreaks, duplicates, records, committed } of topics) {
    if (lost + ghosts + orderBreaks > 0 || records - duplicates !== committed)
      problems.push(`${count} keys: ${lost} events lost, ${ghosts} that were never committed, ${orderBreaks} keys out of order`);
  }
  const { takeOvers, counts, faults } = relays;
  if (counts.alarm > 0) problems.push(`${counts.alarm} order alarms`);
  const late = takeOvers.filter((ms) => ms > leaseTtlMs + 1_000 + SLACK_MS).length;
  if (late > 0) problems.push(`${late} times shards were without an owner for more than ${leaseTtlMs + 1_000 + SLACK_MS} ms`);
  return {
    seconds,
    seed,
    keys,
    leaseTtlMs,
    problems,
    topics,
    faults,
    orderAlarms: counts.alarm,
    shardsLost: counts.lost,
    slowCommits: spaces.reduce((sum, space) => sum + space.slow, 0),
    tooLarge: spaces.reduce((sum, space) => sum + space.tooLarge, 0),
    parked: counts.parked,
    mostParkedKeys: operator.mostParked,
    redrives: operator.redrives,
    redrivesKilled: operator.killed,
    takeOverMs: {
      count: takeOvers.length,
      median: takeOvers.length === 0 ? 0 : Math.round(quantile(takeOvers, 0.5)),
      most: Math.round(Math.max(0, ...takeOvers)),
    },
    drainMs,
  };
}

/** Shows how it goes and ends it when its time is over. */
async function watch(
  seconds: number,
  ending: AbortController,
  site: ChaosSite,
  spaces: readonly KeySpace[],
  relays: RelayPair,
): Promise<void> {
  const steps = Math.min(60, seconds);
  const bar = new ProgressBar(steps);
  for (let step = 1; step <= steps && !ending.signal.aborted; step++) {
    await sleep((seconds / steps) * 1_000, undefined, { signal: ending.signal }).catch(() => undefined);
    const [pending, letters] = [await site.count('txbox_outbox'), await site.count('txbox_dead_letter')];
    const committed = spaces.reduce((sum, space) => sum + space.committed, 0);
    const { kills, doubleKills, longPauses, shortPauses, stops } = relays.faults;
    const done = `${kills + 2 * doubleKills} killed, ${longPauses + shortPauses} paused, ${stops} stopped`;
    bar.step(`${committed} committed, ${pending} wait, ${letters} set aside; ${done}; ${relays.counts.alarm} order alarms`);
  }
  ending.abort();
}

/** Resolves when nothing is left; to what is in the way otherwise. */
async function drain(site: ChaosSite, operator: Operator): Promise<string[]> {
  await site.takeLarge(true);
  const began = performance.now();
  for (;;) {
    const [pending, letters] = [await site.count('txbox_outbox'), await site.count('txbox_dead_letter')];
    if (pending + letters === 0) return [];
    if (performance.now() - began > MOST_DRAIN_MS)
      return [`${pending} events and ${letters} dead letters are left after ${MOST_DRAIN_MS} ms`];
    if (letters > 0) await operator.redrive();
    else await sleep(100);
  }
}

/** The report for people. */
export function textOfChaos(report: ChaosReport): string {
  const { faults, takeOverMs } = report;
  const lines = [
    `seed ${report.seed}, ${report.seconds} s, leases of ${report.leaseTtlMs} ms`,
    ...report.topics.map(
      ({ keys, committed, records, duplicates, lost, ghosts, orderBreaks }) =>
        `${keys} keys: ${committed} committed, ${records} records (${duplicates} duplicates), ${lost} lost, ${ghosts} never committed, ${orderBreaks} keys out of order`,
    ),
    `relays: ${faults.kills} killed, ${faults.doubleKills} times both, ${faults.longPauses} paused past the TTL, ${faults.shortPauses} shorter, ${faults.stops} stopped; ${report.shardsLost} shards found taken; ${report.orderAlarms} order alarms`,
    `every shard owned again: ${takeOverMs.count} times, median ${takeOverMs.median} ms, at most ${takeOverMs.most} ms`,
    `writers: ${report.slowCommits} slow commits, ${report.tooLarge} events too large; ${report.parked} parked, at most ${report.mostParkedKeys} keys at a time, ${report.redrives} redrives, ${report.redrivesKilled} of them killed`,
    `all published ${report.drainMs} ms after the end`,
    ...report.topics.flatMap(({ keys, examples }) =>
      examples.map(
        ({ key, at, committed, arrived }) => `  ${keys} keys, ${key} from number ${at}: committed ${committed} | arrived ${arrived}`,
      ),
    ),
    report.problems.length === 0
      ? 'nothing lost, no order break, no order alarm, every shard owned in time'
      : `PROBLEMS: ${report.problems.join('; ')}`,
  ];
  return `${lines.join('\n')}\n`;
}
