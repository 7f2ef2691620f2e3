// The packages as users of NestJS get them: packed and installed with npm into a fresh Nest project, whose own tests run by Jest
// with the settings of docs/testing.md, on every line of Node.
import { cpSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { command, FreshProject, NODES, onNode, ROOT, readJson } from './fresh-project.ts';

const SOURCE = join(import.meta.dirname, 'nest-jest');
/** What a service and its tests import, and what that needs. */
const PACKAGES = ['core', 'outbox', 'testing', 'inbox', 'relay'];
const CLAIMS = ['commits an order with its event', 'leaves neither order nor event of a request that fails'];
const VM_MODULES = '--experimental-vm-modules';
const [lowest, ...withRequireEsm] = NODES;

const project = new FreshProject();
afterAll(() => project[Symbol.dispose]());

beforeAll(async () => {
  const packed = await project.pack(PACKAGES);
  const { dependencies, ...manifest } = readJson(join(SOURCE, 'package.json')) as { dependencies: Record<string, string> };
  project.writeJson('package.json', { ...manifest, dependencies: { ...dependencies, ...packed } });
  await project.install(NODES);
  for (const format of ['commonjs', 'module']) {
    cpSync(SOURCE, join(project.path, format), { recursive: true });
    project.writeJson(`${format}/package.json`, { type: format });
  }
}, 180_000);

/** Runs the project's tests; resolves to the names of those that passed. */
async function jest(version: string, format: 'commonjs' | 'module', config: string, ...flags: string[]): Promise<string[]> {
  const args = [...flags, '../node_modules/jest/bin/jest.js', '--config', config, '--json'];
  const { testResults } = JSON.parse(await onNode(version, args, join(project.path, format))) as JsonReport;
  return testResults.flatMap(({ assertionResults }) => assertionResults.filter(passed).map(({ title }) => title));
}

interface JsonReport {
  readonly testResults: readonly { readonly assertionResults: readonly { readonly title: string; readonly status: string }[] }[];
}

const passed = ({ status }: { readonly status: string }): boolean => status === 'passed';

describe('packed packages in a NestJS project', () => {
  it('compile with its compiler and settings', async () => {
    await command(join(project.path, 'node_modules/.bin/tsc'), ['--project', join(project.path, 'commonjs'), '--noEmit'], project.path);
  }, 60_000);

  it.each(withRequireEsm)(
    'pass in Jest as `nest new` sets it up, on Node %s',
    async (version) => {
      expect(await jest(version, 'commonjs', 'jest.config.cjs', VM_MODULES)).toEqual(CLAIMS);
    },
    60_000,
  );

  it(`cannot be required by Jest as \`nest new\` sets it up on Node ${lowest}, and neither can Nest`, async () => {
    await expect(jest(lowest, 'commonjs', 'jest.config.cjs', VM_MODULES)).rejects.toThrow(
      /Must use import to load ES Module: .*node_modules\/@nestjs\//,
    );
  }, 60_000);

  it.each(NODES)(
    'pass in Jest as CommonJS, without a flag, on Node %s',
    async (version) => {
      expect(await jest(version, 'commonjs', 'jest.transformed.config.cjs')).toEqual(CLAIMS);
    },
    60_000,
  );

  it.each(NODES)(
    'pass in Jest as ESM on Node %s',
    async (version) => {
      expect(await jest(version, 'module', 'jest.esm.config.mjs', VM_MODULES)).toEqual(CLAIMS);
    },
    60_000,
  );
});

it('stand in docs/testing.md: the settings that ran', () => {
  const guide = readFileSync(join(ROOT, 'docs/testing.md'), 'utf8');
  for (const file of ['jest.transformed.config.cjs', 'jest.esm.config.mjs']) {
    expect(guide, file).toContain(`\`\`\`js\n${readFileSync(join(SOURCE, file), 'utf8')}\`\`\``);
  }
});
