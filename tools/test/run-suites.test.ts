import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';

const RUNNER = join(import.meta.dirname, '../run-suites.ts');
const GREEN = 'require("fs").writeFileSync(process.env.TXBOX_TOTALS_FILE, JSON.stringify({ passed: 2, failed: 0, skipped: 1 }))';
const RED =
  'require("fs").writeFileSync(process.env.TXBOX_TOTALS_FILE, JSON.stringify({ passed: 1, failed: 3, skipped: 0, failures: ["a test: it broke"] })); process.exit(1)';

describe('runner of suites', () => {
  it('sums every suite in the last line of stdout and stderr', async () => {
    const run = await runSuites([suite('one', GREEN), suite('two', GREEN)]);
    expect(run.lastLines).toEqual(['4 passed, 0 failed, 2 skipped', '4 passed, 0 failed, 2 skipped']);
    expect(run.code).toBe(0);
  });

  it('is red when one test failed, and still runs what follows', async () => {
    const run = await runSuites([suite('one', RED), suite('two', GREEN)]);
    expect(run.lastLines).toEqual(['3 passed, 3 failed, 1 skipped', '3 passed, 3 failed, 1 skipped']);
    expect(run.stderr).toContain('failed: a test: it broke');
    expect(run.code).toBe(1);
  });

  it('counts a runner that crashes before its end as one failure', async () => {
    const run = await runSuites([suite('one', 'process.kill(process.pid, "SIGKILL")'), suite('two', GREEN)]);
    expect(run.lastLines).toEqual(['2 passed, 1 failed, 1 skipped', '2 passed, 1 failed, 1 skipped']);
    expect(run.code).toBe(1);
  });

  it('counts a bad exit after green tests as one failure', async () => {
    const run = await runSuites([suite('one', `${GREEN}; process.exit(3)`)]);
    expect(run.lastLines[0]).toBe('2 passed, 1 failed, 1 skipped');
    expect(run.code).toBe(1);
  });

  it('ends a suite, and what it started, when its budget is over', async () => {
    const hanging = 'require("child_process").spawn("sleep", ["60"], { stdio: "inherit" }); setInterval(() => {}, 1000)';
    const run = await runSuites([{ ...suite('one', hanging), budgetSeconds: 0.5 }, suite('two', GREEN)]);
    expect(run.stderr).toContain('one: 0 passed, 1 failed, 0 skipped');
    expect(run.stderr).toContain('over its budget of 0.5 s');
    expect(run.lastLines[0]).toBe('2 passed, 1 failed, 1 skipped');
    expect(run.code).toBe(1);
  });

  it('fails the suites whose servers do not start, says why at the end, and runs the others', async () => {
    const run = await runSuites([{ ...suite('one', GREEN), services: ['no-such-server'] }, suite('two', GREEN)]);
    expect(run.stderr).toContain('one: not run: its servers did not start');
    expect(run.stderr.match(/no service no-such-server/g)).toHaveLength(2);
    expect(run.lastLines[0]).toBe('2 passed, 1 failed, 1 skipped');
    expect(run.code).toBe(1);
  });

  it('runs the suites that are named and passes other arguments on as they are', async () => {
    const printing = `${GREEN}; process.stderr.write(JSON.stringify(process.argv.slice(1)))`;
    const run = await runSuites([suite('one', printing), suite('two', GREEN)], ['one', '-t', `a "b" $c 'd'`]);
    expect(run.stderr).toContain(JSON.stringify(['-t', `a "b" $c 'd'`]));
    expect(run.lastLines[0]).toBe('2 passed, 0 failed, 1 skipped');
  });

  it('runs the suite a test file belongs to, with that file alone', async () => {
    const printing = `${GREEN}; process.stderr.write(JSON.stringify(process.argv.slice(1)))`;
    const file = 'tools/test/run-suites.test.ts';
    const run = await runSuites([{ ...suite('one', printing), files: ['tools/test/'] }, suite('two', GREEN)], [file]);
    expect(run.stderr).toContain(JSON.stringify([file]));
    expect(run.lastLines[0]).toBe('2 passed, 0 failed, 1 skipped');
  });

  it('is red when no test ran at all', async () => {
    const run = await runSuites([suite('one', '')]);
    expect(run.lastLines[0]).toBe('0 passed, 0 failed, 0 skipped');
    expect(run.code).toBe(1);
  });

  it('leaves out suites of another run', async () => {
    const run = await runSuites([{ ...suite('one', RED), runs: ['full'] }, suite('two', GREEN)]);
    expect(run.code).toBe(0);
  });
});

function suite(name: string, script: string) {
  const command = [process.execPath, '-e', script, '--'];
  return { name, runs: ['test'], files: [] as string[], services: [] as string[], budgetSeconds: 30, command };
}

async function runSuites(table: readonly ReturnType<typeof suite>[], args: readonly string[] = []) {
  const folder = mkdtempSync(join(tmpdir(), 'txbox-suites-test-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'suites.json');
  writeFileSync(file, JSON.stringify(table));
  const child = spawn(process.execPath, [RUNNER, 'test', ...args], {
    env: { ...process.env, TXBOX_SUITES: file },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { code, stdout, stderr, lastLines: [stdout, stderr].map((text) => text.trimEnd().split('\n').at(-1)) };
}
