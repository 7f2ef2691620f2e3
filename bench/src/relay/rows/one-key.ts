import { type BenchReport, median, ratioResult, rounded, spread } from '../../bench-result.ts';
import type { BenchSite } from '../bench-site.ts';
import type { ContestantKind } from '../contestant.ts';
import { ContestantProcess } from '../contestant-process.ts';
import { cpuPerRow, type DrainSample, rowsPerSecond } from '../drain-sample.ts';

/** What is measured for B10. */
export interface OneKeyPlan {
  readonly rows: number;
  readonly rounds: number;
  readonly step: (text: string) => void;
}

/** What is drained in a round: by whom, and whether all events have one key. */
const DRAINS: readonly { readonly name: string; readonly kind: ContestantKind; readonly oneKey: boolean }[] = [
  { name: 'txbox, many keys', kind: 'txbox', oneKey: false },
  { name: 'txbox, one key', kind: 'txbox', oneKey: true },
  { name: 'bare client, many keys', kind: 'bare client', oneKey: false },
  { name: 'bare client, one key', kind: 'bare client, one key', oneKey: true },
];

/** B10: all events on one key, which is one partition and one unanswered request, beside 10,000 keys on 8 partitions. */
export async function measureOneKey(site: BenchSite, { rows, rounds, step }: OneKeyPlan): Promise<BenchReport> {
  await using stack = new AsyncDisposableStack();
  const { databaseUrl, brokers } = site;
  const topic = await site.topic('one-key');
  const processes = new Map<ContestantKind, ContestantProcess>();
  for (const kind of new Set(DRAINS.map((drain) => drain.kind))) {
    processes.set(kind, stack.use(await ContestantProcess.start({ kind, client: 'kafkajs', databaseUrl, brokers, topic })));
  }
  const measured: Map<string, DrainSample>[] = [];
  const order = [...DRAINS];
  for (let round = 0; round <= rounds; round += 1) {
    const drains = new Map<string, DrainSample>();
    for (const { name, kind, oneKey } of order) {
      if (kind === 'txbox') await site.fill({ rows, topic, oneKey });
      await site.rest();
      drains.set(name, await (processes.get(kind) as ContestantProcess).drain(rows));
    }
    if (round > 0) measured.push(drains);
    order.push(...order.splice(0, 1));
    step(
      `B10 ${round === 0 ? 'warm-up' : `round ${round} of ${rounds}`}: ${ratioOf(drains, 'txbox, one key', 'txbox, many keys').toFixed(2)}`,
    );
  }
  const against = (name: string, over: string): number[] => measured.map((round) => ratioOf(round, name, over));
  return {
    results: [
      ratioResult(
        {
          id: 'B10',
          floor: 0.5,
          goal: 0.9,
          better: 'higher',
          note:
            `rows per second of the relay with all rows on 1 key / on 10,000 keys, kafkajs. The client alone: one lane / eight ` +
            `${spread(against('bare client, one key', 'bare client, many keys'))}; relay / client, both on one lane ` +
            `${spread(against('txbox, one key', 'bare client, one key'))}`,
        },
        against('txbox, one key', 'txbox, many keys'),
      ),
    ],
    variants: DRAINS.map(({ name }) => {
      const drains = measured.map((round) => round.get(name) as DrainSample);
      return {
        variant: `kafkajs: ${name}`,
        events: rows,
        eventsPerSecond: Math.round(median(drains.map(rowsPerSecond))),
        cpuMicrosPerEvent: rounded(median(drains.map(cpuPerRow))),
      };
    }),
  };
}

function ratioOf(round: ReadonlyMap<string, DrainSample>, name: string, over: string): number {
  return rowsPerSecond(round.get(name) as DrainSample) / rowsPerSecond(round.get(over) as DrainSample);
}
