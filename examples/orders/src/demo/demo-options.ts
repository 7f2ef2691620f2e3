import { parseArgs } from 'node:util';

/** What the demo was asked for. */
export interface DemoOptions {
  readonly stack: 'embedded' | 'kafka';
  readonly db: 'sqlite' | 'mariadb' | 'mysql';
  readonly orders: number;
  readonly keys: number;
  readonly seed: number;
  readonly kills: number;
  readonly signal: 'SIGKILL' | 'SIGTERM';
  readonly json: boolean;
  readonly keep: boolean;
  readonly help: boolean;
}

export const usage = `npm run demo -- [options]
  --stack embedded|kafka   embedded: SQLite files and the embedded broker; kafka: MariaDB and Apache Kafka (embedded)
  --db mariadb|mysql       the database of the kafka stack (mariadb)
  --orders N               orders to place, each of which rolls back with a chance of one in ten (2000)
  --keys N                 customers, one of whom places a fifth of all orders (20)
  --seed N                 seed of the orders (1)
  --kills N                SIGKILLs of the relay and of the consumer, each (3)
  --signal SIGKILL|SIGTERM what the kills send (SIGKILL); after SIGTERM alone nothing may be sent or delivered twice
  --json                   one JSON object as the last line
  --keep                   keep the files, logs and databases of the run`;

const BOUNDS = { orders: [1, 10_000_000], keys: [1, 100_000], seed: [0, 2 ** 32 - 1], kills: [0, 1_000] } as const;
const DATABASES = { embedded: ['sqlite'], kafka: ['mariadb', 'mysql'] } as const;

/** Reads the command line; all problems at once. */
export function parseDemoOptions(args: readonly string[]): DemoOptions | { readonly problems: readonly string[] } {
  let values: Record<string, string | boolean | undefined>;
  try {
    values = parseArgs({
      args: [...args],
      options: {
        stack: { type: 'string', default: 'embedded' },
        db: { type: 'string' },
        orders: { type: 'string', default: '2000' },
        keys: { type: 'string', default: '20' },
        seed: { type: 'string', default: '1' },
        kills: { type: 'string', default: '3' },
        signal: { type: 'string', default: 'SIGKILL' },
        json: { type: 'boolean', default: false },
        keep: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    }).values;
  } catch (error) {
    return { problems: [error instanceof Error ? error.message : String(error)] };
  }
  const problems: string[] = [];
  const numbers = Object.fromEntries(
    Object.entries(BOUNDS).map(([name, [min, max]]) => {
      const value = Number(values[name]);
      if (!/^\d+$/.test(String(values[name])) || value < min || value > max) {
        problems.push(`--${name} must be a whole number from ${min} to ${max}, got ${String(values[name])}`);
      }
      return [name, value];
    }),
  ) as Record<keyof typeof BOUNDS, number>;
  const stack = values['stack'];
  if (stack !== 'embedded' && stack !== 'kafka')
    return { problems: [...problems, `--stack must be embedded or kafka, got ${String(stack)}`] };
  const known: readonly string[] = DATABASES[stack];
  const db = values['db'] ?? known[0];
  if (!known.includes(String(db))) {
    const hint = stack === 'embedded' && DATABASES.kafka.some((name) => name === db) ? ': add --stack kafka' : '';
    problems.push(`--db of the ${stack} stack must be ${known.join(' or ')}, got ${String(db)}${hint}`);
  }
  const signal = values['signal'];
  if (signal !== 'SIGKILL' && signal !== 'SIGTERM') problems.push(`--signal must be SIGKILL or SIGTERM, got ${String(signal)}`);
  if (problems.length > 0) return { problems };
  return {
    stack,
    db: db as DemoOptions['db'],
    ...numbers,
    signal: signal as DemoOptions['signal'],
    json: values['json'] === true,
    keep: values['keep'] === true,
    help: values['help'] === true,
  };
}
