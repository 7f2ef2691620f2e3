// `npm run bench -- relay [--rows N] [--rounds N] [--keys N] [--json]`: ratios measured in one run, variants interleaved round by round.
// Addresses of the servers come from the environment (TXBOX_TEST_MARIADB_URL, TXBOX_TEST_KAFKA_BROKERS), else from `npm run services`.
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { benchRelay } from './relay.ts';

const usage = 'usage: npm run bench -- relay [--rows N] [--rounds N] [--keys N] [--json]';
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rows: { type: 'string', default: '20000' },
    rounds: { type: 'string', default: '5' },
    keys: { type: 'string', default: '1000' },
    json: { type: 'boolean', default: false },
  },
});
const sizes = { rows: Number(values.rows), rounds: Number(values.rounds), keys: Number(values.keys) };

if (positionals.join() !== 'relay' || Object.values(sizes).some((size) => !Number.isInteger(size) || size < 1)) {
  process.stderr.write(`${usage}\n`);
  process.exitCode = 2;
} else {
  const { url, brokers } = servers();
  const result = await benchRelay({ ...sizes, url, brokers, progress: (text) => process.stderr.write(`${text}\n`) });
  if (values.json) process.stdout.write(`${JSON.stringify(result)}\n`);
  else
    process.stdout.write(
      `relay / raw producer: ${result.ratio.toFixed(2)} (relay ${result.relayPerSecond}/s, raw ${result.rawPerSecond}/s, medians)\n`,
    );
}

function servers(): { url: string; brokers: string[] } {
  const wanted = ['TXBOX_TEST_MARIADB_URL', 'TXBOX_TEST_KAFKA_BROKERS'] as const;
  const env = { ...process.env };
  if (wanted.some((name) => !env[name])) {
    const script = join(import.meta.dirname, '../../tools/services.mjs');
    const output = execFileSync(process.execPath, [script, 'start', 'mariadb', 'kafka'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    for (const line of output.split('\n')) {
      const at = line.indexOf('=');
      if (at > 0) env[line.slice(0, at)] = line.slice(at + 1);
    }
  }
  const [url, brokers] = wanted.map((name) => env[name]);
  if (!url || !brokers) throw new Error('the servers have no addresses');
  return { url, brokers: brokers.split(',') };
}
