import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { openSync, rmSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Admin, Kafka, logLevel } from 'kafkajs';
import { onTestFinished } from 'vitest';

/** A node as `tools/services` describes it. */
interface ServiceNode {
  readonly folder: string;
  readonly portNames: readonly string[];
  prepare(ports: Ports): Promise<void>;
  command(): Promise<{ file: string; args: string[] }>;
  answers(ports: Ports): Promise<boolean>;
}

interface Service {
  readonly folder: string;
  install(): Promise<void>;
  readonly stages: readonly (readonly ServiceNode[])[];
  environment(ports: Ports): Readonly<Record<string, string>>;
}

type Ports = Record<string, number>;
type ServiceFactory = (
  name: string,
  version: string,
  options: { nodes?: number; proxied?: number; settings?: Readonly<Record<string, unknown>> },
) => Service;

const VERSION = '4.4.0';
const SERVICES = new URL('../../tools/services/kafka.mjs', import.meta.url).href;

/** How a test's own Kafka is made. */
interface OwnKafkaOptions {
  readonly nodes?: 1 | 3;
  /** Settings of the brokers in the place of those of the services. */
  readonly settings?: Readonly<Record<string, unknown>>;
}

/** Brokers of a test's own, which it may kill, start and starve; gone after the test with their data. */
export class OwnKafka {
  readonly brokers: string[];
  /** The listener that asks for a name and a password. */
  readonly sasl: { readonly brokers: string[]; readonly username: string; readonly password: string };
  readonly #nodes: readonly ServiceNode[];
  readonly #ports: Ports;
  readonly #children: (ChildProcess | undefined)[] = [];

  private constructor(nodes: readonly ServiceNode[], ports: Ports, environment: Readonly<Record<string, string>>) {
    this.#nodes = nodes;
    this.#ports = ports;
    const of = (suffix: string): string => Object.entries(environment).find(([name]) => name.endsWith(suffix))?.[1] ?? '';
    const [sasl, username, password] = ['_SASL_BROKERS', '_SASL_USER', '_SASL_PASSWORD'].map(of) as [string, string, string];
    this.sasl = { brokers: sasl.split(','), username, password };
    this.brokers = (environment[Object.keys(environment)[0] as string] as string).split(',');
  }

  static async start({ nodes = 1, settings = {} }: OwnKafkaOptions = {}, fileLimitMib?: number): Promise<OwnKafka> {
    const { kafka } = (await import(SERVICES)) as { kafka: ServiceFactory };
    const service = kafka(`own-kafka-${randomBytes(4).toString('hex')}`, VERSION, { nodes, proxied: 0, settings });
    await service.install();
    const [stage = []] = service.stages;
    const names = stage.flatMap((node) => node.portNames);
    const free = await freePorts(names.length);
    const ports = Object.fromEntries(names.map((name, index) => [name, free[index] as number]));
    const own = new OwnKafka(stage, ports, service.environment(ports));
    onTestFinished(async () => {
      await Promise.all(stage.map((_, node) => own.kill(node)));
      rmSync(service.folder, { recursive: true, force: true });
    });
    for (const node of stage) {
      await mkdir(node.folder, { recursive: true });
      await node.prepare(ports);
    }
    await Promise.all(stage.map((_, node) => own.run(node, fileLimitMib)));
    await own.ready();
    return own;
  }

  /** Begins a node. `fileLimitMib`: no file of it can grow larger, as on a disk that is full. */
  async run(node: number, fileLimitMib?: number): Promise<void> {
    const { folder, command } = this.#nodes[node] as ServiceNode;
    const { file, args } = await command();
    const log = openSync(join(folder, 'server.log'), 'a');
    const limited = fileLimitMib === undefined ? ['exec "$@"'] : [`ulimit -f ${fileLimitMib * 2_048}; exec "$@"`];
    this.#children[node] = spawn('sh', ['-c', ...limited, 'sh', file, ...args], { cwd: folder, stdio: ['ignore', log, log] });
  }

  /** Resolves when every node is known to the others and answers. */
  async ready(): Promise<void> {
    for (const [index, node] of this.#nodes.entries()) {
      while (!(await node.answers(this.#ports).catch(() => false))) {
        if (this.#children[index]?.exitCode !== null) throw new Error(`Node ${index + 1} ended before it was ready.`);
        await sleep(100);
      }
    }
  }

  /** SIGKILL; nothing if it does not run. */
  async kill(node: number): Promise<void> {
    const child = this.#children[node];
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const exit = once(child, 'exit');
    child.kill('SIGKILL');
    await exit;
  }

  /** Resolves when a node has ended by itself. */
  async ended(node: number): Promise<void> {
    const child = this.#children[node] as ChildProcess;
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  }

  /** A bare admin client; disconnected after the test. */
  async admin(): Promise<Admin> {
    const admin = new Kafka({ brokers: this.brokers, clientId: 'own', logLevel: logLevel.NOTHING, retry: { retries: 20 } }).admin();
    await admin.connect();
    onTestFinished(() => admin.disconnect());
    return admin;
  }
}

async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  const ports = await Promise.all(
    servers.map(async (server) => {
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      return (server.address() as { port: number }).port;
    }),
  );
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
