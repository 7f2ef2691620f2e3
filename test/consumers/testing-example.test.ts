// examples/testing, as its readers run it: by Vitest, and by Jest with the settings of docs/testing.md, on every line of Node.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { NODES, onNode, ROOT } from './fresh-project.ts';

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
    await onNode(version, ['node_modules/vitest/vitest.mjs', 'run', '--reporter=json', `--outputFile=${file}`], EXAMPLE);
    const { testResults } = JSON.parse(readFileSync(file, 'utf8')) as JsonReport;
    expect(passedIn(testResults)).toEqual(CLAIMS);
  }, 60_000);

  it.each([
    ['ESM', ['--experimental-vm-modules', 'node_modules/jest/bin/jest.js', '--json']],
    ['CommonJS, without a flag', ['node_modules/jest/bin/jest.js', '--config', 'jest.commonjs.config.js', '--json']],
  ])(
    'passes in Jest as %s',
    async (_what, args) => {
      const { testResults } = JSON.parse(await onNode(version, args, EXAMPLE)) as JsonReport;
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
