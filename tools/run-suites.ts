// Runs the suites of tools/suites.json: `run-suites.ts test|unit|full [suite …] [arguments for the test runner]`.
// Services start once, beside the suites that need none. The last line on stdout and stderr is the sum over every runner.
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Totals } from './totals-reporter.ts';

interface Suite {
  readonly name: string;
  readonly runs: readonly string[];
  readonly files: readonly string[];
  readonly services: readonly string[];
  readonly budgetSeconds: number;
}

interface Services {
  readonly env: Readonly<Record<string, string>>;
  readonly error?: string;
}

const ROOT = join(import.meta.dirname, '..');
const [run = 'test', ...args] = process.argv.slice(2);
const all = JSON.parse(readFileSync(join(ROOT, 'tools/suites.json'), 'utf8')) as Suite[];
const named = args.filter((arg) => all.some((suite) => suite.name === arg));
const passedOn = args.filter((arg) => !named.includes(arg));
const suites = all.filter((suite) => suite.runs.includes(run) && (named.length === 0 || named.includes(suite.name)));

const total: Totals = { passed: 0, failed: 0, skipped: 0 };
const report: string[] = [];
const folder = mkdtempSync(join(tmpdir(), 'txbox-suites-'));
let current: ChildProcess | undefined;
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    if (current) endGroup(current);
    total.failed += 1;
    close();
    process.exit(1);
  });
}

const needed = [...new Set(suites.flatMap((suite) => suite.services))];
const services = needed.length === 0 ? Promise.resolve<Services>({ env: {} }) : startServices(needed);
for (const suite of suites) {
  const { env, error } = suite.services.length === 0 ? { env: {}, error: undefined } : await services;
  if (error !== undefined) {
    total.failed += 1;
    report.push(`${suite.name}: not run, its servers did not start: ${error}`);
    continue;
  }
  await runSuite(suite, env);
}
close();
process.exitCode = total.failed > 0 || total.passed === 0 ? 1 : 0;

async function runSuite(suite: Suite, env: Readonly<Record<string, string>>): Promise<void> {
  say(`── ${suite.name} (at most ${suite.budgetSeconds} s)`);
  const file = join(folder, `${suite.name}.json`);
  const startedAt = performance.now();
  const child = spawn(join(ROOT, 'node_modules/.bin/vitest'), ['run', ...suite.files, ...passedOn], {
    cwd: ROOT,
    env: { ...process.env, ...env, TXBOX_TOTALS_FILE: file, ...(run === 'full' ? { TXBOX_TEST_FULL: '1' } : {}) },
    stdio: ['ignore', 'inherit', 'inherit'],
    detached: true,
  });
  current = child;
  let late = false;
  const timer = setTimeout(
    () => {
      late = true;
      endGroup(child);
    },
    suite.budgetSeconds * 1000 * budgetFactor(),
  );
  const code = await new Promise<number>((resolve) => {
    child.once('error', () => resolve(1));
    child.once('exit', (status) => resolve(status ?? 1));
  });
  clearTimeout(timer);
  current = undefined;
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
  const counted = existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Totals) : { passed: 0, failed: 0, skipped: 0 };
  // A runner that ends badly without a failed test (a crash, the budget) is a failure of its own.
  if ((late || code !== 0) && counted.failed === 0) counted.failed = 1;
  for (const key of ['passed', 'failed', 'skipped'] as const) total[key] += counted[key];
  const why = late ? `, ended: over its budget of ${suite.budgetSeconds} s` : '';
  report.push(`${suite.name}: ${line(counted)} in ${seconds} s${why}`);
  say(report.at(-1) ?? '');
}

/** The budgets hold for a plain run; the full product takes longer. */
function budgetFactor(): number {
  return run === 'full' ? 10 : 1;
}

async function startServices(names: readonly string[]): Promise<Services> {
  say(`── starting ${names.join(', ')}`);
  const child = spawn(process.execPath, [join(ROOT, 'tools/services.mjs'), 'start', ...names], {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
  });
  const code = await new Promise<number>((resolve) => {
    child.once('error', () => resolve(1));
    child.once('close', (status) => resolve(status ?? 1));
  });
  const env = Object.fromEntries(
    text
      .split('\n')
      .filter((entry) => entry.includes('='))
      .map((entry) => [entry.slice(0, entry.indexOf('=')), entry.slice(entry.indexOf('=') + 1)]),
  );
  return code === 0 ? { env } : { env, error: 'see the message of `npm run services -- start` above' };
}

function endGroup(child: ChildProcess): void {
  try {
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
  } catch {
    // Already gone.
  }
}

function close(): void {
  rmSync(folder, { recursive: true, force: true });
  for (const entry of report) say(entry);
  say(line(total));
  process.stdout.write(`${line(total)}\n`);
}

function line(totals: Totals): string {
  return `${totals.passed} passed, ${totals.failed} failed, ${totals.skipped} skipped`;
}

function say(text: string): void {
  process.stderr.write(`${text}\n`);
}
