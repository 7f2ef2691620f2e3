// The packages as users get them: packed, installed with npm into a fresh project, compiled there, and run on every
// line of Node they support, imported from ESM and required from CommonJS.
import { cpSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { command, FreshProject, NODES, onNode, ROOT, readJson } from './fresh-project.ts';

const CLIENTS = [
  '@opentelemetry/api',
  '@types/better-sqlite3',
  'better-sqlite3',
  'kafkajs',
  'mysql2',
  'reflect-metadata',
  'typeorm',
  '@types/node',
];
/** It defines tests, so only Vitest can load it. */
const ONLY_IN_VITEST = ['@txbox/testing/conformance'];
const FORMATS = ['esm', 'cjs'] as const;

const PACKAGES = readdirSync(join(ROOT, 'packages'));
const project = new FreshProject();
afterAll(() => project[Symbol.dispose]());

beforeAll(async () => {
  const packed = await project.pack(PACKAGES);
  const versions = CLIENTS.map((name) => [name, versionOf(name)]);
  project.writeJson('package.json', {
    name: 'consumer',
    private: true,
    dependencies: { ...packed, ...Object.fromEntries(versions) },
    // TypeORM's peer range stops at better-sqlite3 12; npm users of 13 need this (docs/compatibility.md).
    overrides: { typeorm: { 'better-sqlite3': '$better-sqlite3' } },
  });
  await project.install(NODES);
  for (const format of FORMATS) {
    cpSync(join(import.meta.dirname, format), join(project.path, format), { recursive: true });
    project.writeJson(`${format}/package.json`, { type: format === 'esm' ? 'module' : 'commonjs' });
    cpSync(join(import.meta.dirname, 'whole-way.ts'), join(project.path, format, 'whole-way.ts'));
    project.write(`${format}/entries.ts`, importsOf(entries()));
  }
}, 180_000);

describe.each(FORMATS)('packed packages in an %s project', (format) => {
  beforeAll(async () => {
    await command(join(ROOT, 'node_modules/.bin/tsc'), ['--project', join(project.path, format)], project.path);
  }, 60_000);

  it.each(NODES)('have entries that load on Node %s', async (version) => {
    const loaded = JSON.parse(await onNode(version, [`${format}/dist/entries.js`], project.path)) as Record<string, number>;
    expect(Object.keys(loaded)).toEqual(entries());
  });

  it.each(NODES)('bring an event from a transaction to its handler on Node %s', async (version) => {
    const output = JSON.parse(await onNode(version, [`${format}/dist/whole-way.js`], project.path));
    expect(output).toEqual({ published: 1, refusal: 'NO_UNIT_OF_WORK', amounts: ['9.90'] });
  });
});

describe('packed packages', () => {
  it('install without a peer conflict and once each', () => {
    expect(readdirSync(join(project.path, 'node_modules/@txbox')).sort()).toEqual([...PACKAGES].sort());
    const nested = PACKAGES.filter((name) => project.folders(`node_modules/@txbox/${name}`).includes('node_modules'));
    expect(nested).toEqual([]);
  });

  it.each(NODES)('bring the command txbox, on Node %s', async (version) => {
    const help = await onNode(version, ['node_modules/@txbox/cli/dist/bin.js', '--help'], project.path);
    expect(help).toContain('migrate');
    expect(project.folders('node_modules/.bin')).toContain('txbox');
  });
});

/** What users may import: every key of every package's `exports`. */
function entries(): string[] {
  return PACKAGES.flatMap((name) => {
    const { exports } = readJson(join(ROOT, 'packages', name, 'package.json')) as { exports: Record<string, unknown> };
    const keys = Object.keys(exports).filter((key) => !key.endsWith('.json'));
    return keys.map((key) => `@txbox/${name}${key.slice(1)}`);
  }).filter((entry) => !ONLY_IN_VITEST.includes(entry));
}

/** A program that imports every entry by name and prints how many names each exports. */
function importsOf(names: readonly string[]): string {
  return [
    ...names.map((name, index) => `import * as entry${index} from '${name}';`),
    'const loaded = {',
    ...names.map((name, index) => `  '${name}': Object.keys(entry${index}).length,`),
    '};',
    'console.log(JSON.stringify(loaded));',
    '',
  ].join('\n');
}

/** The version the tests run with. */
function versionOf(name: string): string {
  return (readJson(join(ROOT, 'test/node_modules', name, 'package.json')) as { version: string }).version;
}
