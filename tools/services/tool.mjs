// Tools for tests, as Debian packages unpacked into the cache, each with a small program to run it.
import { chmodSync, existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ensurePackages, linkLibraries, missingForApt } from './apt.mjs';
import { cached } from './package-cache.mjs';
import { onPath } from './run.mjs';

const SUITE = 'bookworm';
const WITH_LIBRARIES = (program) => `LD_LIBRARY_PATH="$root/libraries" exec "$root/${program}" "$@"`;

/** All tools, by name: packages, and the body of a shell script that runs the tool out of the folder `$root`. */
const RECIPES = {
  kcat: { packages: ['kcat'], body: WITH_LIBRARIES('usr/bin/kcat') },
  spin: { packages: ['spin'], only: /^(spin|libc6)$/, body: WITH_LIBRARIES('usr/bin/spin') },
  gcc: {
    packages: ['gcc', 'libc6-dev'],
    body: 'LD_LIBRARY_PATH="$root/libraries" exec "$root/usr/bin/gcc" --sysroot="$root" -B "$libraries" "$@"',
  },
  // libfaketime '+1h' program arguments...
  libfaketime: {
    packages: ['libfaketime'],
    only: /^libfaketime$/,
    machine: false,
    // The list of libraries to load first ends at white space.
    body: [
      'link=/tmp/txbox-libfaketime-$(id -u)-$(printf %s "$libraries" | cksum | cut -d" " -f1)',
      'case $libraries in *[[:space:]]*) ln -sfn "$libraries" "$link"; libraries=$link ;; esac',
      'FAKETIME=$1 LD_PRELOAD=$libraries/faketime/libfaketimeMT.so.1',
      'export FAKETIME LD_PRELOAD',
      'shift',
      'exec "$@"',
    ].join('\n'),
  },
  promtool: { packages: ['prometheus'], only: /^(prometheus|libc6)$/, body: 'exec "$root/usr/bin/promtool" "$@"' },
};

/** Names of the tools there are. */
export const TOOLS = Object.keys(RECIPES);

/** What this machine lacks for the tool; empty when nothing. */
export const missingForTool = (name) => (machineTool(name) || existsSync(cached(`tool-${name}`)) ? [] : missingForApt());

/** The path of a program that runs the tool: the machine's own, else unpacked. */
export async function ensureTool(name) {
  const { packages, only, body } = RECIPES[name];
  const own = machineTool(name);
  if (own) return own;
  const folder = await ensurePackages(`tool-${name}`, SUITE, packages, {
    only,
    complete: (root) => {
      linkLibraries(root);
      const head = '#!/bin/sh\nroot=$(cd "$(dirname "$0")" && pwd -P)\nlibraries=$(echo "$root"/usr/lib/*-linux-gnu)\n';
      writeFileSync(join(root, name), `${head}${body}\n`);
      chmodSync(join(root, name), 0o755);
    },
  });
  return join(folder, name);
}

const machineTool = (name) => (RECIPES[name].machine === false ? undefined : onPath(name));
