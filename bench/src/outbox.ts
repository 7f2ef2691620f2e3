import { randomBytes } from 'node:crypto';
import { createOutbox } from '@txbox/outbox/mysql2';
import { createConnection, createPool } from 'mysql2/promise';
import { type BenchReport, type BenchResult, median, ratioResult, rounded, spread, type VariantCost } from './bench-result.ts';
import { type Sample, type SubjectName, SubjectProcess } from './outbox/subject-process.ts';
import { createTables } from './outbox/usual-transaction.ts';
import { WireProxy } from './wire-proxy.ts';

/** What adding events costs: measured beside the same transactions without, and beside what one would write by hand. */
export interface OutboxBench {
  readonly url: string;
  readonly rounds: number;
  readonly progress: (text: string) => void;
}

const BESIDE_EACH_OTHER: readonly SubjectName[] = [
  'txbox on mysql2',
  'raw mysql2',
  'raw mysql2, rows encoded beforehand',
  'txbox on TypeORM',
  'raw INSERT in TypeORM',
  'raw INSERT in TypeORM, rows encoded beforehand',
  'TypeORM save()',
  'typeorm-transactional',
];
const OVER_A_NETWORK: readonly SubjectName[] = ['txbox on mysql2', 'txbox on TypeORM', 'TypeORM save()'];
const KINDS = [0, 1, 10];
/** Half a millisecond there and back. */
const DELAY_MS = 0.25;
const TRANSACTIONS = 25;
const TRANSACTIONS_OVER_A_NETWORK = 10;
/** Much code is compiled in between. */
const TRANSACTIONS_TO_WARM_UP = 150;
/** Processes are begun anew after a part of the rounds: one and the same program is a few percent faster in one process than in another. */
const GENERATIONS = 3;

/** The samples of one round, by subject. */
type Round = ReadonlyMap<SubjectName, readonly Sample[]>;

/** Measures in a database of its own, which is removed afterwards. */
export async function benchOutbox({ url, rounds, progress }: OutboxBench): Promise<BenchReport> {
  const name = `txbox_bench_${randomBytes(4).toString('hex')}`;
  const admin = await createConnection(url);
  try {
    await admin.query(`CREATE DATABASE ${name}`);
    await admin.query(`USE ${name}`);
    await createTables(admin);
    const databaseUrl = Object.assign(new URL(url), { pathname: `/${name}` }).href;
    await installOutbox(databaseUrl);
    const plan = { rounds, progress };
    const near = await measure(databaseUrl, { ...plan, subjects: BESIDE_EACH_OTHER, transactions: TRANSACTIONS, kinds: KINDS });
    const statements = await countStatements(databaseUrl);
    await using network = await WireProxy.start(databaseUrl, DELAY_MS);
    const far = await measure(network.url, {
      ...plan,
      subjects: OVER_A_NETWORK,
      transactions: TRANSACTIONS_OVER_A_NETWORK,
      kinds: [1, 10],
    });
    return {
      results: [...timeResults(near), networkResult(far), statementResult(statements), ...cpuResults(near)],
      variants: [...costs(near, ''), ...costs(far, ', 0.5 ms network')],
    };
  } finally {
    await admin.query(`DROP DATABASE IF EXISTS ${name}`);
    await admin.end();
  }
}

async function installOutbox(url: string): Promise<void> {
  const pool = createPool(url);
  const outbox = createOutbox({ pool });
  await outbox.migrate();
  await outbox.close();
  await pool.end();
}

/** All subjects in each round, another one first in each. */
async function measure(
  url: string,
  plan: {
    readonly subjects: readonly SubjectName[];
    readonly rounds: number;
    readonly transactions: number;
    readonly kinds: readonly number[];
    readonly progress: (text: string) => void;
  },
): Promise<Round[]> {
  const { subjects, rounds, transactions, kinds, progress } = plan;
  const measured: Round[] = [];
  while (measured.length < rounds) {
    const until = Math.min(rounds, measured.length + Math.ceil(rounds / GENERATIONS));
    const processes: SubjectProcess[] = [];
    try {
      for (const subject of subjects) {
        const started = await SubjectProcess.start(subject, url);
        processes.push(started);
        await started.run({ transactions: TRANSACTIONS_TO_WARM_UP, kinds });
      }
      while (measured.length < until) {
        const round = new Map<SubjectName, readonly Sample[]>();
        for (const subject of processes) round.set(subject.name, await subject.run({ transactions, kinds }));
        processes.push(processes.shift() as SubjectProcess);
        measured.push(round);
        const [first] = subjects;
        const times = kinds.map((events) => `${sampleOf(round, first as SubjectName, events).ms.toFixed(2)} ms with ${events} events`);
        progress(`round ${measured.length} of ${rounds}: ${first}: ${times.join(', ')}`);
      }
    } finally {
      await Promise.all(processes.map((each) => each.close()));
    }
  }
  return measured;
}

/** Statements that so many events add to a transaction, by subject and number of events. */
type Statements = ReadonlyMap<SubjectName, ReadonlyMap<number, number>>;

async function countStatements(url: string): Promise<Statements> {
  const counted = new Map<SubjectName, ReadonlyMap<number, number>>();
  await using proxy = await WireProxy.start(url, 0);
  for (const name of ['txbox on mysql2', 'txbox on TypeORM', 'TypeORM save()'] as const) {
    const subject = await SubjectProcess.start(name, proxy.url);
    const perTransaction = async (events: number): Promise<number> => {
      // Each order by itself, and the median of them: now and then a process asks, outside of any transaction, where relays are.
      const counts: number[] = [];
      for (let order = 0; order < 5; order += 1) {
        const before = await proxy.commands();
        await subject.run({ transactions: 5, kinds: [events] });
        counts.push(((await proxy.commands()) - before) / 5);
      }
      return median(counts);
    };
    await subject.run({ transactions: 5, kinds: KINDS });
    const without = await perTransaction(0);
    const added = new Map<number, number>();
    for (const events of [1, 10, 500]) added.set(events, (await perTransaction(events)) - without);
    counted.set(name, added);
    await subject.close();
  }
  return counted;
}

function timeResults(rounds: readonly Round[]): BenchResult[] {
  const added = (name: SubjectName, over = name): number[] => ratios(rounds, 'ms', [name, 1], [over, 0]);
  const row = { floor: 1.25, goal: 1.15, better: 'lower' } as const;
  return [
    ratioResult(
      {
        ...row,
        id: 'A1',
        note:
          `mysql2: locking SELECT, UPDATE, 2 INSERTs and 1 event / without; raw INSERT by hand ${spread(added('raw mysql2'))}; ` +
          `txbox with 1 event / raw mysql2 without ${spread(added('txbox on mysql2', 'raw mysql2'))}`,
      },
      added('txbox on mysql2'),
    ),
    ratioResult(
      {
        ...row,
        id: 'A1-typeorm',
        note:
          `the same with TypeORM; raw INSERT by hand ${spread(added('raw INSERT in TypeORM'))}, save() of an entity ${spread(added('TypeORM save()'))}, ` +
          `that in typeorm-transactional ${spread(added('typeorm-transactional'))}; ` +
          `txbox with 1 event / dataSource.transaction() without ${spread(added('txbox on TypeORM', 'raw INSERT in TypeORM'))}`,
      },
      added('txbox on TypeORM'),
    ),
  ];
}

function networkResult(rounds: readonly Round[]): BenchResult {
  const more = (name: SubjectName): number[] => ratios(rounds, 'ms', [name, 10], [name, 1]);
  return ratioResult(
    {
      id: 'A3',
      floor: 1.15,
      goal: 1.05,
      better: 'lower',
      note:
        `mysql2, 10 events / 1 event, 0.25 ms each way; TypeORM ${spread(more('txbox on TypeORM'))}, ` +
        `save() of entities ${spread(more('TypeORM save()'))}`,
    },
    more('txbox on mysql2'),
  );
}

function statementResult(statements: Statements): BenchResult {
  const added = (name: SubjectName): number[] => [...(statements.get(name)?.values() ?? [])];
  const all = [...added('txbox on mysql2'), ...added('txbox on TypeORM')];
  return {
    id: 'A4',
    value: rounded(Math.max(...all)),
    floor: 1,
    goal: 1,
    better: 'lower',
    unit: 'statements',
    low: rounded(Math.min(...all)),
    high: rounded(Math.max(...all)),
    note: `most of 1, 10 and 500 events on mysql2 and TypeORM, counted on the wire; save() of entities ${added('TypeORM save()').join(', ')}`,
  };
}

function cpuResults(rounds: readonly Round[]): BenchResult[] {
  const row = { floor: 1.3, goal: 1.1, better: 'lower' } as const;
  const against = (name: SubjectName, raw: SubjectName, events: number): number[] => ratios(rounds, 'cpuMs', [name, events], [raw, events]);
  const result = (
    id: string,
    name: SubjectName,
    raw: 'raw mysql2' | 'raw INSERT in TypeORM',
    peers: readonly SubjectName[],
  ): BenchResult => {
    const beside = peers.map((peer) => `; ${peer} ${spread(against(peer, raw, 1))} and ${spread(against(peer, raw, 10))}`);
    const note =
      `${name} / ${raw}, which encodes its rows by hand, the usual transaction included; 10 events, with 1 event ${spread(against(name, raw, 1))}, ` +
      `without ${spread(against(name, raw, 0))}; 10 events / rows encoded beforehand ` +
      `${spread(against(name, `${raw}, rows encoded beforehand`, 10))}${beside.join('')}`;
    return ratioResult({ ...row, id, note }, against(name, raw, 10));
  };
  return [
    result('A5', 'txbox on mysql2', 'raw mysql2', []),
    result('A5-typeorm', 'txbox on TypeORM', 'raw INSERT in TypeORM', ['TypeORM save()', 'typeorm-transactional']),
  ];
}

function costs(rounds: readonly Round[], where: string): VariantCost[] {
  const [first] = rounds;
  return [...(first?.entries() ?? [])].flatMap(([name, samples]) =>
    samples.map(({ events }) => {
      const of = (figure: 'ms' | 'cpuMs'): number => rounded(median(rounds.map((round) => sampleOf(round, name, events)[figure])));
      return { variant: `${name}${where}`, events, msPerTransaction: of('ms'), cpuMsPerTransaction: of('cpuMs') };
    }),
  );
}

type Kind = readonly [name: SubjectName, events: number];

/** One over the other, in each round. */
function ratios(rounds: readonly Round[], figure: 'ms' | 'cpuMs', one: Kind, other: Kind): number[] {
  return rounds.map((round) => sampleOf(round, ...one)[figure] / sampleOf(round, ...other)[figure]);
}

function sampleOf(round: Round, name: SubjectName, events: number): Sample {
  const sample = round.get(name)?.find((each) => each.events === events);
  if (!sample) throw new Error(`${name} was not measured with ${events} events`);
  return sample;
}
