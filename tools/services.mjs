// Real servers for tests, without root and without touching the machine: docs/services.md.
//   node tools/services.mjs start|stop|reset|status|env [service...]
// Runs on Node 18 and newer with nothing installed. stdout has KEY=VALUE lines only.
import { join } from 'node:path';
import { dropIndexes } from './services/apt.mjs';
import { DEFAULT, SERVICES } from './services/catalog.mjs';
import { withLock } from './services/lock.mjs';
import { sweepScratch } from './services/package-cache.mjs';
import { STATE } from './services/place.mjs';
import { ServicesError, say } from './services/progress.mjs';
import { ensurePorts, environmentOf, resetService, startService, stateOf, stopService } from './services/supervisor.mjs';

const COMMANDS = { start, stop, reset, status, env };

async function start(services) {
  const own = services.filter((service) => !isGiven(service));
  const states = await Promise.all(own.map(stateOf));
  try {
    if (!states.every((state) => state === 'ready')) await locked(() => bringUp(own));
  } finally {
    await env(services); // what did start is told, also when something else failed
  }
}

async function bringUp(services) {
  sweepScratch();
  await ensurePorts(services);
  try {
    await settled(services, async (service) => {
      await service.install();
      await startService(service);
    });
  } finally {
    dropIndexes();
  }
}

async function stop(services) {
  await locked(() => settled(services, stopService));
}

async function reset(services) {
  await locked(() => settled(services, resetService));
}

async function status(services) {
  for (const service of services) print(service.key, isGiven(service) ? 'given' : await stateOf(service));
}

async function env(services) {
  for (const service of services) {
    if (isGiven(service)) print(service.key, process.env[service.key]);
    else if ((await stateOf(service)) === 'ready') for (const [key, value] of Object.entries(environmentOf(service))) print(key, value);
  }
}

// An address given from outside means that server. Our own address in the environment (a shell that evaluated the
// output of `start`) is still ours.
function isGiven(service) {
  const given = process.env[service.key];
  return Boolean(given) && given !== environmentOf(service)[service.key];
}

// All at once; when some fail, the others still finish.
async function settled(services, work) {
  const results = await Promise.allSettled(services.map(work));
  const failed = results.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []));
  const unexpected = failed.find((error) => !(error instanceof ServicesError));
  if (unexpected) throw unexpected;
  if (failed.length) throw new ServicesError(failed.map((error) => error.message).join('\n'));
}

const locked = (work) => withLock(join(STATE, 'lock'), 'these services', work);
const print = (key, value) => process.stdout.write(`${key}=${value}\n`);

function servicesOf(names) {
  const unknown = names.filter((name) => !SERVICES.has(name));
  if (unknown.length) throw new ServicesError(`no service ${unknown.join(', ')}; there are ${[...SERVICES.keys()].join(', ')}`);
  return [...new Set(names)].map((name) => SERVICES.get(name));
}

const [command, ...names] = process.argv.slice(2);
try {
  const work = Object.hasOwn(COMMANDS, command ?? '') && COMMANDS[command];
  if (!work) throw new ServicesError(`usage: services ${Object.keys(COMMANDS).join('|')} [service...]`);
  const fallback = command === 'start' ? DEFAULT : [...SERVICES.keys()];
  await work(servicesOf(names.length ? names : fallback));
} catch (error) {
  say(error instanceof ServicesError ? error.message : error.stack);
  process.exitCode = 1;
}
