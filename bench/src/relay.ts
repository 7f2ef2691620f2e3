import type { BenchReport, BenchResult, VariantCost } from './bench-result.ts';
import { ProgressBar } from './progress-bar.ts';
import { BenchSite } from './relay/bench-site.ts';
import { measurePublishing } from './relay/rows/publishing.ts';

/** Rows of the table of cost ceilings that are measured here. */
export const RELAY_ROWS = ['B1', 'B1p', 'B2'] as const;
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

/** Measures in a database and topics of its own, which are removed afterwards. */
export async function benchRelay({ url, brokers, rows, backlog, rounds }: RelayBench): Promise<BenchReport> {
  const has = (...ids: RelayRow[]): boolean => ids.some((id) => rows.includes(id));
  const parts: { readonly steps: number; run(site: BenchSite, step: (text: string) => void): Promise<BenchReport> }[] = [];
  if (has('B1', 'B1p', 'B2')) {
    const clients = [...(has('B1', 'B2') ? (['kafkajs'] as const) : []), ...(has('B1p') ? (['platformatic'] as const) : [])];
    parts.push({ steps: rounds + 1, run: (site, step) => measurePublishing(site, { clients, rows: backlog, rounds, step }) });
  }
  const bar = new ProgressBar(parts.reduce((sum, part) => sum + part.steps, 0));
  const results: BenchResult[] = [];
  const variants: VariantCost[] = [];
  await using site = await BenchSite.open({ url, brokers }, backlog);
  for (const part of parts) {
    const report = await part.run(site, (text) => bar.step(text));
    results.push(...report.results.filter(({ id }) => rows.includes(id as RelayRow)));
    variants.push(...report.variants);
  }
  return { results, variants };
}
