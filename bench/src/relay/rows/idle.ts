import { type BenchReport, median, quantile, rounded } from '../../bench-result.ts';
import { WireProxy } from '../../wire-proxy.ts';
import type { BenchSite } from '../bench-site.ts';
import type { ContestantKind } from '../contestant.ts';
import { ContestantProcess } from '../contestant-process.ts';

/** What is measured for B9. */
export interface IdlePlan {
  readonly seconds: number;
  readonly rounds: number;
  readonly step: (text: string) => void;
}

const SUBJECTS: readonly { readonly kind: ContestantKind; readonly pollMs?: number }[] = [
  { kind: 'txbox' },
  { kind: 'SKIP LOCKED', pollMs: 500 },
];
/** Until a relay has nothing to do with its own beginning any more. */
const CALM_MS = 10_000;

/** B9: what a relay asks of the database while nothing happens, counted on the wire, whatever its connections. */
export async function measureIdle(site: BenchSite, { seconds, rounds, step }: IdlePlan): Promise<BenchReport> {
  await using stack = new AsyncDisposableStack();
  const topic = await site.topic('idle');
  const running: { kind: ContestantKind; proxy: WireProxy; relay: ContestantProcess; statements: number[]; cpuMs: number[] }[] = [];
  for (const { kind, ...pace } of SUBJECTS) {
    const proxy = stack.use(await WireProxy.start(site.databaseUrl, 0));
    const settings = { kind, client: 'kafkajs', databaseUrl: proxy.url, brokers: site.brokers, topic, ...pace } as const;
    const relay = stack.use(await ContestantProcess.start(settings));
    await relay.begin();
    running.push({ kind, proxy, relay, statements: [], cpuMs: [] });
  }
  await pause(CALM_MS);
  for (let round = 1; round <= rounds; round += 1) {
    const before = await Promise.all(running.map(async ({ proxy, relay }) => [await proxy.commands(), await relay.cpuMs()] as const));
    await pause(seconds * 1_000);
    for (const [index, { proxy, relay, statements, cpuMs }] of running.entries()) {
      const [commandsBefore, cpuBefore] = before[index] as readonly [number, number];
      statements.push(((await proxy.commands()) - commandsBefore) / seconds);
      cpuMs.push(((await relay.cpuMs()) - cpuBefore) / seconds);
    }
    step(
      `B9 round ${round} of ${rounds}: ${running.map(({ kind, statements }) => `${kind} ${statements.at(-1)?.toFixed(1)}/s`).join(', ')}`,
    );
  }
  for (const { relay } of running) await relay.end();
  const [txbox, polling] = running as [(typeof running)[number], (typeof running)[number]];
  return {
    results: [
      {
        id: 'B9',
        value: rounded(median(txbox.statements)),
        floor: 20,
        goal: 2,
        better: 'lower',
        unit: 'statements/s',
        low: rounded(quantile(txbox.statements, 0.1)),
        high: rounded(quantile(txbox.statements, 0.9)),
        note:
          `statements per second of an idle relay that owns all shards, counted on the wire; CPU ${median(txbox.cpuMs).toFixed(1)} ms a second. ` +
          `A relay that polls every 500 ms: ${median(polling.statements).toFixed(1)}, CPU ${median(polling.cpuMs).toFixed(1)} ms`,
      },
    ],
    variants: running.map(({ kind, statements, cpuMs }) => ({
      variant: `kafkajs: ${kind}, idle`,
      events: 0,
      statementsPerSecond: rounded(median(statements)),
      cpuMsPerSecond: rounded(median(cpuMs)),
    })),
  };
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
