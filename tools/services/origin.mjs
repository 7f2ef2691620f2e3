// Where a server comes from: given by its address in the environment, containers, or packages; and what to say when
// none of them is possible.
import { composeWorks, isComposed } from './compose.mjs';
import { runningIn } from './process.mjs';
import { ServicesError } from './progress.mjs';
import { environmentOf } from './supervisor.mjs';

const CHOICE = 'TXBOX_SERVICES_FROM';

/**
 * Whether the environment gives the service's address. Our own address there (of a shell that evaluated the output of
 * `start`) does not count: it is still ours to start.
 */
export function isGiven(service) {
  const given = process.env[service.key];
  return Boolean(given) && given !== environmentOf(service)[service.key];
}

/** Splits the services into those to run as containers and those from packages; fails, naming all that is missing. */
export async function chooseOrigins(services) {
  const choice = process.env[CHOICE];
  if (choice && choice !== 'compose' && choice !== 'packages') throw new ServicesError(`${CHOICE} is compose or packages, got ${choice}`);
  const composed = [];
  const packaged = [];
  const open = [];
  for (const service of services) {
    if (isComposed(service)) composed.push(service);
    else if (service.stages.flat().some((server) => runningIn(server.folder) !== undefined)) packaged.push(service);
    else open.push(service);
  }
  const works = open.length > 0 && choice !== 'packages' && (await composeWorks());
  if (works) return { composed: [...composed, ...open], packaged };
  const lacks = new Map();
  for (const service of open) {
    const missing = choice === 'compose' ? [] : await service.missing();
    if (choice === 'compose' || missing.length) lacks.set(service, missing);
  }
  if (lacks.size) throw new ServicesError(explain(lacks));
  return { composed, packaged: [...packaged, ...open] };
}

/** What is missing for which service, and the ways to supply it. */
function explain(lacks) {
  const byMissing = new Map();
  for (const [{ name }, missing] of lacks) {
    if (missing.length) byMissing.set(missing.join(', '), [...(byMissing.get(missing.join(', ')) ?? []), name]);
  }
  const packages = [...byMissing].map(
    ([missing, names]) => `  - packages, unpacked into the project's folder: ${names.join(', ')} would need ${missing}`,
  );
  const services = [...lacks.keys()];
  return [`cannot start ${services.map(({ name }) => name).join(', ')} here. ${waysOf(services)}`, ...packages].join('\n');
}

/** The ways to get servers that do not depend on packages. */
export function waysOf(services) {
  return [
    'Ways out (docs/services.md):',
    `  - the address of a server that runs, in the environment: ${services.map(({ key }) => key).join(', ')}`,
    '  - Docker with Compose: `docker info` has to succeed within 5 s',
  ].join('\n');
}
