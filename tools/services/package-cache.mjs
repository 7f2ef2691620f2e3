// The cache of unpacked things. An entry appears by a rename, so it is whole or absent; a lock per entry keeps two
// calls (or two clones sharing the cache) from making it twice.
import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { withLock } from './lock.mjs';
import { CACHE } from './place.mjs';

const TEMPORARY = '.making-';

/** Path of a cache entry, whether it is there or not. */
export const cached = (name) => join(CACHE, name);

const asked = new Map();

/** Makes the entry `name` unless it is there: `make` fills the empty folder it is given. Returns the entry's path. */
export function ensureCached(name, make) {
  if (!asked.has(name)) asked.set(name, ensure(name, make));
  return asked.get(name);
}

async function ensure(name, make) {
  const path = cached(name);
  if (existsSync(path)) return path;
  mkdirSync(join(CACHE, 'locks'), { recursive: true });
  await withLock(join(CACHE, 'locks', name), name, async () => {
    if (existsSync(path)) return;
    const temporary = join(CACHE, `${TEMPORARY}${name}`);
    rmSync(temporary, { recursive: true, force: true }); // left by a call that was killed
    mkdirSync(temporary);
    await make(temporary);
    await rename(temporary, path);
  });
  return path;
}

/** A new scratch folder in the cache; whoever asks for it removes it. */
export function scratchFolder(name) {
  const path = join(CACHE, `.scratch-${name}-${process.pid}`);
  rmSync(path, { recursive: true, force: true });
  mkdirSync(path, { recursive: true });
  return path;
}

/** Removes scratch folders of calls that are gone. */
export function sweepScratch() {
  for (const entry of readdirSync(CACHE)) {
    const pid = /^\.scratch-.*-(\d+)$/.exec(entry)?.[1];
    if (pid && !existsSync(`/proc/${pid}`)) rmSync(join(CACHE, entry), { recursive: true, force: true });
  }
}
