import { type BenchReport, type BenchResult, median, ratioResult, rounded, spread, type VariantCost } from '../../bench-result.ts';
import type { ClientName } from '../bare-client.ts';
import type { BenchSite } from '../bench-site.ts';
import type { ContestantKind } from '../contestant.ts';
import { ContestantProcess } from '../contestant-process.ts';
import { cpuPerRow, type DrainSample, rowsPerSecond } from '../drain-sample.ts';

/** What is measured for B1, B1p and B2. */
export interface PublishingPlan {
  readonly clients: readonly ClientName[];
  readonly rows: number;
  readonly rounds: number;
  readonly step: (text: string) => void;
}

/** One that sends row by row gets so many times fewer: its rate does not depend on it. */
const FEWER_FOR_ROW_BY_ROW = 100;

const KINDS: readonly ContestantKind[] = [
  'bare client',
  'txbox',
  'bare client, no headers',
  'SKIP LOCKED',
  'SKIP LOCKED, 4 workers',
  'row by row',
];
const IDS: Readonly<Record<ClientName, string>> = { kafkajs: 'B1', platformatic: 'B1p' };
const LIMITS = { B1: { floor: 0.6, goal: 0.85 }, B1p: { floor: 0.35, goal: 0.55 } } as const;

/** Drains of one round, by client and kind. */
type Round = ReadonlyMap<string, DrainSample>;

/** B1, B1p, B2: a backlog published by each of them, one after the other, in each round; the first round warms up. */
export async function measurePublishing(site: BenchSite, plan: PublishingPlan): Promise<BenchReport> {
  const { clients, rows, rounds, step } = plan;
  await using stack = new AsyncDisposableStack();
  const contestants: ContestantProcess[] = [];
  for (const client of clients) {
    for (const kind of KINDS) {
      const topic = await site.topic(`${client}.${KINDS.indexOf(kind)}`);
      const { databaseUrl, brokers } = site;
      contestants.push(stack.use(await ContestantProcess.start({ kind, client, databaseUrl, brokers, topic })));
    }
  }
  const measured: Round[] = [];
  for (let round = 0; round <= rounds; round += 1) {
    const drains = new Map<string, DrainSample>();
    for (const contestant of contestants) drains.set(nameOf(contestant.settings), await drain(site, contestant, rows));
    if (round > 0) measured.push(drains);
    // Neighbours stay neighbours; another client comes first.
    if (clients.length > 1) contestants.push(...contestants.splice(0, KINDS.length));
    const shown = clients.map((client) => `${client} ${ratioOf(drains, client, 'txbox', 'bare client').toFixed(2)}`);
    step(
      `${clients.map((client) => IDS[client]).join(', ')} ${round === 0 ? 'warm-up' : `round ${round} of ${rounds}`}: ${shown.join(', ')}`,
    );
  }
  const results = clients.map((client) => rateResult(measured, client, rows));
  if (clients.includes('kafkajs')) results.push(cpuResult(measured, clients));
  return { results, variants: contestants.map(({ settings }) => costOf(measured, settings, rows)) };
}

async function drain(site: BenchSite, contestant: ContestantProcess, rows: number): Promise<DrainSample> {
  const { kind, topic } = contestant.settings;
  const own = kind === 'row by row' ? Math.ceil(rows / FEWER_FOR_ROW_BY_ROW) : rows;
  if (kind === 'txbox') await site.fill({ rows, topic });
  else if (!kind.startsWith('bare')) await site.fillPolled({ rows: own, topic });
  await site.rest();
  return await contestant.drain(own);
}

function rateResult(rounds: readonly Round[], client: ClientName, rows: number): BenchResult {
  const id = IDS[client] as keyof typeof LIMITS;
  const against = (kind: ContestantKind, over: ContestantKind): number[] => rounds.map((round) => ratioOf(round, client, kind, over));
  return ratioResult(
    {
      id,
      ...LIMITS[id],
      better: 'higher',
      note:
        `rows per second of the relay, published and settled / of ${client} alone with the same records; ${rows} rows. ` +
        `Relay / ${client} without headers ${spread(against('txbox', 'bare client, no headers'))}. ` +
        `Others / ${client} alone: SKIP LOCKED ${spread(against('SKIP LOCKED', 'bare client'))}, ` +
        `with 4 workers ${spread(against('SKIP LOCKED, 4 workers', 'bare client'))}, row by row ${median(against('row by row', 'bare client')).toFixed(3)}`,
    },
    against('txbox', 'bare client'),
  );
}

function cpuResult(rounds: readonly Round[], clients: readonly ClientName[]): BenchResult {
  const against = (client: ClientName, kind: ContestantKind): number[] =>
    rounds.map((round) => cpuPerRow(drainOf(round, client, kind)) / cpuPerRow(drainOf(round, client, 'bare client')));
  const others = (['SKIP LOCKED', 'row by row'] as const).map((kind) => `${kind} ${spread(against('kafkajs', kind))}`);
  const platformatic = clients.includes('platformatic') ? `; the relay with platformatic ${spread(against('platformatic', 'txbox'))}` : '';
  return ratioResult(
    {
      id: 'B2',
      floor: 1.5,
      goal: 1.15,
      better: 'lower',
      note: `CPU of the relay's process a row / of kafkajs alone a message. Others: ${others.join(', ')}${platformatic}`,
    },
    against('kafkajs', 'txbox'),
  );
}

function costOf(rounds: readonly Round[], { client, kind }: { client: ClientName; kind: ContestantKind }, rows: number): VariantCost {
  const drains = rounds.map((round) => drainOf(round, client, kind));
  return {
    variant: `${client}: ${kind}`,
    events: drains[0]?.rows ?? rows,
    eventsPerSecond: Math.round(median(drains.map(rowsPerSecond))),
    cpuMicrosPerEvent: rounded(median(drains.map(cpuPerRow))),
  };
}

function ratioOf(round: Round, client: ClientName, kind: ContestantKind, over: ContestantKind): number {
  return rowsPerSecond(drainOf(round, client, kind)) / rowsPerSecond(drainOf(round, client, over));
}

function drainOf(round: Round, client: ClientName, kind: ContestantKind): DrainSample {
  return round.get(nameOf({ client, kind })) as DrainSample;
}

function nameOf({ client, kind }: { readonly client: ClientName; readonly kind: ContestantKind }): string {
  return `${client}: ${kind}`;
}
