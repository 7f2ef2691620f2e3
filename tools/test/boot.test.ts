import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';

const BOOT = readFileSync(join(import.meta.dirname, '../boot.mjs'), 'utf8');

describe('task wrapper', () => {
  it('prints nothing on stdout itself and passes arguments as they are', async () => {
    const args = ['-t', 'two words', `a "b" $c 'd' \\ \`e\``, '--json', ''];
    const run = await start(checkout({ script: 'process.stdout.write(JSON.stringify(process.argv.slice(2)))' }), args).ended;
    expect(JSON.parse(run.stdout)).toEqual(['test', ...args]);
    expect(run.code).toBe(0);
  });

  it('passes the exit code on', async () => {
    const run = await start(checkout({ script: 'process.exit(7)' })).ended;
    expect(run.code).toBe(7);
  });

  it('passes signals on and waits for the end', async () => {
    const script = 'process.on("SIGTERM", () => process.exit(9)); setInterval(() => {}, 1000); process.stdout.write("ready")';
    const task = start(checkout({ script }));
    await task.firstOutput;
    task.signal('SIGTERM');
    expect(await task.ended).toMatchObject({ code: 9, stdout: 'ready' });
  });

  it('installs once, and again when the lockfile moved', async () => {
    const folder = checkout({ script: '' });
    await start(folder).ended;
    await start(folder).ended;
    expect(installs(folder)).toEqual(['install --frozen-lockfile']);
    writeFileSync(join(folder, 'pnpm-lock.yaml'), 'moved');
    await start(folder).ended;
    expect(installs(folder)).toHaveLength(2);
  });

  it('installs the closure of one package for the demo, and never narrows a full install to it', async () => {
    const folder = checkout({ script: '' });
    await start(folder, [], 'demo').ended;
    expect(installs(folder)).toEqual(['install --frozen-lockfile --filter @txbox-examples/orders...']);
    await start(folder, [], 'test').ended;
    mkdirSync(join(folder, 'tools/node_modules'), { recursive: true });
    await start(folder, [], 'demo').ended;
    writeFileSync(join(folder, 'pnpm-lock.yaml'), 'moved');
    await start(folder, [], 'demo').ended;
    expect(installs(folder).slice(1)).toEqual(['install --frozen-lockfile', 'install --frozen-lockfile']);
  });

  it('installs once when two tasks start together', async () => {
    const folder = checkout({ script: '' });
    await Promise.all([start(folder).ended, start(folder).ended]);
    expect(installs(folder)).toHaveLength(1);
  });

  it('ends with the line of totals when installing fails', async () => {
    const run = await start(checkout({ script: '', pnpm: 'exit 3' })).ended;
    expect(run).toMatchObject({ code: 3, stdout: '0 passed, 1 failed, 0 skipped\n' });
    expect(run.stderr).toMatch(/failed\n0 passed, 1 failed, 0 skipped\n$/);
  });

  it('names the tasks when there is none of that name', async () => {
    const run = await start(checkout({ script: '' }), [], 'nothing').ended;
    expect(run.code).toBe(1);
    expect(run.stderr).toContain('unknown task nothing; there are demo, quickstart, test,');
  });
});

/** A checkout with the wrapper, whose every task runs `script` and whose pnpm writes down its arguments. */
function checkout({ script, pnpm = '' }: { script: string; pnpm?: string }): string {
  const folder = mkdtempSync(join(tmpdir(), 'txbox-boot-test-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  for (const name of ['tools', 'node_modules/.cache/txbox', 'examples/orders/dist', 'examples/orders/node_modules/.bin']) {
    mkdirSync(join(folder, name), { recursive: true });
  }
  const shell = (path: string, text: string): void => writeFileSync(join(folder, path), `#!/bin/sh\n${text}\n`, { mode: 0o755 });
  writeFileSync(join(folder, 'tools/boot.mjs'), BOOT.replace(/build: BUILD, /g, ''));
  writeFileSync(join(folder, 'tools/run-suites.ts'), script);
  writeFileSync(join(folder, 'examples/orders/dist/main.js'), script);
  shell('examples/orders/node_modules/.bin/tsc', 'echo compiled');
  writeFileSync(join(folder, 'package.json'), '{ "type": "commonjs" }');
  for (const name of ['pnpm-lock.yaml', 'pnpm-workspace.yaml']) writeFileSync(join(folder, name), name);
  shell('pnpm', `echo "installed something"; echo "$*" >> ${join(folder, 'installs')}; ${pnpm}`);
  const wanted = [/NODE = '(.+)'/, /PNPM = '(.+)'/].map((pattern) => pattern.exec(BOOT)?.[1]).join(' ');
  const toolchain = { wanted, node: process.execPath, pnpm: join(folder, 'pnpm') };
  writeFileSync(join(folder, 'node_modules/.cache/txbox/toolchain.json'), JSON.stringify(toolchain));
  return folder;
}

function installs(folder: string): string[] {
  return readFileSync(join(folder, 'installs'), 'utf8').trimEnd().split('\n');
}

function start(folder: string, args: readonly string[] = [], task = 'test') {
  const child = spawn(process.execPath, [join(folder, 'tools/boot.mjs'), task, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  const firstOutput = new Promise<unknown>((resolve) => child.stdout.once('data', resolve));
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const ended = new Promise<{ code: number | null; stdout: string; stderr: string }>((resolve) => {
    child.once('close', (code) => resolve({ code, stdout, stderr }));
  });
  return { ended, firstOutput, signal: (name: NodeJS.Signals) => child.kill(name) };
}
