// Starting, stopping and looking at one service: its servers in stages (a stage is ready before the next one starts).
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { choosePorts, isFree, knownPorts } from './ports.mjs';
import { endStrays, launch, runningIn, stopIn } from './process.mjs';
import { ServicesError, say, timed } from './progress.mjs';
import { sleep } from './run.mjs';

const READY_MS = 120_000;
const serversOf = (service) => service.stages.flat();
const portNamesOf = (service) => serversOf(service).flatMap((server) => [...server.portNames, ...(server.reservedPortNames ?? [])]);

/** `ready`, `starting` (runs, does not answer yet, or only in part) or `stopped`. */
export async function stateOf(service) {
  const ports = knownPorts();
  const servers = serversOf(service);
  const running = servers.filter((server) => runningIn(server.folder) !== undefined);
  if (!running.length) return 'stopped';
  if (running.length < servers.length) return 'starting';
  const answers = await Promise.all(servers.map((server) => server.answers(ports)));
  return answers.every(Boolean) ? 'ready' : 'starting';
}

/** The service's address as KEY=VALUE pairs. */
export const environmentOf = (service) => service.environment(knownPorts());

/**
 * Chooses ports for the services; to be called once before they are started side by side. A port that another process
 * took meanwhile is replaced, but not for `others`, whose ports are open when they run (containers).
 */
export async function ensurePorts(services, others = []) {
  const taken = [];
  for (const service of services) {
    const ports = knownPorts();
    for (const server of serversOf(service)) {
      if (runningIn(server.folder) !== undefined) continue;
      for (const name of server.portNames) if (ports[name] !== undefined && !(await isFree(ports[name]))) taken.push([service, name]);
    }
  }
  for (const service of new Set(taken.map(([service]) => service))) {
    // Strays of our own may hold the ports. What still runs of the service knows the old addresses.
    await stopService(service);
    for (const server of serversOf(service)) await endStrays(server.folder, service.name);
  }
  const renew = [];
  for (const [service, name] of taken) {
    const port = knownPorts()[name];
    if (await isFree(port)) continue;
    say(`${service.name}: port ${port} was taken by another process, chooses another`);
    renew.push(name);
  }
  await choosePorts([...services, ...others].flatMap(portNamesOf), renew);
}

/** Starts what does not run and waits until all of it answers. */
export async function startService(service) {
  await timed(`${service.name} is ready`, async () => {
    try {
      for (const stage of service.stages) await startStage(service, stage);
    } catch (error) {
      if (!(error instanceof PortStolen)) throw error;
      await ensurePorts([service]);
      for (const stage of service.stages) await startStage(service, stage);
    }
  });
}

// Between the look at a port and the server's own bind somebody else may have it.
class PortStolen extends ServicesError {}

async function startStage(service, stage) {
  const ports = knownPorts();
  for (const server of stage) {
    if (runningIn(server.folder) !== undefined) continue;
    mkdirSync(server.folder, { recursive: true });
    await endStrays(server.folder, service.name);
    await server.prepare(ports);
    launch(server.folder, await server.command(ports));
  }
  await Promise.all(stage.map((server) => untilReady(service, server, ports)));
}

async function untilReady(service, server, ports) {
  const deadline = performance.now() + READY_MS;
  while (!(await server.answers(ports))) {
    if (runningIn(server.folder) === undefined) {
      const free = await Promise.all(server.portNames.map((name) => isFree(ports[name])));
      const Failure = free.every(Boolean) ? ServicesError : PortStolen;
      throw new Failure(`${service.name}: ${server.name} ended while starting\n${lastLines(server.folder)}`);
    }
    if (performance.now() > deadline) {
      throw new ServicesError(`${service.name}: ${server.name} is not ready in ${READY_MS / 1000} s\n${lastLines(server.folder)}`);
    }
    await sleep(40);
  }
}

/** Stops the service's servers, the last stage first. */
export async function stopService(service) {
  for (const stage of [...service.stages].reverse()) {
    await Promise.all(stage.map((server) => server.stop?.() ?? stopIn(server.folder, service.name)));
  }
}

/** Stops the service and forgets its data. */
export async function resetService(service) {
  await stopService(service);
  for (const server of serversOf(service)) if (existsSync(server.folder)) await endStrays(server.folder, service.name);
  rmSync(service.folder, { recursive: true, force: true });
}

function lastLines(folder) {
  return ['out.log', 'server.log']
    .map((file) => join(folder, file))
    .filter((path) => existsSync(path))
    .map((path) => `${path}:\n${readFileSync(path, 'utf8').trimEnd().split('\n').slice(-15).join('\n')}`)
    .join('\n');
}
