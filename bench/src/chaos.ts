// `npm run -s chaos -- [--seconds N] [--seed S] [--keys 1,10,10000] [--ttl-ms N] [--db mariadb|mysql80|…] [--kafka kafka|kafka-three] [--json]`:
// two relays that are killed, paused and stopped at random under load, on a real database and Kafka, and a checker that reads the topics
// with another client. Exit code 1 when anything was lost or out of order, an order alarm was raised, or shards were without an owner for
// too long.
import { parseArgs } from 'node:util';
import { runChaos, textOfChaos } from './chaos/chaos-run.ts';
import { addressesOf, CLUSTERS, DATABASES } from './servers.ts';

const usage = `usage: npm run -s chaos -- [--seconds N] [--seed S] [--keys 1,10,10000] [--ttl-ms N] [--db ${DATABASES.join('|')}] [--kafka ${CLUSTERS.join('|')}] [--json]\n`;
const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    seed: { type: 'string', default: String(Math.floor(Math.random() * 1_000_000)) },
    keys: { type: 'string', default: '1,10,10000' },
    'ttl-ms': { type: 'string', default: '3000' },
    db: { type: 'string', default: 'mariadb' },
    kafka: { type: 'string', default: 'kafka' },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
const keys = values.keys.split(',').map(Number);
const [seconds, seed, leaseTtlMs] = [values.seconds, values.seed, values['ttl-ms']].map(Number) as [number, number, number];
const natural = (number: number): boolean => Number.isSafeInteger(number) && number > 0;
const db = DATABASES.find((name) => name === values.db);
const cluster = CLUSTERS.find((name) => name === values.kafka);
if (values.help) process.stdout.write(usage);
else if (!db || !cluster || ![seconds, seed + 1, leaseTtlMs, ...keys].every(natural)) {
  process.stderr.write(usage);
  process.exitCode = 2;
} else {
  const addresses = addressesOf(db, cluster);
  const report = await runChaos({ url: addresses[db], brokers: addresses[cluster].split(','), seconds, seed, keys, leaseTtlMs });
  if (values.json) process.stderr.write(textOfChaos(report));
  process.stdout.write(values.json ? `${JSON.stringify(report)}\n` : textOfChaos(report));
  process.exitCode = report.problems.length === 0 ? 0 : 1;
}
