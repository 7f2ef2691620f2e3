// Runs a task of this repository on any Node >= 18 with npm and nothing else: `node tools/boot.mjs <task> [arguments]`.
// The pinned Node and pnpm come from npm into npx's cache; nothing is installed on the machine. What the task needs is
// installed into node_modules when the lockfile moved. This wrapper prints nothing on stdout: that belongs to the task.
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { basename, delimiter, dirname, join } from 'node:path';
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
  quickstart: {
    install: '@txbox-examples/quickstart',
    build: [join(ROOT, 'examples/quickstart/node_modules/.bin/tsc'), '--build', 'examples/quickstart'],
    run: ['node', join(ROOT, 'examples/quickstart/dist/main.js')],
    folder: '.demo/quickstart',
  },
  test: { install: 'all', build: BUILD, run: ['node', 'tools/run-suites.ts', 'test'] },
  'test:unit': { install: 'all', run: ['node', 'tools/run-suites.ts', 'unit'] },
  'test:full': { install: 'all', build: BUILD, run: ['node', 'tools/run-suites.ts', 'full'] },
  check: { install: 'all', run: ['node', 'tools/check.ts'] },
  build: { install: 'all', run: BUILD },
  bench: { install: 'all', build: BUILD, run: ['node', 'bench/dist/main.js'] },
  chaos: { install: 'all', build: BUILD, run: ['node', 'bench/dist/chaos.js'] },
  docs: { install: 'all', build: BUILD, run: ['node', 'tools/api-reference/generate.ts'] },
  format: { install: 'all', run: [join(ROOT, 'tools/node_modules/.bin/biome'), 'check', '--write', '.'] },
  txbox: { install: 'all', build: [...BUILD, 'packages/cli'], run: ['node', join(ROOT, 'packages/cli/dist/bin.js')], here: true },
};

const [taskName, ...args] = process.argv.slice(2);
const task = TASKS[taskName];
if (!task) fail(`boot: unknown task ${taskName}; there are ${Object.keys(TASKS).join(', ')}`);

const toolchain = findToolchain();
const env = { ...process.env, PATH: [dirname(toolchain.node), dirname(toolchain.pnpm), process.env.PATH].join(delimiter) };
await install(task.install);
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

// Installs what the lockfile says, unless that was done before. A full install is never narrowed to a task's closure.
async function install(wanted) {
  const stamp = join(CACHE, 'installed.json');
  const lock = createHash('sha256');
  for (const file of ['pnpm-lock.yaml', 'pnpm-workspace.yaml']) lock.update(readFileSync(join(ROOT, file)));
  const digest = lock.digest('hex');
  const done = () => {
    try {
      const { lock, scope } = JSON.parse(readFileSync(stamp, 'utf8'));
      return lock === digest && (scope === 'all' || scope === wanted);
    } catch {
      return false;
    }
  };
  if (done()) return;
  mkdirSync(CACHE, { recursive: true });
  const release = await installLock();
  try {
    if (done()) return;
    rmSync(stamp, { force: true });
    say('boot: installing packages');
    const scope = existsSync(join(ROOT, 'tools/node_modules')) ? 'all' : wanted;
    quietly([toolchain.pnpm, 'install', '--frozen-lockfile', ...(scope === 'all' ? [] : ['--filter', `${scope}...`])]);
    writeFileSync(stamp, JSON.stringify({ lock: digest, scope }));
  } finally {
    release();
  }
}

// Two tasks started at once must not install into the same folders together. A lock of a process that is gone is taken over.
async function installLock() {
  const file = join(CACHE, 'installing');
  for (;;) {
    try {
      writeFileSync(file, String(process.pid), { flag: 'wx' });
      process.on('exit', () => rmSync(file, { force: true }));
      return () => rmSync(file, { force: true });
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
    }
    if (!holderLives(file)) rmSync(file, { force: true });
    else await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

function holderLives(file) {
  try {
    const pid = Number(readFileSync(file, 'utf8'));
    if (pid === 0) return Date.now() - statSync(file).mtimeMs < 5000; // created, not yet written
    return process.kill(pid, 0);
  } catch (error) {
    return error.code === 'EPERM' || error.code === 'ENOENT'; // somebody else's, or just released
  }
}

// Output on stdout goes to stderr; a failure ends the task with its exit code.
function quietly([command, ...rest]) {
  const result = spawnSync(command, rest, { cwd: ROOT, env, stdio: ['ignore', 2, 2] });
  if (result.error) fail(`boot: ${command}: ${result.error.message}`);
  if (result.status !== 0) fail(`boot: ${basename(command)} ${rest.join(' ')} failed`, result.status ?? 1);
}

async function run([command, ...rest]) {
  const cwd = task.here ? (process.env.INIT_CWD ?? process.cwd()) : join(ROOT, task.folder ?? '.');
  mkdirSync(cwd, { recursive: true });
  const child = spawn(command, [...rest, ...args], { cwd, env, stdio: 'inherit' });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  process.exitCode = await new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (status, signal) => resolve(signal ? 128 + (constants.signals[signal] ?? 0) : status));
  });
}

function say(text) {
  process.stderr.write(`${text}\n`);
}

// What fails before the first test closes with the totals' line as well.
function fail(text, code = 1) {
  say(text);
  if (/^(test|check)/.test(taskName ?? '')) {
    const totals = '0 passed, 1 failed, 0 skipped';
    say(totals);
    process.stdout.write(`${totals}\n`);
  }
  process.exit(code);
}
