#!/usr/bin/env node
import { createRequire } from 'node:module';
import { isTxboxError } from '@txbox/core';
import { findInstalled } from './installed.ts';
import { terminalOutput } from './output.ts';
import { buildProgram } from './program.ts';

const stopping = new AbortController();
const forcing = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    if (stopping.signal.aborted) forcing.abort();
    stopping.abort();
  });
}

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
