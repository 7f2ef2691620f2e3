import type { BenchReport, BenchResult, VariantCost } from './bench-result.ts';
import { ProgressBar } from './progress-bar.ts';
import { BenchSite } from './relay/bench-site.ts';
import { measureBacklogSize } from './relay/rows/backlog-size.ts';
import { measureDeadRows } from './relay/rows/dead-rows.ts';
import { measureHandOver } from './relay/rows/hand-over.ts';
import { measureIdle } from './relay/rows/idle.ts';
import { measureLatency } from './relay/rows/latency.ts';
import { measureOneKey } from './relay/rows/one-key.ts';
import { measurePublishing } from './relay/rows/publishing.ts';
import { measureWriters } from './relay/rows/writers.ts';

/** Rows of the table of cost ceilings that are measured here. */
export const RELAY_ROWS = ['B1', 'B1p', 'B2', 'B3', 'B4', 'B5', 'B7', 'B9', 'B10', 'L1', 'L2', 'L3'] as const;
export type RelayRow = (typeof RELAY_ROWS)[number];

/** What publishing costs: the relay beside the bare client and beside relays as others have them. */
export interface RelayBench {
  readonly url: string;
  readonly brokers: readonly string[];
  readonly rows: readonly RelayRow[];
  /** Events of a backlog. */
  readonly backlog: number;
  readonly rounds: number;
  readonly quick: boolean;
}

/** Some rows of the table, measured together; `steps` are those of the progress bar. */
interface Part {
  readonly rows: readonly RelayRow[];
  readonly steps: number;
  run(site: BenchSite, step: (text: string) => void): Promise<BenchReport>;
}

/** Sizes beside those that are given. */
const SIZES = {
  usual: { largeRounds: 3, large: 1_000_000, small: 10_000, deletes: 180_000, events: 300, idleSeconds: 15, idleRounds: 4, handOvers: 5 },
  quick: { largeRounds: 2, large: 100_000, small: 5_000, deletes: 40_000, events: 60, idleSeconds: 5, idleRounds: 2, handOvers: 1 },
};

/** Measures in a database and topics of its own, which are removed afterwards. */
export async function benchRelay({ url, brokers, rows, backlog, rounds, quick }: RelayBench): Promise<BenchReport> {
  const parts = partsOf(rows, { backlog, rounds, ...SIZES[quick ? 'quick' : 'usual'] });
  const bar = new ProgressBar(parts.reduce((sum, part) => sum + part.steps, 0));
  const results: BenchResult[] = [];
  const variants: VariantCost[] = [];
  await using site = await BenchSite.open({ url, brokers }, backlog);
  for (const part of parts) {
    const report = await part.run(site, (text) => bar.step(text));
    results.push(...report.results);
    variants.push(...report.variants);
  }
  return { results: results.filter(({ id }) => rows.some((row) => row === id)), variants };
}

function partsOf(
  rows: readonly RelayRow[],
  sizes: { readonly backlog: number; readonly rounds: number } & (typeof SIZES)['usual'],
): Part[] {
  const { backlog, rounds, largeRounds, large, small, deletes, events, idleSeconds, idleRounds, handOvers } = sizes;
  const clients = [
    ...(rows.includes('B1') || rows.includes('B2') ? (['kafkajs'] as const) : []),
    ...(rows.includes('B1p') ? (['platformatic'] as const) : []),
  ];
  // A round before the first one warms up where rounds are short.
  const parts: Part[] = [
    {
      rows: ['B1', 'B1p', 'B2'],
      steps: rounds + 1,
      run: (site, step) => measurePublishing(site, { clients, rows: backlog, rounds, step }),
    },
    {
      rows: ['B3'],
      steps: largeRounds,
      run: (site, step) => measureBacklogSize(site, { large, small, rounds: largeRounds, step }),
    },
    { rows: ['B4'], steps: largeRounds + 1, run: (site, step) => measureDeadRows(site, { deletes, rounds: largeRounds, step }) },
    { rows: ['B5'], steps: rounds + 1, run: (site, step) => measureLatency(site, { events, rounds, step }) },
    { rows: ['B7'], steps: rounds + 1, run: (site, step) => measureWriters(site, { rows: backlog, rounds, step }) },
    { rows: ['B9'], steps: idleRounds, run: (site, step) => measureIdle(site, { seconds: idleSeconds, rounds: idleRounds, step }) },
    { rows: ['B10'], steps: rounds + 1, run: (site, step) => measureOneKey(site, { rows: backlog, rounds, step }) },
    {
      rows: ['L1', 'L2', 'L3'],
      steps: 3 * handOvers,
      run: (site, step) => measureHandOver(site, { rounds: handOvers, step }),
    },
  ];
  return parts.filter((part) => part.rows.some((row) => rows.includes(row)));
}
