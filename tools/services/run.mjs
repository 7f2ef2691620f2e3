// Short-lived programs: run to the end, output kept, a failure shows the end of what was printed.
import { spawn } from 'node:child_process';
import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { ServicesError } from './progress.mjs';

/** Runs a program and returns its stdout (`everything`: and stderr); rejects with the end of its output when it fails. */
export function run(file, args, { cwd, env, input, timeoutMs, everything = false } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { cwd, env, stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'] });
    const out = [];
    const all = [];
    const timer = timeoutMs && setTimeout(() => child.kill('SIGKILL'), timeoutMs);
    child.stdout.on('data', (chunk) => {
      out.push(chunk);
      all.push(chunk);
    });
    child.stderr.on('data', (chunk) => all.push(chunk));
    child.on('error', (error) => reject(new ServicesError(`${file} could not be run: ${error.message}`)));
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      if (code === 0) return resolve(Buffer.concat(everything ? all : out).toString());
      const end = Buffer.concat(all).toString().trimEnd().split('\n').slice(-20).join('\n');
      reject(new ServicesError(`${file} ${args[0] ?? ''} failed (${signal ?? `exit ${code}`}):\n${end}`));
    });
    if (input !== undefined) {
      child.stdin.on('error', () => undefined); // the program ended first: its exit code tells
      child.stdin.end(input);
    }
  });
}

/** The path of a program on PATH, or undefined. */
export function onPath(program) {
  for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
    const path = join(folder || '.', program);
    try {
      accessSync(path, constants.X_OK);
      if (statSync(path).isFile()) return path;
    } catch {
      // not in this folder
    }
  }
  return undefined;
}

/** Maps `items` with at most `limit` running at once. */
export async function inParallel(items, limit, work) {
  const queue = [...items];
  const worker = async () => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) await work(item);
  };
  await Promise.all(Array.from({ length: limit }, worker));
}

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
