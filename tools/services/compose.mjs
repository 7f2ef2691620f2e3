// Servers as containers of Docker Compose: `compose.yaml` says which images and how, the ports are added here.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { cached } from './package-cache.mjs';
import { ROOT, STATE } from './place.mjs';
import { knownPorts } from './ports.mjs';
import { ServicesError, say, timed } from './progress.mjs';
import { onPath, run, sleep } from './run.mjs';

const READY_MS = 300_000; // with pulling images before
const marker = (service) => join(STATE, `${service.name}.container`);

/** Whether Docker Compose can be used here: a daemon that answers within 5 s. */
export async function composeWorks() {
  if (!onPath('docker')) return false;
  try {
    await run('docker', ['info'], { timeoutMs: 5000 });
    await run('docker', ['compose', 'version'], { timeoutMs: 5000 });
    return true;
  } catch {
    return false;
  }
}

/** Whether the service was last started as containers. */
export const isComposed = (service) => existsSync(marker(service));

/** `ready` or `stopped`: what does not answer is not told apart. */
export async function composedStateOf(service) {
  const ports = knownPorts();
  const answers = await Promise.all(service.stages.at(-1).map((server) => server.answers(ports)));
  return answers.every(Boolean) ? 'ready' : 'stopped';
}

/** Starts the services as containers and waits until they answer. */
export async function startComposed(services) {
  const ports = knownPorts();
  for (const service of services) {
    mkdirSync(service.folder, { recursive: true });
    await service.containers.prepare?.(ports, (args, folder) => {
      const user = ['--user', userOf(), '-v', `${folder}:${folder}`];
      return run('docker', ['run', '--rm', ...user, '--entrypoint', 'keytool', 'apache/kafka:4.4.0', ...args]);
    });
    writeFileSync(marker(service), '');
  }
  const names = services.flatMap((service) => Object.keys(service.containers.ports));
  await timed('containers started', async () => void (await compose(services, ['up', '-d', ...names])));
  await Promise.all(services.map((service) => timed(`${service.name} is ready`, () => untilReady(service))));
}

/** Stops the containers of the services; their data stays. */
export async function stopComposed(services) {
  await compose(services, ['stop', ...services.flatMap((service) => Object.keys(service.containers.ports))]);
}

/** Removes the containers of the services with their data. */
export async function resetComposed(services) {
  await compose(services, ['rm', '-sfv', ...services.flatMap((service) => Object.keys(service.containers.ports))]);
  for (const service of services) {
    rmSync(service.folder, { recursive: true, force: true });
    rmSync(marker(service));
  }
}

async function untilReady(service) {
  const deadline = performance.now() + READY_MS;
  while ((await composedStateOf(service)) !== 'ready') {
    if (performance.now() > deadline) {
      say(await compose([service], ['logs', '--tail', '20', ...Object.keys(service.containers.ports)]));
      throw new ServicesError(`${service.name}: its containers are not ready in ${READY_MS / 1000} s`);
    }
    await sleep(200);
  }
}

function compose(services, args) {
  const file = join(STATE, 'compose.ports.json');
  writeFileSync(file, JSON.stringify(portsFile(services, knownPorts()), null, 2));
  const project = `txbox-${createHash('sha256').update(STATE).digest('hex').slice(0, 12)}`;
  const env = {
    ...process.env,
    TXBOX_SERVICES_STATE: STATE,
    TXBOX_SERVICES_CERTIFICATE: cached('certificate'),
    TXBOX_SERVICES_USER: userOf(),
  };
  return run('docker', ['compose', '-p', project, '--project-directory', ROOT, '-f', join(ROOT, 'compose.yaml'), '-f', file, ...args], {
    env,
  });
}

/** The second Compose file: each container's ports, open on 127.0.0.1 only. JSON is YAML. */
function portsFile(services, ports) {
  const containers = services.flatMap((service) => Object.entries(service.containers.ports));
  const entries = containers.map(([name, published]) => {
    return [name, { ports: published.map(({ port, inside = ports[port] }) => `127.0.0.1:${ports[port]}:${inside}`) }];
  });
  return { services: Object.fromEntries(entries.filter(([, { ports: published }]) => published.length > 0)) };
}

const userOf = () => `${userInfo().uid}:${userInfo().gid}`;
