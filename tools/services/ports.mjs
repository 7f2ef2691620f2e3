// Ports of this checkout, chosen once and kept in `.services/ports.json`, so that addresses stay the same and two
// checkouts run side by side.
import { createHash } from 'node:crypto';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { STATE } from './place.mjs';

const FILE = join(STATE, 'ports.json');
const FIRST = 20_000;
const COUNT = 12_000; // stays below the ports that systems hand out to outgoing connections (32768 and up)

/** The kept ports, by name. */
export function knownPorts() {
  try {
    return JSON.parse(readFileSync(FILE, 'utf8'));
  } catch {
    return {};
  }
}

let last = Promise.resolve();

/** Gives each name a port: the kept one, or a free one that is kept from now on. Names in `renew` get a new one. */
export function choosePorts(names, renew = []) {
  last = last.catch(() => undefined).then(() => choose(names, renew));
  return last;
}

async function choose(names, renew) {
  const known = knownPorts();
  const used = new Set(Object.values(known));
  let candidate = FIRST + (createHash('sha256').update(STATE).digest().readUInt32BE(0) % COUNT);
  for (const name of names) {
    if (known[name] !== undefined && !renew.includes(name)) continue;
    do candidate = FIRST + ((candidate + 1 - FIRST) % COUNT);
    while (used.has(candidate) || !(await isFree(candidate)));
    known[name] = candidate;
    used.add(candidate);
  }
  writeFileSync(`${FILE}.new`, `${JSON.stringify(known, null, 2)}\n`);
  renameSync(`${FILE}.new`, FILE);
}

/** Whether nobody listens on this port of 127.0.0.1. */
export function isFree(port) {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => server.close(() => resolve(true)));
  });
}
