import { createOutbox } from '@txbox/outbox/mysql2';
import { createPool, type ResultSetHeader } from 'mysql2/promise';
import { type BenchReport, median, quantile, rounded } from '../../bench-result.ts';
import { type BenchSite, measuredEvent, PAYLOAD } from '../bench-site.ts';
import { type ContestantKind, machineNow } from '../contestant.ts';
import { ContestantProcess } from '../contestant-process.ts';

/** What is measured for B5. */
export interface LatencyPlan {
  /** Events of a round. */
  readonly events: number;
  readonly rounds: number;
  readonly step: (text: string) => void;
}

/** Pause before an event, so that the system is idle and nobody is hit always in the same phase. */
const PAUSE_MS = { least: 15, most: 45 };
const POLL_MS = 500;
/** One that polls gets fewer events: each waits for half its pause. */
const FEWER_FOR_POLLING = 10;
const ANSWER_MS = 10_000;

/** Milliseconds from commit to acknowledgement, and of a send by the client alone. */
interface Round {
  readonly txbox: readonly number[];
  readonly bare: readonly number[];
  readonly polling: readonly number[];
}

/** B5: how long after its commit an event is acknowledged when nothing else happens, above what a send takes by itself. */
export async function measureLatency(site: BenchSite, { events, rounds, step }: LatencyPlan): Promise<BenchReport> {
  await using stack = new AsyncDisposableStack();
  const { databaseUrl, brokers } = site;
  const topic = await site.topic('latency');
  const start = async (kind: ContestantKind, pollMs?: number): Promise<ContestantProcess> => {
    const settings = { kind, client: 'kafkajs', databaseUrl, brokers, topic, ...(pollMs === undefined ? {} : { pollMs }) } as const;
    return stack.use(await ContestantProcess.start(settings));
  };
  const txbox = await start('txbox');
  const bare = await start('bare client');
  const polling = await start('SKIP LOCKED', POLL_MS);
  const pool = createPool({ uri: databaseUrl, connectionLimit: 2 });
  stack.defer(() => pool.end());
  const outbox = createOutbox({ pool });
  stack.defer(() => outbox.close());
  const event = measuredEvent(topic);
  const commitToOutbox = async (n: number): Promise<number> => {
    await outbox.transaction(async () => void outbox.add(event, PAYLOAD, { key: `key-${n}` }));
    return machineNow();
  };
  const commitToPolled = async (n: number): Promise<number> => {
    await pool.query<ResultSetHeader>(
      "INSERT INTO polled_outbox (topic, message_key, type, headers, payload, created_at) VALUES (?, ?, 'order.measured', '{}', ?, UTC_TIMESTAMP(6))",
      [topic, `key-${n}`, PAYLOAD],
    );
    return machineNow();
  };
  await txbox.begin();
  await polling.begin();
  const measured: Round[] = [];
  for (let round = 0; round <= rounds; round += 1) {
    const committed: number[] = [];
    const sent: number[] = [];
    for (let n = 0; n < events; n += 1) {
      await pause(PAUSE_MS.least + Math.random() * (PAUSE_MS.most - PAUSE_MS.least));
      committed.push(await commitToOutbox(n));
      await pause(PAUSE_MS.least + Math.random() * (PAUSE_MS.most - PAUSE_MS.least));
      sent.push(await bare.sendOne());
    }
    const polled: number[] = [];
    const answers: number[] = [];
    for (let n = 0; n < Math.max(10, events / FEWER_FOR_POLLING); n += 1) {
      polled.push(await commitToPolled(n));
      answers.push(...(await answersOf(polling, 1)));
      await pause(Math.random() * POLL_MS);
    }
    const acknowledged = await answersOf(txbox, committed.length);
    const since = (times: readonly number[], from: readonly number[]): number[] => times.map((at, n) => at - (from[n] ?? Number.NaN));
    const shown = { txbox: since(acknowledged, committed), bare: sent, polling: since(answers, polled) };
    if (round > 0) measured.push(shown);
    step(`B5 ${round === 0 ? 'warm-up' : `round ${round} of ${rounds}`}: ${line(shown.txbox)}; a send alone ${line(shown.bare)}`);
  }
  await txbox.end();
  await polling.end();
  return reportOf(measured, events);
}

function reportOf(measured: readonly Round[], events: number): BenchReport {
  const above = (part: number): number[] => measured.map(({ txbox, bare }) => quantile(txbox, part) - quantile(bare, part));
  const all = (who: keyof Round): number[] => measured.flatMap((round) => round[who]);
  const [middle, late] = [above(0.5), above(0.99)];
  return {
    results: [
      {
        id: 'B5',
        value: [rounded(median(middle)), rounded(median(late))],
        floor: [5, 25],
        goal: [1, 5],
        better: 'lower',
        unit: 'ms',
        low: rounded(quantile(middle, 0.1)),
        high: rounded(quantile(middle, 0.9)),
        note:
          `commit to acknowledged, p50 and p99 (each round's, its median), less those of a send by the client alone; low and high are p50's; p99's are ` +
          `${quantile(late, 0.1).toFixed(1)} and ${quantile(late, 0.9).toFixed(1)}. ${measured.length} rounds of ${events} events; ` +
          `a relay that polls every ${POLL_MS} ms: ${line(all('polling'))}`,
      },
    ],
    variants: (['txbox', 'bare', 'polling'] as const).map((who) => ({
      variant: {
        txbox: 'kafkajs: txbox, commit to acknowledged',
        bare: 'kafkajs: bare client, one send',
        polling: `kafkajs: SKIP LOCKED every ${POLL_MS} ms`,
      }[who],
      events: all(who).length,
      msP50: rounded(quantile(all(who), 0.5)),
      msP99: rounded(quantile(all(who), 0.99)),
    })),
  };
}

/** The times of so many acknowledgements. */
async function answersOf(relay: ContestantProcess, count: number): Promise<number[]> {
  const times: number[] = [];
  const until = performance.now() + ANSWER_MS;
  for (;;) {
    times.push(...(await relay.acknowledgedAt()));
    if (times.length === count) return times;
    if (times.length > count || performance.now() > until) throw new Error(`${times.length} of ${count} events were acknowledged`);
    await pause(20);
  }
}

function line(times: readonly number[]): string {
  return `p50 ${quantile(times, 0.5).toFixed(2)} ms, p99 ${quantile(times, 0.99).toFixed(1)} ms`;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
