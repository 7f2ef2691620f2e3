// The packages as users get them: packed, installed with npm into a fresh project, compiled there, and run on the lowest and
// the highest Node they support, imported from ESM and required from CommonJS.
import { spawn } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

/** The ends of `engines`; the newest Node is the newest that was tried. */
const NODES = ['22.18.0', '26.10.0'];
const CLIENTS = ['@types/better-sqlite3', 'better-sqlite3', 'kafkajs', 'mysql2', 'reflect-metadata', 'typeorm', '@types/node'];
/** It defines tests, so only Vitest can load it. */
const ONLY_IN_VITEST = ['@txbox/testing/conformance'];
const FORMATS = ['esm', 'cjs'] as const;

const ROOT = join(import.meta.dirname, '../..');
const PACKAGES = readdirSync(join(ROOT, 'packages'));
const project = mkdtempSync(join(tmpdir(), 'txbox-consumer-'));
const packed = join(project, 'packed');
afterAll(() => rmSync(project, { recursive: true, force: true }));

beforeAll(async () => {
  mkdirSync(packed);
  await Promise.all(PACKAGES.map((name) => command('pnpm', ['pack', '--pack-destination', packed], join(ROOT, 'packages', name))));
  const tarballs = PACKAGES.map((name) => [`@txbox/${name}`, `file:packed/${tarballOf(name)}`]);
  const versions = CLIENTS.map((name) => [name, versionOf(name)]);
  writeJson('package.json', {
    name: 'consumer',
    private: true,
    dependencies: Object.fromEntries([...tarballs, ...versions]),
    // TypeORM's peer range stops at better-sqlite3 12; npm users of 13 need this (docs/compatibility.md).
    overrides: { typeorm: { 'better-sqlite3': '$better-sqlite3' } },
  });
  await Promise.all([
    command('npm', ['install', '--no-audit', '--no-fund', '--prefer-offline'], project),
    ...NODES.map((version) => onNode(version, ['--version'], project)),
  ]);
  for (const format of FORMATS) {
    cpSync(join(import.meta.dirname, format), join(project, format), { recursive: true });
    writeJson(`${format}/package.json`, { type: format === 'esm' ? 'module' : 'commonjs' });
    cpSync(join(import.meta.dirname, 'whole-way.ts'), join(project, format, 'whole-way.ts'));
    writeFileSync(join(project, format, 'entries.ts'), importsOf(entries()));
  }
}, 180_000);

describe.each(FORMATS)('packed packages in an %s project', (format) => {
  beforeAll(async () => {
    await command(join(ROOT, 'node_modules/.bin/tsc'), ['--project', join(project, format)], project);
  }, 60_000);

  it.each(NODES)('have entries that load on Node %s', async (version) => {
    const loaded = JSON.parse(await onNode(version, [`${format}/dist/entries.js`], project)) as Record<string, number>;
    expect(Object.keys(loaded)).toEqual(entries());
  });

  it.each(NODES)('bring an event from a transaction to its handler on Node %s', async (version) => {
    const output = JSON.parse(await onNode(version, [`${format}/dist/whole-way.js`], project));
    expect(output).toEqual({ published: 1, refusal: 'NO_UNIT_OF_WORK', amounts: ['9.90'] });
  });
});

describe('packed packages', () => {
  it('install without a peer conflict and once each', () => {
    expect(readdirSync(join(project, 'node_modules/@txbox')).sort()).toEqual([...PACKAGES].sort());
    const nested = PACKAGES.filter((name) => folders(`node_modules/@txbox/${name}`).includes('node_modules'));
    expect(nested).toEqual([]);
  });

  it.each(NODES)('bring the command txbox, on Node %s', async (version) => {
    const help = await onNode(version, ['node_modules/@txbox/cli/dist/bin.js', '--help'], project);
    expect(help).toContain('migrate');
    expect(folders('node_modules/.bin')).toContain('txbox');
  });
});

/** What users may import: every key of every package's `exports`. */
function entries(): string[] {
  return PACKAGES.flatMap((name) => {
    const { exports } = readJson(join(ROOT, 'packages', name, 'package.json')) as { exports: Record<string, unknown> };
    const keys = Object.keys(exports).filter((key) => key !== './package.json');
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

function tarballOf(name: string): string {
  const { version } = readJson(join(ROOT, 'packages', name, 'package.json')) as { version: string };
  return `txbox-${name}-${version}.tgz`;
}

/** The version the tests run with. */
function versionOf(name: string): string {
  return (readJson(join(ROOT, 'test/node_modules', name, 'package.json')) as { version: string }).version;
}

function onNode(version: string, args: readonly string[], cwd: string): Promise<string> {
  return command('npx', ['--yes', '--package', `node@${version}`, '--', 'node', ...args], cwd);
}

function folders(path: string): string[] {
  return readdirSync(join(project, path));
}

function readJson(path: string): unknown {
  return JSON.parse(readFileSync(path, 'utf8'));
}

function writeJson(path: string, value: unknown): void {
  mkdirSync(join(project, path, '..'), { recursive: true });
  writeFileSync(join(project, path), JSON.stringify(value, undefined, 2));
}

/** Runs a program and returns its stdout; a bad exit throws all it printed. */
function command(program: string, args: readonly string[], cwd: string): Promise<string> {
  // What npm, pnpm and Vitest set for their children must not reach the consumer's project.
  const env = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(npm_|pnpm_|VITEST|NODE_OPTIONS|NODE_ENV$|INIT_CWD$)/i.test(name)),
  );
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    child.once('error', reject);
    child.once('close', (code) => {
      if (code === 0) resolve(stdout);
      else reject(new Error(`${program} ${args.join(' ')} ended with ${code}\n${stdout}\n${stderr}`));
    });
  });
}
