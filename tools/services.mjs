// Real servers for tests, without root and without touching the machine: docs/services.md.
//   node tools/services.mjs start|stop|reset|status|env [service...]
//   node tools/services.mjs tools [tool...]
// Runs on Node 18 and newer with nothing installed. stdout has KEY=VALUE lines only.
import { join } from 'node:path';
import { dropIndexes } from './services/apt.mjs';
import { DEFAULT, SERVICES } from './services/catalog.mjs';
import { composedStateOf, isComposed, resetComposed, startComposed, stopComposed } from './services/compose.mjs';
import { withLock } from './services/lock.mjs';
import { chooseOrigins, isGiven, waysOf } from './services/origin.mjs';
import { sweepScratch } from './services/package-cache.mjs';
import { STATE } from './services/place.mjs';
import { ServicesError, say } from './services/progress.mjs';
import { ensurePorts, environmentOf, resetService, startService, stateOf, stopService } from './services/supervisor.mjs';
import { ensureTool, missingForTool, TOOLS } from './services/tool.mjs';

const COMMANDS = { start, stop, reset, status, env, tools };

async function start(names) {
  const services = servicesOf(names, DEFAULT);
  const own = services.filter((service) => !isGiven(service));
  const states = await Promise.all(own.map(currentState));
  try {
    if (!states.every((state) => state === 'ready')) await locked(() => bringUp(own));
  } finally {
    await print(services); // what did start is told, also when something else failed
  }
}

async function bringUp(services) {
  const { composed, packaged } = await chooseOrigins(services);
  await ensurePorts(packaged, composed);
  await settled([
    ...packaged.map(async (service) => {
      await service.install().catch((error) => {
        throw error instanceof ServicesError ? new ServicesError(`${service.name}: ${error.message}\n${waysOf([service])}`) : error;
      });
      await startService(service);
    }),
    ...(composed.length ? [startComposed(composed)] : []),
  ]);
}

async function stop(names) {
  await locked(() => takeDown(servicesOf(names, SERVICES.keys()), stopService, stopComposed));
}

async function reset(names) {
  await locked(() => takeDown(servicesOf(names, SERVICES.keys()), resetService, resetComposed));
}

async function takeDown(services, one, containers) {
  const composed = services.filter(isComposed);
  const packaged = services.filter((service) => !isComposed(service));
  await settled([...packaged.map(one), ...(composed.length ? [containers(composed)] : [])]);
}

async function status(names) {
  for (const service of servicesOf(names, SERVICES.keys())) line(service.key, isGiven(service) ? 'given' : await currentState(service));
}

async function env(names) {
  await print(servicesOf(names, SERVICES.keys()));
}

async function tools(names) {
  const wanted = known(names.length ? names : TOOLS, TOOLS, 'tool');
  const missing = [...new Set(wanted.flatMap(missingForTool))];
  if (missing.length)
    throw new ServicesError(`cannot unpack ${wanted.join(', ')}: this machine lacks ${missing.join(', ')}; put the tools on PATH`);
  const paths = await Promise.all(wanted.map(ensureTool));
  for (const [index, name] of wanted.entries()) line(`TXBOX_TOOL_${name.toUpperCase()}`, paths[index]);
}

async function print(services) {
  for (const service of services) {
    if (isGiven(service)) line(service.key, process.env[service.key]);
    else if ((await currentState(service)) === 'ready') for (const [key, value] of Object.entries(environmentOf(service))) line(key, value);
  }
}

const currentState = (service) => (isComposed(service) ? composedStateOf(service) : stateOf(service));

// When some fail, the others still finish.
async function settled(works) {
  const results = await Promise.allSettled(works);
  const failed = results.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []));
  const unexpected = failed.find((error) => !(error instanceof ServicesError));
  if (unexpected) throw unexpected;
  if (failed.length) throw new ServicesError([...new Set(failed.map((error) => error.message))].join('\n'));
}

const locked = (work) => withLock(join(STATE, 'lock'), 'these services', work);
const line = (key, value) => process.stdout.write(`${key}=${value}\n`);
const servicesOf = (names, otherwise) =>
  known(names.length ? names : [...otherwise], [...SERVICES.keys()], 'service').map((name) => SERVICES.get(name));

function known(names, all, what) {
  const unknown = names.filter((name) => !all.includes(name));
  if (unknown.length) throw new ServicesError(`no ${what} ${unknown.join(', ')}; there are ${all.join(', ')}`);
  return [...new Set(names)];
}

const [command, ...names] = process.argv.slice(2);
try {
  const work = Object.hasOwn(COMMANDS, command ?? '') && COMMANDS[command];
  if (!work) throw new ServicesError(`usage: services ${Object.keys(COMMANDS).join('|')} [name...]`);
  sweepScratch();
  await work(names);
} catch (error) {
  say(error instanceof ServicesError ? error.message : error.stack);
  process.exitCode = 1;
} finally {
  dropIndexes();
}
