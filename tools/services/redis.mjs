// Redis of a Debian suite, every write on disk before its answer.
import { existsSync, mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { ensurePackages, missingForApt, withLoader } from './apt.mjs';
import { cached } from './package-cache.mjs';
import { STATE } from './place.mjs';
import { ask } from './probe.mjs';

/** Redis of a Debian suite. */
export function redis(name, suite) {
  const root = `redis-${suite}`;
  const folder = join(STATE, name);
  const key = `TXBOX_TEST_${name.toUpperCase()}_URL`;
  const server = {
    name: 'server',
    folder,
    portNames: [name],
    prepare: () => mkdirSync(join(folder, 'data'), { recursive: true }),
    command: (ports) =>
      withLoader(cached(root), 'usr/bin/redis-server', [
        ...['--port', String(ports[name]), '--bind', '127.0.0.1', '--dir', join(folder, 'data'), '--daemonize', 'no'],
        ...['--appendonly', 'yes', '--appendfsync', 'always', '--save', ''],
        ...['--maxmemory', '256mb', '--maxmemory-policy', 'noeviction'],
      ]),
    answers: (ports) => ask(ports[name], 'PING\r\n', (text) => (text.length < 5 ? undefined : text.toString('latin1', 0, 5) === '+PONG')),
  };
  return {
    name,
    key,
    folder,
    missing: () => (existsSync(cached(root)) ? [] : missingForApt()),
    install: () =>
      ensurePackages(root, suite, ['redis-tools'], {
        // One program is server, sentinel and checkers; it looks at its own name.
        complete: (to) => symlinkSync('redis-check-rdb', join(to, 'usr/bin/redis-server')),
      }),
    stages: [[server]],
    containers: { ports: { [name]: [{ port: name, inside: 6379 }] } },
    environment: (ports) => ({ [key]: `redis://127.0.0.1:${ports[name]}/0` }),
  };
}
