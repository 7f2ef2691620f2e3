// `txbox` as a process: what goes where, and what happens when nobody reads it.
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, it, onTestFinished } from 'vitest';
import { findInstalled } from '../src/installed.ts';
import { BRINGERS } from '../src/program.ts';

const PROGRAM = fileURLToPath(new URL('../src/bin.ts', import.meta.url));

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'txbox-bin-'));
  const publisher = { kind: 'embedded', path: join(folder, 'broker.db') };
  writeFileSync(
    join(folder, 'txbox.config.json'),
    JSON.stringify({ database: { url: `sqlite:${join(folder, 'service.db')}` }, publisher }),
  );
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function txbox(...words: readonly string[]): ChildProcessWithoutNullStreams {
  const child = spawn(process.execPath, ['--conditions=@txbox/source', PROGRAM, ...words], { cwd: folder });
  onTestFinished(() => void child.kill('SIGKILL'));
  return child;
}

it('ends quietly when nobody reads its stdout', async () => {
  const child = txbox('migrate', '--print');
  child.stdout.destroy();
  const [stderr, [code]] = await Promise.all([text(child.stderr), once(child, 'close')]);
  expect(stderr).toBe('');
  expect(code).toBe(0);
});

it('does what it was asked to, also when nobody reads its stdout', async () => {
  const first = txbox('migrate');
  first.stdout.destroy();
  await once(first, 'close');
  const second = txbox('migrate');
  const [stdout] = await Promise.all([text(second.stdout), once(second, 'close')]);
  expect(stdout).toContain('up to date');
});

it('a relay stops in order although nobody reads its log', async () => {
  await once(txbox('migrate'), 'close');
  const relay = txbox('relay', 'start', '--log-level', 'debug');
  let said = '';
  for await (const bytes of relay.stderr) {
    said += String(bytes);
    if (said.includes('relay: running')) break;
  }
  relay.stderr.destroy();
  relay.kill('SIGTERM');
  const [code, signal] = await once(relay, 'close');
  expect({ code, signal }).toEqual({ code: 0, signal: null });
});

const jsonLines = (said: string): unknown[] =>
  said
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as unknown);

it('stderr of a relay is lines of JSON from its start to its end', async () => {
  await once(txbox('migrate'), 'close');
  const relay = txbox('relay', 'start');
  let said = '';
  for await (const bytes of relay.stderr) {
    said += String(bytes);
    if (said.includes('relay: running')) relay.kill('SIGTERM');
  }
  const line = { time: expect.any(String), level: 'info' };
  expect(jsonLines(said)).toContainEqual({ ...line, message: 'relay: running' });
  expect(jsonLines(said)).toContainEqual({ ...line, message: 'relay: stopping' });
});

it.each([
  ['OPTIONS_INVALID', ['relay', 'start', '--grace-ms', 'long']],
  ['OPTIONS_INVALID', ['relay', 'start', '--fast']],
  ['COMMAND_UNKNOWN', ['relay', 'jump']],
  ['CONFIG_NOT_FOUND', ['relay', 'status', '--config', 'gone.json']],
])('an error is the last line of stderr, with its code: %s', async (code, words) => {
  const child = txbox(...words);
  const [stderr, [exitCode]] = await Promise.all([text(child.stderr), once(child, 'close')]);
  const docs = `docs/errors.md#${code.toLowerCase()}`;
  expect(jsonLines(stderr)).toEqual([
    { time: expect.any(String), level: 'error', message: expect.any(String), code, docs: expect.stringContaining(docs) },
  ]);
  expect(exitCode).toBe(1);
});

it('names the package of every command that is not of the core', async () => {
  const { commands } = await findInstalled();
  const elsewhere = new Set(commands.map(({ path: [word = ''] }) => word).filter((word) => word !== 'migrate'));
  expect(Object.keys(BRINGERS).sort()).toEqual([...elsewhere].sort());
});

it('help says in a line what each installed command and group of commands is for', async () => {
  const { commands, groups } = await findInstalled();
  const words = new Set(commands.flatMap(({ path }) => path.slice(0, -1)));
  expect(Object.keys(groups).sort()).toEqual([...words].sort());
  for (const line of [...Object.values(groups), ...commands.map(({ summary }) => summary)]) expect(line).toMatch(/^[A-Z].{15,}\.$/);
});
