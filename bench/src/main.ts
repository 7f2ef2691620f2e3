// `npm run bench -- outbox|relay [options] [--json]`: ratios measured in one run, variants interleaved round by round.
// Addresses of the servers come from the environment (TXBOX_TEST_MARIADB_URL, TXBOX_TEST_KAFKA_BROKERS), else from `npm run services`.
import { parseArgs } from 'node:util';
import { type BenchReport, textOf } from './bench-result.ts';
import { benchOutbox } from './outbox.ts';
import { benchRelay, RELAY_ROWS, type RelayRow } from './relay.ts';
import { addressesOf } from './servers.ts';

const usage = `usage: npm run bench -- outbox [--rounds N] [--quick] [--json]
       npm run bench -- relay [--rows ${RELAY_ROWS.join(',')}] [--rounds N] [--backlog N] [--quick] [--json]
`;
const OUTBOX_ROUNDS = { usual: 45, quick: 6 };
const RELAY_SIZES = { usual: { backlog: 100_000, rounds: 9 }, quick: { backlog: 20_000, rounds: 3 } };
const progress = (text: string): void => void process.stderr.write(`${text}\n`);

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rows: { type: 'string' },
    rounds: { type: 'string' },
    backlog: { type: 'string' },
    quick: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) {
  process.stdout.write(usage);
  process.exit(0);
}
const sizes = Object.entries({ rounds: values.rounds, backlog: values.backlog }).filter(([, size]) => size !== undefined);
const given: Partial<Record<string, number>> = Object.fromEntries(sizes.map(([name, size]) => [name, Number(size)]));
const speed = values.quick ? 'quick' : 'usual';
const rows = values.rows?.split(',') ?? RELAY_ROWS;

const benches: Readonly<Record<string, { readonly takes: readonly string[]; run(): Promise<BenchReport> }>> = {
  outbox: {
    takes: ['rounds'],
    run: () => {
      const { mariadb: url } = addressesOf('mariadb');
      return benchOutbox({ url, rounds: OUTBOX_ROUNDS[speed], ...given, progress });
    },
  },
  relay: {
    takes: ['rows', 'rounds', 'backlog'],
    run: () => {
      const { mariadb: url, kafka } = addressesOf('mariadb', 'kafka');
      const chosen = rows as readonly RelayRow[];
      return benchRelay({ ...RELAY_SIZES[speed], ...given, url, brokers: kafka.split(','), rows: chosen, quick: values.quick });
    },
  },
};

const bench = benches[positionals.join()];
const sizesAreRight = Object.entries(given).every(
  ([name, size]) => bench?.takes.includes(name) && Number.isInteger(size) && Number(size) > 0,
);
const rowsAreRight = (values.rows === undefined || bench?.takes.includes('rows')) && rows.every((row) => isRelayRow(row));
if (!bench || !sizesAreRight || !rowsAreRight) {
  process.stderr.write(usage);
  process.exitCode = 2;
} else {
  const report = await bench.run();
  if (values.json) process.stderr.write(textOf(report));
  process.stdout.write(values.json ? `${JSON.stringify(report)}\n` : textOf(report));
}

function isRelayRow(row: string): row is RelayRow {
  return RELAY_ROWS.some((known) => known === row);
}
