// Runs a task of this repository on any Node >= 18 with npm and nothing else: `node tools/boot.mjs <task> [arguments]`.
// The pinned Node and pnpm come from npm into npx's cache; nothing is installed on the machine. What the task needs is
// installed into node_modules when the lockfile moved. This wrapper prints nothing on stdout: that belongs to the task.
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const NODE = '24.21.0';
const PNPM = '12.21.0';
const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const CACHE = join(ROOT, 'node_modules', '.cache', 'txbox');

const bin = (name) => join(ROOT, 'node_modules', '.bin', name);
const BUILD = [bin('tsc'), '--build'];

// What each task installs (`all`, or the closure of one package), builds first, and runs.
const TASKS = {
  demo: {
    install: '@txbox-examples/orders',
    build: [join(ROOT, 'examples/orders/node_modules/.bin/tsc'), '--build', 'examples/orders'],
    run: ['node', 'examples/orders/dist/main.js'],
  },
  test: { install: 'all', build: BUILD, run: ['node', 'tools/run-suites.ts', 'test'] },
  'test:unit': { install: 'all', build: BUILD, run: ['node', 'tools/run-suites.ts', 'unit'] },
  'test:full': { install: 'all', build: BUILD, run: ['node', 'tools/run-suites.ts', 'full'] },
  check: { install: 'all', run: ['node', 'tools/check.ts'] },
  build: { install: 'all', run: BUILD },
  bench: { install: 'all', build: BUILD, run: ['node', 'bench/dist/main.js'] },
  format: { install: 'all', run: [bin('biome'), 'check', '--write', '.'] },
  txbox: { install: 'all', build: BUILD, run: ['node', join(ROOT, 'packages/cli/dist/bin.js')], here: true },
};

const [taskName, ...args] = process.argv.slice(2);
const task = TASKS[taskName];
if (!task) fail(`boot: unknown task ${taskName}; there are ${Object.keys(TASKS).join(', ')}`);

const toolchain = findToolchain();
const env = { ...process.env, PATH: [dirname(toolchain.node), dirname(toolchain.pnpm), process.env.PATH].join(delimiter) };
install(task.install);
if (task.build) quietly(task.build);
await run(task.run[0] === 'node' ? [toolchain.node, ...task.run.slice(1)] : task.run);

function findToolchain() {
  const file = join(CACHE, 'toolchain.json');
  const wanted = `${NODE} ${PNPM}`;
  try {
    const known = JSON.parse(readFileSync(file, 'utf8'));
    if (known.wanted === wanted && existsSync(known.node) && existsSync(known.pnpm)) return known;
  } catch {
    // Not there yet, or unreadable: ask npx.
  }
  say(`boot: fetching Node ${NODE} and pnpm ${PNPM}`);
  const script = 'command -v node && command -v pnpm';
  const found = spawnSync('npx', ['-y', '-p', `node@${NODE}`, '-p', `pnpm@${PNPM}`, '-c', script], {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'inherit'],
    encoding: 'utf8',
  });
  const [node, pnpm] = (found.stdout ?? '').trim().split('\n').slice(-2);
  if (found.status !== 0 || !node || !pnpm) {
    fail(`boot: npx could not fetch node@${NODE} and pnpm@${PNPM}; npm 8 or newer and a package registry are needed`);
  }
  mkdirSync(CACHE, { recursive: true });
  writeFileSync(file, JSON.stringify({ wanted, node, pnpm }));
  return { node, pnpm };
}

function install(scope) {
  const lock = createHash('sha256')
    .update(readFileSync(join(ROOT, 'pnpm-lock.yaml')))
    .digest('hex');
  const stamp = join(CACHE, 'installed.json');
  let done = {};
  try {
    done = JSON.parse(readFileSync(stamp, 'utf8'));
  } catch {
    // Nothing installed yet.
  }
  if (done.lock === lock && (done.scope === 'all' || done.scope === scope)) return;
  rmSync(stamp, { force: true });
  say('boot: installing packages');
  const filter = scope === 'all' ? [] : ['--filter', `${scope}...`];
  quietly([toolchain.pnpm, 'install', '--frozen-lockfile', ...filter]);
  mkdirSync(CACHE, { recursive: true });
  writeFileSync(stamp, JSON.stringify({ lock, scope }));
}

// Output on stdout goes to stderr; a failure ends the task with its exit code.
function quietly([command, ...rest]) {
  const result = spawnSync(command, rest, { cwd: ROOT, env, stdio: ['ignore', 2, 2] });
  if (result.error) fail(`boot: ${command}: ${result.error.message}`);
  if (result.status !== 0) {
    // Also a build that fails before the first test closes with the totals' line.
    if (taskName.startsWith('test') || taskName === 'check') process.stdout.write('0 passed, 1 failed, 0 skipped\n');
    process.exit(result.status ?? 1);
  }
}

async function run([command, ...rest]) {
  const child = spawn(command, [...rest, ...args], { cwd: task.here ? process.cwd() : ROOT, env, stdio: 'inherit' });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  const code = await new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (status, signal) => resolve(signal ? 128 + (constants.signals[signal] ?? 0) : status));
  });
  process.exitCode = code;
}

function say(text) {
  process.stderr.write(`${text}\n`);
}

function fail(text) {
  say(text);
  process.exit(1);
}
