// One lock per file, between processes. A child of ours holds it with flock(1) and ends with our end of its pipe, so the
// kernel frees the lock however we die, and no server that we start can inherit it.
import { spawn } from 'node:child_process';
import { ServicesError, say } from './progress.mjs';
import { onPath } from './run.mjs';

const WAIT_SECONDS = 900;

/** Runs `work` while holding the lock `file`; says so when it has to wait for another process. */
export async function withLock(file, what, work) {
  const flock = onPath('flock');
  // Without flock (macOS) only Docker Compose or given URLs are possible, and Compose orders concurrent calls itself.
  if (!flock) return work();
  const holder = spawn(flock, ['-w', String(WAIT_SECONDS), file, 'sh', '-c', 'echo held; exec cat >/dev/null'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const ended = new Promise((resolve) => holder.on('close', resolve));
  const notice = setTimeout(() => say(`waiting for another call that works on ${what}`), 1000);
  const held = await Promise.race([new Promise((resolve) => holder.stdout.once('data', () => resolve(true))), ended.then(() => false)]);
  clearTimeout(notice);
  if (!held) throw new ServicesError(`${what}: another call holds ${file} for more than ${WAIT_SECONDS} s`);
  try {
    return await work();
  } finally {
    holder.stdin.end();
    await ended;
  }
}
