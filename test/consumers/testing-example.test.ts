// examples/testing, as its readers run it: by Vitest, and by Jest with the settings of docs/testing.md, on every line of Node.
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, expect, it, onTestFinished } from 'vitest';

/** The ends of both ranges of `engines`; the newest Node is the newest that was tried. */
const NODES = ['22.18.0', '24.11.0', '26.10.0'];
const ROOT = join(import.meta.dirname, '../..');
const EXAMPLE = join(ROOT, 'examples/testing');
const CLAIMS = [
  'announces a paid order',
  'announces nothing that failed',
  'sends an invoice for a paid order',
  'announces no invoice that could not be sent, and sends it later',
];

describe.each(NODES)('the testing example on Node %s', (version) => {
  it('passes in Vitest', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'txbox-testing-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const file = join(folder, 'report.json');
    await onNode(version, ['node_modules/vitest/vitest.mjs', 'run', '--reporter=json', `--outputFile=${file}`]);
    const { testResults } = JSON.parse(readFileSync(file, 'utf8')) as JsonReport;
    expect(passedIn(testResults)).toEqual(CLAIMS);
  }, 60_000);

  it.each([
    ['ESM', ['--experimental-vm-modules', 'node_modules/jest/bin/jest.js', '--json']],
    ['CommonJS, without a flag', ['node_modules/jest/bin/jest.js', '--config', 'jest.commonjs.config.js', '--json']],
  ])(
    'passes in Jest as %s',
    async (_what, args) => {
      const { stdout } = await onNode(version, args);
      const { testResults } = JSON.parse(stdout) as JsonReport;
      expect(passedIn(testResults)).toEqual(CLAIMS);
    },
    60_000,
  );
});

it('stands in docs/testing.md as it is', () => {
  const guide = readFileSync(join(ROOT, 'docs/testing.md'), 'utf8');
  for (const file of ['vitest/order-service.test.ts', 'vitest.config.ts', 'jest.config.js', 'jest.commonjs.config.js']) {
    expect(guide, file).toContain(`${readFileSync(join(EXAMPLE, file), 'utf8')}\`\`\``);
  }
});

/** What both print with `--json`. */
interface JsonReport {
  readonly testResults: readonly { readonly assertionResults: readonly { readonly title: string; readonly status: string }[] }[];
}

function passedIn(results: JsonReport['testResults']): string[] {
  return results.flatMap(({ assertionResults }) =>
    assertionResults.map(({ title, status }) => (status === 'passed' ? title : `${status}: ${title}`)),
  );
}

async function onNode(version: string, args: readonly string[]): Promise<{ stdout: string }> {
  // What npm, pnpm and Vitest set for their children is not the example's.
  const env = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(npm_|pnpm_|VITEST|NODE_OPTIONS|NODE_ENV$|INIT_CWD$|JEST)/i.test(name)),
  );
  const child = spawn('npx', ['--yes', '--package', `node@${version}`, '--', 'node', ...args], {
    cwd: EXAMPLE,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const [stdout, stderr, code] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    new Promise<number | null>((resolve, reject) => child.once('error', reject).once('close', resolve)),
  ]);
  if (code !== 0) throw new Error(`node ${args.join(' ')} ended with ${code}\n${stdout}\n${stderr}`);
  return { stdout };
}
