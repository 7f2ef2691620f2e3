import { type BenchReport, median, quantile, rounded, spread } from '../../bench-result.ts';
import type { BenchSite } from '../bench-site.ts';
import type { ContestantKind } from '../contestant.ts';
import { ContestantProcess } from '../contestant-process.ts';
import { WritersProcess, type WritersSample } from '../writers-process.ts';

/** What is measured for B7. */
export interface WritersPlan {
  /** Rows of the backlog that is drained beside the writers. */
  readonly rows: number;
  readonly rounds: number;
  readonly step: (text: string) => void;
}

/** What happens beside the writers. */
const BESIDE = ['nothing', 'txbox draining', 'bare client sending', 'nothing (polled)', 'SKIP LOCKED, 4 workers, draining'] as const;
type Beside = (typeof BESIDE)[number];
type Round = ReadonlyMap<Beside, WritersSample>;

const QUIET_MS = 4_000;

/**
 * B7: what services that write notice of a relay at full drain. `bare client sending` loads the machine in the same way and leaves
 * the database alone: what it costs the writers, a relay costs them by being on the same processors.
 */
export async function measureWriters(site: BenchSite, { rows, rounds, step }: WritersPlan): Promise<BenchReport> {
  await using stack = new AsyncDisposableStack();
  await site.createServiceTables();
  const { databaseUrl, brokers } = site;
  const topic = await site.topic('writers');
  const start = async (kind: ContestantKind): Promise<ContestantProcess> =>
    stack.use(await ContestantProcess.start({ kind, client: 'kafkajs', databaseUrl, brokers, topic }));
  const [txbox, bare, skipLocked] = [await start('txbox'), await start('bare client'), await start('SKIP LOCKED, 4 workers')];
  const writers = stack.use(await WritersProcess.start({ databaseUrl, topic, outbox: 'txbox' }));
  const polledWriters = stack.use(await WritersProcess.start({ databaseUrl, topic, outbox: 'polled' }));
  const quiet = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, QUIET_MS));
  const phases: Readonly<Record<Beside, () => Promise<WritersSample>>> = {
    nothing: () => writers.during(quiet),
    'txbox draining': async () => {
      await site.clear();
      await site.fill({ rows, topic });
      await site.rest();
      await txbox.begin();
      const sample = await writers.during(() => txbox.drained(rows));
      await txbox.end();
      return sample;
    },
    'bare client sending': () => writers.during(() => bare.drain(rows)),
    'nothing (polled)': () => polledWriters.during(quiet),
    'SKIP LOCKED, 4 workers, draining': async () => {
      await site.clear();
      await site.fillPolled({ rows, topic });
      await site.rest();
      return await polledWriters.during(() => skipLocked.drain(rows));
    },
  };
  const measured: Round[] = [];
  const order = [...BESIDE];
  for (let round = 0; round <= rounds; round += 1) {
    const samples = new Map<Beside, WritersSample>();
    for (const beside of order) {
      samples.set(beside, await phases[beside]());
      await site.rest();
    }
    if (round > 0) measured.push(samples);
    order.push(...order.splice(0, 1));
    const { deadlocks } = samples.get('txbox draining') as WritersSample;
    step(
      `B7 ${round === 0 ? 'warm-up' : `round ${round} of ${rounds}`}: p99 ${ratioOf(samples, 'txbox draining', 'nothing', 0.99).toFixed(2)}, ${deadlocks} deadlocks`,
    );
  }
  await site.clear();
  return reportOf(measured, rows);
}

function reportOf(measured: readonly Round[], rows: number): BenchReport {
  const ratios = (beside: Beside, over: Beside, part: number): number[] => measured.map((round) => ratioOf(round, beside, over, part));
  const samples = (beside: Beside): WritersSample[] => measured.map((round) => round.get(beside) as WritersSample);
  const count = (beside: Beside, what: 'deadlocks' | 'lockTimeouts'): number =>
    samples(beside).reduce((sum, sample) => sum + sample[what], 0);
  const late = ratios('txbox draining', 'nothing', 0.99);
  return {
    results: [
      {
        id: 'B7',
        value: [count('txbox draining', 'deadlocks'), rounded(median(late))],
        floor: [0, 1.2],
        goal: [0, 1.1],
        better: 'lower',
        unit: 'deadlocks; ratio',
        low: rounded(quantile(late, 0.1)),
        high: rounded(quantile(late, 0.9)),
        note:
          `deadlocks of writers, and their p99 while ${rows} rows are drained / with nothing beside them; low and high are p99's; p50 ` +
          `${spread(ratios('txbox draining', 'nothing', 0.5))}, lock time-outs ${count('txbox draining', 'lockTimeouts')}. With the bare client on the ` +
          `same processors instead: p99 ${spread(ratios('bare client sending', 'nothing', 0.99))}; relay / bare client ` +
          `${spread(ratios('txbox draining', 'bare client sending', 0.99))}. SKIP LOCKED: p99 ` +
          `${spread(ratios('SKIP LOCKED, 4 workers, draining', 'nothing (polled)', 0.99))}, deadlocks ${count('SKIP LOCKED, 4 workers, draining', 'deadlocks')}`,
      },
    ],
    variants: BESIDE.map((beside) => {
      const latencies = samples(beside).flatMap((sample) => sample.latencies);
      return {
        variant: `writers beside: ${beside}`,
        events: latencies.length,
        msP50: rounded(quantile(latencies, 0.5)),
        msP99: rounded(quantile(latencies, 0.99)),
        deadlocks: count(beside, 'deadlocks'),
        lockTimeouts: count(beside, 'lockTimeouts'),
      };
    }),
  };
}

function ratioOf(round: Round, beside: Beside, over: Beside, part: number): number {
  const at = (which: Beside): number => quantile((round.get(which) as WritersSample).latencies, part);
  return at(beside) / at(over);
}
