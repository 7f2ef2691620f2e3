// examples/sidecar is not run by tests: no container is built. What can be checked without one is.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { examineOptions } from '@txbox/core/spi';
import { commands, sections } from '@txbox/relay/commands';
import { expect, it, onTestFinished, vi } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';

const FOLDER = join(import.meta.dirname, '../../examples/sidecar');
const PORT = 9464;
const START = commands.find(({ path }) => path.join(' ') === 'relay start');
const read = (name: string): string => readFileSync(join(FOLDER, name), 'utf8');

interface Probe {
  readonly httpGet: { readonly path: string; readonly port: string };
}
interface Container {
  readonly restartPolicy?: string;
  readonly args: readonly string[];
  readonly ports: readonly { readonly name: string; readonly containerPort: number }[];
  readonly lifecycle: { readonly preStop: { readonly exec: { readonly command: readonly string[] } } };
  readonly startupProbe: Probe;
  readonly livenessProbe: Probe;
  readonly readinessProbe: Probe;
}
interface Document {
  readonly kind: string;
  readonly spec: {
    readonly replicas: number;
    readonly template: {
      readonly spec: {
        readonly terminationGracePeriodSeconds: number;
        readonly initContainers?: readonly Container[];
        readonly containers: readonly [Container];
      };
    };
  };
}
const documentsIn = (name: string): Document[] =>
  parseAllDocuments(read(name)).map((document) => {
    expect(document.errors).toEqual([]);
    return document.toJS() as Document;
  });
const DOCUMENTS = documentsIn('kubernetes.yaml');
const PATHS = [...readFileSync(join(FOLDER, '../../docs/operations/watching.md'), 'utf8').matchAll(/^\| `(\/[a-z/]+)` \|/gm)].map(
  ([, path]) => path,
);

/** The value of `--grace-ms`; throws on an option that `txbox relay start` does not have. */
function graceMsOf(args: readonly string[]): number {
  expect(args.slice(0, 2)).toEqual(START?.path);
  const { values } = parseArgs({ args: args.slice(2), options: START?.options ?? {} });
  return Number(values['grace-ms']);
}

function preStopMsOf(container: Container | undefined): number {
  return Number(/(\d+)\)$/.exec(container?.lifecycle.preStop.exec.command.at(-1) ?? '')?.[1]);
}

it('the configuration is one, with everything from the environment', async () => {
  vi.stubEnv('DATABASE_URL', 'mysql://orders:secret@db/orders');
  vi.stubEnv('KAFKA_BROKERS', 'kafka-0:9092,kafka-1:9092');
  onTestFinished(() => void vi.unstubAllEnvs());
  const { default: config } = (await import(pathToFileURL(join(FOLDER, 'txbox.config.mjs')).href)) as { default: Record<string, unknown> };
  expect(config).toMatchObject({ database: { url: 'mysql://orders:secret@db/orders' }, http: { host: '0.0.0.0', port: PORT } });
  for (const { name, options } of sections) expect(examineOptions((config[name] ?? {}) as object, options).problems).toEqual([]);
});

it('the deployment has two relays that are asked and stopped as a relay expects', () => {
  const deployment = DOCUMENTS.find(({ kind }) => kind === 'Deployment')?.spec;
  expect(deployment?.replicas).toBe(2);
  const [container] = deployment?.template.spec.containers ?? [];
  const probes = [container?.startupProbe, container?.livenessProbe, container?.readinessProbe];
  expect(probes.map((probe) => probe?.httpGet)).toEqual(
    ['/health/live', '/health/live', '/health/ready'].map((path) => ({ path, port: 'http' })),
  );
  expect(PATHS).toEqual(expect.arrayContaining(['/health/live', '/health/ready', '/metrics']));
  expect(container?.ports).toEqual([{ name: 'http', containerPort: PORT }]);
  expect((deployment?.template.spec.terminationGracePeriodSeconds ?? 0) * 1_000).toBeGreaterThan(
    graceMsOf(container?.args ?? []) + preStopMsOf(container),
  );
});

it('the relay in the pods of a service is stopped after it, asked whether it lives, and never makes it unready', () => {
  const spec = documentsIn('kubernetes-pod.yaml')[0]?.spec;
  expect(spec?.replicas).toBe(2);
  const [relay] = spec?.template.spec.initContainers ?? [];
  expect(relay?.restartPolicy).toBe('Always');
  expect(relay).not.toHaveProperty('readinessProbe');
  const live = { path: '/health/live', port: 'http-relay' };
  expect([relay?.startupProbe.httpGet, relay?.livenessProbe.httpGet]).toEqual([live, live]);
  expect(relay?.ports).toEqual([{ name: 'http-relay', containerPort: PORT }]);
  const graceMs = (spec?.template.spec.terminationGracePeriodSeconds ?? 0) * 1_000;
  expect(graceMs).toBeGreaterThan(graceMsOf(relay?.args ?? []) + preStopMsOf(relay));
});

it('Compose waits longer than the relay, and asks whether it lives', () => {
  const { relay } = (parse(read('compose.yaml'), { merge: true }) as { services: Record<string, Record<string, unknown>> }).services;
  expect(Number.parseInt(String(relay?.['stop_grace_period']), 10) * 1_000).toBeGreaterThan(graceMsOf(relay?.['command'] as string[]));
  expect(JSON.stringify(relay?.['healthcheck'])).toContain(`http://127.0.0.1:${PORT}/health/live`);
});

it('the image starts a relay that gets its signals itself', () => {
  const lineOf = (word: string): string[] =>
    JSON.parse(new RegExp(`^${word} (\\[.*\\])$`, 'm').exec(read('Dockerfile'))?.[1] ?? '[]') as string[];
  expect(lineOf('ENTRYPOINT')).toEqual(['node', 'node_modules/@txbox/cli/dist/bin.js']);
  expect(graceMsOf(lineOf('CMD'))).toBeGreaterThan(0);
});
