#!/usr/bin/env node
import { createRequire } from 'node:module';
import { isTxboxError } from '@txbox/core';
import { findInstalled } from './installed.ts';
import { onOutputClosed, terminalOutput } from './output.ts';
import { buildProgram } from './program.ts';

const stopping = new AbortController();
const forcing = new AbortController();
let signals = 0;
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    if (++signals > 1) forcing.abort();
    stopping.abort();
  });
}
// Nobody reads what it says: a short command ends by itself, a relay stops in order.
onOutputClosed(() => stopping.abort());

const { version } = createRequire(import.meta.url)('../package.json') as { version: string };
const output = terminalOutput();

try {
  const environment = { installed: await findInstalled(), output, folder: process.cwd(), version };
  const program = buildProgram({ ...environment, signal: stopping.signal, forced: forcing.signal }, (code) => {
    process.exitCode = code;
  });
  await program.parseAsync();
  // The second signal: what still runs is left where it is.
  if (forcing.signal.aborted) process.exit();
} catch (error) {
  process.exitCode = 1;
  if (isTxboxError(error)) output.progress(`txbox: ${error.code}: ${error.message}\nSee ${error.docs}`);
  else output.progress(`txbox: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
}
