// `npm run -s chaos -- [--seconds N] [--seed S] [--keys 1,10,10000] [--ttl-ms N] [--json]`: two relays that are killed, paused and stopped
// at random under load, on MariaDB and Kafka, and a checker that reads the topics with another client. Exit code 1 when anything was lost
// or out of order, an order alarm was raised, or shards were without an owner for too long.
import { parseArgs } from 'node:util';
import { runChaos, textOfChaos } from './chaos/chaos-run.ts';
import { addressesOf } from './servers.ts';

const usage = 'usage: npm run -s chaos -- [--seconds N] [--seed S] [--keys 1,10,10000] [--ttl-ms N] [--json]\n';
const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    seed: { type: 'string', default: String(Math.floor(Math.random() * 1_000_000)) },
    keys: { type: 'string', default: '1,10,10000' },
    'ttl-ms': { type: 'string', default: '3000' },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
const keys = values.keys.split(',').map(Number);
const [seconds, seed, leaseTtlMs] = [values.seconds, values.seed, values['ttl-ms']].map(Number) as [number, number, number];
const natural = (number: number): boolean => Number.isSafeInteger(number) && number > 0;
if (values.help) process.stdout.write(usage);
else if (![seconds, seed + 1, leaseTtlMs, ...keys].every(natural)) {
  process.stderr.write(usage);
  process.exitCode = 2;
} else {
  const { mariadb: url, kafka } = addressesOf('mariadb', 'kafka');
  const report = await runChaos({ url, brokers: kafka.split(','), seconds, seed, keys, leaseTtlMs });
  if (values.json) process.stderr.write(textOfChaos(report));
  process.stdout.write(values.json ? `${JSON.stringify(report)}\n` : textOfChaos(report));
  process.exitCode = report.problems.length === 0 ? 0 : 1;
}
