#!/usr/bin/env node
import { createRequire } from 'node:module';
import { findInstalled } from './installed.ts';
import { checkNode } from './node-version.ts';
import { onOutputClosed, reportFailure, terminalOutput } from './output.ts';
import { runProgram } from './program.ts';

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

const { version, engines } = createRequire(import.meta.url)('../package.json') as { version: string; engines: { node: string } };

try {
  checkNode(process.versions.node, engines.node);
  const environment = { installed: await findInstalled(), output: terminalOutput, folder: process.cwd(), variables: process.env, version };
  process.exitCode = await runProgram({ ...environment, signal: stopping.signal, forced: forcing.signal }, process.argv.slice(2));
  // The second signal: what still runs is left where it is.
  if (forcing.signal.aborted) process.exit();
} catch (error) {
  process.exitCode = 1;
  reportFailure(error);
}
