import { execFile } from 'node:child_process';
import { copyFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { ModelCheck } from './checks.ts';

const run = promisify(execFile);
/** Memory for one search, MiB, and steps of its longest path. */
const MEMORY_MIB = 6_000;
const DEPTH = 100_000;

/** What an exhaustive search has found. */
export interface SearchResult {
  readonly errors: number;
  readonly states: number;
  readonly depth: number;
  readonly seconds: number;
}

interface Tools {
  readonly spin: string;
  readonly gcc: string;
}

/** The model checker and the compiler that it needs: the machine's own, else unpacked from the distribution's packages. */
export async function spinTools(): Promise<Tools> {
  const script = join(import.meta.dirname, '../../tools/services.mjs');
  const { stdout } = await run(process.execPath, [script, 'tools', 'spin', 'gcc']);
  const { TXBOX_TOOL_SPIN: spin, TXBOX_TOOL_GCC: gcc } = Object.fromEntries(stdout.split('\n').map((line) => line.split('=')));
  if (!spin || !gcc) throw new Error(`tools/services.mjs printed no programs: ${stdout}`);
  return { spin, gcc };
}

/** Searches every state of a model. Rejects where that did not come to its end. */
export async function search({ spin, gcc }: Tools, { model, flags, expect }: ModelCheck, signal: AbortSignal): Promise<SearchResult> {
  const folder = await mkdtemp(join(tmpdir(), 'txbox-model-'));
  const options = { cwd: folder, signal, maxBuffer: 64 * 1024 * 1024 };
  try {
    await copyFile(join(import.meta.dirname, `${model}.pml`), join(folder, 'model.pml'));
    await run(spin, ['-a', ...flags.map((flag) => `-D${flag}`), 'model.pml'], options);
    // A mutant is caught after few states: with optimisation, compiling it takes longer than its search.
    const optimisation = expect === 'caught' ? '-O0' : '-O1';
    await run(
      gcc,
      [optimisation, '-w', '-DSAFETY', '-DCOLLAPSE', `-DMEMLIM=${MEMORY_MIB}`, '-DVECTORSZ=2048', '-o', 'pan', 'pan.c'],
      options,
    );
    const { stdout } = await run(join(folder, 'pan'), [`-m${DEPTH}`, '-w24'], options);
    return resultOf(stdout);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function resultOf(output: string): SearchResult {
  if (/max search depth too small|out of memory/.test(output)) throw new Error(`The search did not come to its end:\n${output}`);
  const figure = (pattern: RegExp): number => {
    const found = pattern.exec(output)?.[1];
    if (found === undefined) throw new Error(`No ${pattern} in what the search printed:\n${output}`);
    return Number(found);
  };
  return {
    errors: figure(/errors: (\d+)/),
    states: figure(/^\s*([\d.e+]+) states, stored/m),
    depth: figure(/depth reached (\d+)/),
    seconds: figure(/elapsed time ([\d.]+) seconds/),
  };
}
