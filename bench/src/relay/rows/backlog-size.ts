import { type BenchReport, median, ratioResult, rounded, type VariantCost } from '../../bench-result.ts';
import type { BenchSite } from '../bench-site.ts';
import { ContestantProcess } from '../contestant-process.ts';
import { cpuPerRow, type DrainSample, type MemorySample, rowsPerSecond } from '../drain-sample.ts';

/** What is measured for B3. */
export interface BacklogSizePlan {
  readonly large: number;
  readonly small: number;
  readonly rounds: number;
  readonly step: (text: string) => void;
}

/** Small backlogs for each large one: one of them is over too soon. */
const SMALL_DRAINS = 5;

/** B3: the rate at which a large backlog is published beside that of small ones, and the memory of the relay meanwhile. */
export async function measureBacklogSize(site: BenchSite, { large, small, rounds, step }: BacklogSizePlan): Promise<BenchReport> {
  const topic = await site.topic('backlog-size');
  const { databaseUrl, brokers } = site;
  await using relay = await ContestantProcess.start({ kind: 'txbox', client: 'kafkajs', databaseUrl, brokers, topic });
  const measured: { small: DrainSample; large: DrainSample }[] = [];
  await drainSmall(site, relay, { topic, rows: small });
  for (let round = 1; round <= rounds; round += 1) {
    const before = await drainSmall(site, relay, { topic, rows: small });
    await site.fill({ rows: large, topic });
    await site.rest();
    const sample = await relay.drain(large, { memory: true });
    measured.push({ small: before, large: sample });
    step(
      `B3 round ${round} of ${rounds}: ${Math.round(rowsPerSecond(sample))}/s of ${large} rows, ${Math.round(rowsPerSecond(before))}/s of ${small}`,
    );
  }
  const memory = measured.at(-1)?.large.memory ?? [];
  const curve = curveOf(memory);
  return {
    results: [
      ratioResult(
        {
          id: 'B3',
          floor: 0.8,
          goal: 0.95,
          better: 'higher',
          note:
            `rows per second with a backlog of ${large} / of ${small}, kafkajs. Memory of the relay's process meanwhile, MB, ` +
            `most in each fifth: RSS ${curve.rss.join(', ')}; heap ${curve.heap.join(', ')}; buffers ${curve.external.join(', ')}`,
        },
        measured.map((round) => rowsPerSecond(round.large) / rowsPerSecond(round.small)),
      ),
    ],
    variants: [
      costOf(
        measured.map((round) => round.small),
        small,
      ),
      costOf(
        measured.map((round) => round.large),
        large,
      ),
    ],
  };
}

async function drainSmall(
  site: BenchSite,
  relay: ContestantProcess,
  { topic, rows }: { topic: string; rows: number },
): Promise<DrainSample> {
  let [ms, cpuMs] = [0, 0];
  for (let drain = 0; drain < SMALL_DRAINS; drain += 1) {
    await site.fill({ rows, topic });
    await site.rest();
    const sample = await relay.drain(rows);
    ms += sample.ms;
    cpuMs += sample.cpuMs;
  }
  return { rows: rows * SMALL_DRAINS, ms, cpuMs, memory: [] };
}

function costOf(drains: readonly DrainSample[], events: number): VariantCost {
  return {
    variant: 'kafkajs: txbox, by backlog',
    events,
    eventsPerSecond: Math.round(median(drains.map(rowsPerSecond))),
    cpuMicrosPerEvent: rounded(median(drains.map(cpuPerRow))),
  };
}

/** The most of each fifth of the time, MB. */
function curveOf(memory: readonly MemorySample[]): Readonly<Record<keyof MemorySample, readonly number[]>> {
  const fifths = Array.from({ length: 5 }, (_, part) => memory.slice((memory.length * part) / 5, (memory.length * (part + 1)) / 5));
  const most = (what: keyof MemorySample): number[] =>
    fifths.map((samples) => Math.round(Math.max(0, ...samples.map((sample) => sample[what])) / 1_048_576));
  return { rss: most('rss'), heap: most('heap'), external: most('external') };
}
