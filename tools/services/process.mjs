// Server processes of this checkout. A pid alone proves nothing (it is reused, or a zombie), so the start time that the
// kernel gives and the boot are kept beside it.
import { spawn } from 'node:child_process';
import { closeSync, openSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CACHE } from './place.mjs';
import { say } from './progress.mjs';
import { sleep } from './run.mjs';

/** Starts a server in its folder: own session, output into `out.log`, remembered in `process.json`. */
export function launch(folder, { file, args, env }) {
  const log = openSync(join(folder, 'out.log'), 'a');
  try {
    const child = spawn(file, args, { cwd: folder, detached: true, stdio: ['ignore', log, log], env: { ...baseEnv(), ...env } });
    child.on('error', (error) => say(`${file} could not be run: ${error.message}`));
    if (child.pid === undefined) return;
    writeFileSync(join(folder, 'process.json'), JSON.stringify({ pid: child.pid, identity: identityOf(child.pid) }));
    child.unref();
  } finally {
    closeSync(log);
  }
}

/** The pid of the folder's server while it runs. */
export function runningIn(folder) {
  try {
    const { pid, identity } = JSON.parse(readFileSync(join(folder, 'process.json'), 'utf8'));
    return identity !== undefined && identityOf(pid) === identity ? pid : undefined;
  } catch {
    return undefined;
  }
}

/** Ends the folder's server: SIGTERM, and SIGKILL to its whole session after `graceMs`. */
export async function stopIn(folder, name, { graceMs = 30_000, pidOf = (pid) => pid } = {}) {
  const pid = runningIn(folder);
  if (pid !== undefined) await end(pid, pidOf(pid), name, graceMs);
  rmSync(join(folder, 'process.json'), { force: true });
}

/**
 * Ends servers of this folder that nobody remembers, left by a call that was killed between start and note. A server is
 * known by its working directory (at or below the folder) and its program: one of ours, or a Java that has the folder on its command line. A
 * shell that stands there is neither.
 */
export async function endStrays(folder, name) {
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      if (!`${readlinkSync(`/proc/${entry}/cwd`)}/`.startsWith(`${folder}/`)) continue;
      const [program, ...args] = readFileSync(`/proc/${entry}/cmdline`, 'utf8').split('\0');
      if (!program.startsWith(CACHE) && !(program.endsWith('/java') && args.some((arg) => arg.includes(folder)))) continue;
    } catch {
      continue; // gone meanwhile, or not ours to read
    }
    say(`${name}: ends a forgotten server (pid ${entry})`);
    await end(Number(entry), Number(entry), name, 10_000);
  }
}

async function end(sessionPid, pid, name, graceMs) {
  const identity = identityOf(sessionPid);
  signal(pid, 'SIGTERM');
  const deadline = performance.now() + graceMs;
  while (identityOf(sessionPid) === identity) {
    if (performance.now() > deadline) {
      say(`${name}: does not stop, killed`);
      signal(-sessionPid, 'SIGKILL');
      return;
    }
    await sleep(25);
  }
}

function signal(pid, name) {
  try {
    process.kill(pid, name);
  } catch {
    // already gone
  }
}

function identityOf(pid) {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' '); // the name before may hold anything
    if (fields[0] === 'Z' || fields[0] === 'X') return undefined;
    return `${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()} ${fields[19]}`;
  } catch {
    return undefined;
  }
}

// Nothing of the caller's environment may change a server (JAVA_TOOL_OPTIONS, MYSQL_*, LD_PRELOAD).
function baseEnv() {
  const { PATH, HOME, TMPDIR } = process.env;
  return { PATH, LANG: 'C.UTF-8', ...(HOME && { HOME }), ...(TMPDIR && { TMPDIR }) };
}
