// The run of chaos as a test of the full product, in its small form (P-R8). By hand and for longer: `npm run -s chaos`.
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

const PROGRAM = fileURLToPath(new URL('../../bench/dist/chaos.js', import.meta.url));

it('two relays killed and paused at random under load lose nothing, break no order, raise no order alarm, and leave no shard alone', async () => {
  const { stdout } = await promisify(execFile)(process.execPath, [PROGRAM, '--seconds', '60', '--keys', '1,10,10000', '--json']);
  const report = JSON.parse(stdout) as { problems: string[]; orderAlarms: number; topics: { committed: number }[] };
  expect(report).toMatchObject({ problems: [], orderAlarms: 0 });
  expect(report.topics).toHaveLength(3);
  for (const { committed } of report.topics) expect(committed).toBeGreaterThan(0);
}, 400_000);
