// Runs the suites of tools/suites.json: `run-suites.ts test|unit|full [suite …] [test file …] [arguments for the test runner]`.
// Services start once, beside the suites that need none. The last line on stdout and stderr is the sum over every runner.
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { formatTotals, type SuiteTotals, type Totals } from './totals.ts';

/** One line of the table. */
interface Suite {
  readonly name: string;
  /** The runs that include the suite: `unit`, `test`, `full`. */
  readonly runs: readonly string[];
  /** Beginnings of the paths of its test files. */
  readonly files: readonly string[];
  /** Servers it needs, by the names of `npm run services`. */
  readonly services: readonly string[];
  /** A suite that takes longer has failed. */
  readonly budgetSeconds: number;
  /** Another runner than Vitest; it writes its totals as JSON to the file named by `TXBOX_TOTALS_FILE`. */
  readonly command?: readonly string[];
}

interface Services {
  readonly env: Readonly<Record<string, string>>;
  readonly error?: string;
}

const ROOT = join(import.meta.dirname, '..');
const VITEST = [join(ROOT, 'node_modules/.bin/vitest'), 'run'];
/** The budgets hold for a plain run; the full product takes longer. */
const FULL_RUN_FACTOR = 10;
/** Failures of one suite that are named again at the end. */
const MAX_NAMED = 20;

const [run = 'test', ...args] = process.argv.slice(2);
const table = JSON.parse(readFileSync(process.env['TXBOX_SUITES'] ?? join(ROOT, 'tools/suites.json'), 'utf8')) as Suite[];
const named = args.filter((arg) => table.some((suite) => suite.name === arg));
const paths = args.filter((arg) => arg.includes('/') && existsSync(join(ROOT, arg)));
const passedOn = args.filter((arg) => !named.includes(arg) && !paths.includes(arg));
const suites = table.filter((suite) => suite.runs.includes(run) && isWanted(suite));

const total: Totals = { passed: 0, failed: 0, skipped: 0 };
const report: string[] = [];
const folder = mkdtempSync(join(tmpdir(), 'txbox-suites-'));
let current: ChildProcess | undefined;
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    if (current) endGroup(current);
    total.failed += 1;
    report.push(`ended by ${signal}`);
    close();
    process.exit(1);
  });
}

const needed = [...new Set(suites.flatMap((suite) => suite.services))];
const services = needed.length === 0 ? Promise.resolve<Services>({ env: {} }) : startServices(needed);
for (const suite of suites) {
  const { env, error } = suite.services.length === 0 ? { env: {}, error: undefined } : await services;
  if (error === undefined) await runSuite(suite, env);
  else {
    total.failed += 1;
    report.push(`${suite.name}: not run: ${error}`);
  }
}
if (total.passed + total.failed === 0) report.push(`no test ran: ${['npm test --', ...args].join(' ')}`);
close();
process.exitCode = total.failed > 0 || total.passed === 0 ? 1 : 0;

function isWanted(suite: Suite): boolean {
  if (named.includes(suite.name)) return true;
  if (paths.length > 0) return filesOf(suite).length > 0;
  return named.length === 0;
}

/** The files a run picks of a suite: those named that belong to it, else all. */
function filesOf(suite: Suite): readonly string[] {
  if (paths.length === 0) return suite.files;
  return paths.filter((path) => suite.files.some((prefix) => path.startsWith(prefix)));
}

async function runSuite(suite: Suite, env: Readonly<Record<string, string>>): Promise<void> {
  say(`── ${suite.name} (at most ${suite.budgetSeconds} s)`);
  const file = join(folder, `${suite.name}.json`);
  const startedAt = performance.now();
  const [program = '', ...rest] = suite.command ?? VITEST;
  const child = spawn(program, [...rest, ...filesOf(suite), ...passedOn], {
    cwd: ROOT,
    env: { ...process.env, ...env, TXBOX_TOTALS_FILE: file, ...(run === 'full' ? { TXBOX_TEST_FULL: '1' } : {}) },
    stdio: ['ignore', 'inherit', 'inherit'],
    detached: true, // a group of its own: what a suite leaves behind when it is late ends with it
  });
  current = child;
  let late = false;
  const budgetMs = suite.budgetSeconds * 1000 * (run === 'full' ? FULL_RUN_FACTOR : 1);
  const timer = setTimeout(() => {
    late = true;
    endGroup(child);
  }, budgetMs);
  const code = await new Promise<number>((resolve) => {
    child.once('error', (error) => {
      say(`${suite.name}: ${error.message}`);
      resolve(1);
    });
    child.once('exit', (status) => resolve(status ?? 1));
  });
  clearTimeout(timer);
  current = undefined;
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
  const counted = readTotals(file);
  // A runner that ends badly without a failed test (a crash, the budget) is a failure of its own.
  if (late || (code !== 0 && counted.failed === 0)) counted.failed += 1;
  for (const key of ['passed', 'failed', 'skipped'] as const) total[key] += counted[key];
  const notes = [
    ...(late ? [`ended: over its budget of ${budgetMs / 1000} s`] : []),
    ...(!late && code !== 0 ? [`exit code ${code}`] : []),
    ...(code === 0 && counted.passed + counted.failed + counted.skipped === 0 ? ['EMPTY: it has no test yet'] : []),
  ];
  report.push([`${suite.name}: ${formatTotals(counted)} in ${seconds} s`, ...notes].join(', '));
  say(report.at(-1) ?? '');
  report.push(...counted.failures.slice(0, MAX_NAMED).map((failure) => `  failed: ${failure}`));
}

function readTotals(file: string): SuiteTotals {
  const none = { passed: 0, failed: 0, skipped: 0, failures: [] };
  try {
    return { ...none, ...(JSON.parse(readFileSync(file, 'utf8')) as Totals) };
  } catch {
    return none; // the runner never came to its end
  }
}

async function startServices(names: readonly string[]): Promise<Services> {
  say(`── starting ${names.join(', ')}`);
  const startedAt = performance.now();
  const child = spawn(process.execPath, [join(ROOT, 'tools/services.mjs'), 'start', ...names], {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
  });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    said += chunk;
    process.stderr.write(chunk);
  });
  const code = await new Promise<number>((resolve) => {
    child.once('error', () => resolve(1));
    child.once('close', (status) => resolve(status ?? 1));
  });
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
  const entries = text.split('\n').filter((entry) => entry.includes('='));
  const env = Object.fromEntries(entries.map((entry) => [entry.slice(0, entry.indexOf('=')), entry.slice(entry.indexOf('=') + 1)]));
  say(code === 0 ? `── servers ready in ${seconds} s` : `── the servers did not start (${seconds} s)`);
  if (code === 0) return { env };
  // Said again at the end, where whoever sees only the end of the log looks.
  report.push('the servers did not start:', ...said.slice(said.lastIndexOf('services: ')).trimEnd().split('\n').slice(0, MAX_NAMED));
  return { env, error: 'its servers did not start; the reason stands above' };
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
  say('');
  for (const entry of report) say(entry);
  say(formatTotals(total));
  process.stdout.write(`${formatTotals(total)}\n`);
}

function say(text: string): void {
  process.stderr.write(`${text}\n`);
}
