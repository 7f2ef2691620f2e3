import { openDatabase } from '@txbox/core/spi';
import { outboxStore, SHARDS } from '@txbox/outbox/store';
import { createConnection } from 'mysql2/promise';
import { type BenchReport, median, ratioResult, rounded, spread } from '../../bench-result.ts';
import type { BenchSite } from '../bench-site.ts';
import { ContestantProcess } from '../contestant-process.ts';

/** What is measured for B4. */
export interface DeadRowsPlan {
  /** Rows that are published and deleted while the old snapshot is open. */
  readonly deletes: number;
  readonly rounds: number;
  readonly step: (text: string) => void;
}

/** Short enough for many empty reads. */
const POLL_MS = 20;
const PAGES = 25;
const ROWS_OF_A_PAGE = 800;
const HEAD_SCANS = 15;
/** The low marks rise within this time after the last row is gone. */
const RISE_MS = 3_000;
const EMPTY_READS_MS = 2_000;

/** Medians of one state of the table, milliseconds. */
interface State {
  readonly withRows: number;
  readonly empty: number;
  /** The same read from the head of the table, as by one who remembers no low mark. */
  readonly fromHead: number;
  /** A batch taken by SKIP LOCKED from the head. */
  readonly skipLocked: number;
}

/** B4: how long the relay reads a page while a snapshot elsewhere keeps the server from removing what was deleted. */
export async function measureDeadRows(site: BenchSite, { deletes, rounds, step }: DeadRowsPlan): Promise<BenchReport> {
  const topic = await site.topic('dead-rows');
  const { databaseUrl, brokers } = site;
  await using relay = await ContestantProcess.start({ kind: 'txbox', client: 'kafkajs', databaseUrl, brokers, topic, pollMs: POLL_MS });
  const measured: { fresh: State; dead: State }[] = [];
  for (let round = 0; round <= rounds; round += 1) {
    await site.clear();
    await relay.begin();
    const fresh = await stateOf(site, relay, { topic, before: 0 });
    const snapshot = await createConnection(databaseUrl);
    await snapshot.query('SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ');
    await snapshot.query('START TRANSACTION WITH CONSISTENT SNAPSHOT');
    await snapshot.query('SELECT COUNT(*) FROM txbox_outbox');
    const before = PAGES * ROWS_OF_A_PAGE + deletes;
    await site.fill({ rows: deletes, topic });
    await relay.drained(before);
    await pause(RISE_MS);
    const dead = await stateOf(site, relay, { topic, before });
    await snapshot.end();
    await relay.end();
    await site.rest();
    if (round > 0) measured.push({ fresh, dead });
    step(
      `B4 ${round === 0 ? 'warm-up' : `round ${round} of ${rounds}`}: ${fresh.withRows.toFixed(2)} ms a page when fresh, ${dead.withRows.toFixed(2)} ms after`,
    );
  }
  const ratios = (what: keyof State): number[] => measured.map(({ fresh, dead }) => dead[what] / fresh[what]);
  const ms = (which: 'fresh' | 'dead', what: keyof State): number => rounded(median(measured.map((round) => round[which][what])));
  return {
    results: [
      ratioResult(
        {
          id: 'B4',
          floor: 2,
          goal: 1.2,
          better: 'lower',
          note:
            `the relay's read of a page after ${deletes} deletes under an old snapshot / in a fresh table. Reads that find nothing ` +
            `${spread(ratios('empty'))}; the same from the head of the table ${spread(ratios('fromHead'))}, with SKIP LOCKED ${spread(ratios('skipLocked'))}`,
        },
        ratios('withRows'),
      ),
    ],
    variants: (['withRows', 'empty', 'fromHead', 'skipLocked'] as const).map((what) => ({
      variant: `page read: ${NAMES[what]}`,
      events: what === 'withRows' ? ROWS_OF_A_PAGE : 0,
      msWhenFresh: ms('fresh', what),
      msAfterDeletes: ms('dead', what),
    })),
  };
}

const NAMES: Readonly<Record<keyof State, string>> = {
  withRows: 'txbox, with rows',
  empty: 'txbox, nothing new',
  fromHead: 'from the head',
  skipLocked: 'from the head, SKIP LOCKED',
};

/** `before`: events that the relay has published since it began. */
async function stateOf(
  site: BenchSite,
  relay: ContestantProcess,
  { topic, before }: { readonly topic: string; readonly before: number },
): Promise<State> {
  await relay.pageReads();
  await pause(EMPTY_READS_MS);
  const { empty } = await relay.pageReads();
  for (let page = 1; page <= PAGES; page += 1) {
    await site.fill({ rows: ROWS_OF_A_PAGE, topic });
    await relay.drained(before + page * ROWS_OF_A_PAGE);
  }
  const { withRows } = await relay.pageReads();
  if (withRows.length === 0 || empty.length === 0) throw new Error('the relay read no page: its statement has another text now');
  return { withRows: median(withRows), empty: median(empty), ...(await headScans(site.databaseUrl)) };
}

async function headScans(databaseUrl: string): Promise<Pick<State, 'fromHead' | 'skipLocked'>> {
  const database = await openDatabase({ url: databaseUrl });
  const store = outboxStore(database);
  const requests = Array.from({ length: SHARDS }, (_, shard) => ({ shard, low: 0, start: 0, limit: 100, inlineBytes: 10_000 }));
  const connection = await createConnection(databaseUrl);
  await connection.query('SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED');
  const fromHead: number[] = [];
  const skipLocked: number[] = [];
  for (let scan = 0; scan < HEAD_SCANS; scan += 1) {
    fromHead.push(await timed(() => store.readPages(requests)));
    skipLocked.push(
      await timed(async () => {
        await connection.beginTransaction();
        await connection.query('SELECT position, payload FROM txbox_outbox ORDER BY shard, position LIMIT 500 FOR UPDATE SKIP LOCKED');
        await connection.commit();
      }),
    );
  }
  await connection.end();
  await database.close();
  return { fromHead: median(fromHead), skipLocked: median(skipLocked) };
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const startedAt = performance.now();
  await work();
  return performance.now() - startedAt;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
