import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { openSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { text } from 'node:stream/consumers';
import type { Stack } from './stack.ts';

const HERE = import.meta.dirname;
const CLI = join(dirname(createRequire(import.meta.url).resolve('@txbox/cli/package.json')), 'dist/bin.js');

/** A process that is killed and started again while the demo runs. */
export class Service {
  #child: ChildProcess | undefined;
  readonly #start: () => ChildProcess;

  constructor(
    readonly name: 'relay' | 'consumer',
    start: () => ChildProcess,
  ) {
    this.#start = start;
  }

  start(): void {
    this.#child = this.#start();
  }

  /** SIGKILL, as a power cut would: nothing is flushed, nothing is released. */
  async kill(): Promise<void> {
    const child = this.#running();
    child.kill('SIGKILL');
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  }

  /** SIGTERM; throws when the process does not end well. */
  async stop(): Promise<void> {
    const child = this.#running();
    child.kill('SIGTERM');
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    // A process that has just been started and listens to no signal yet dies of it; it has not begun anything.
    if (child.signalCode === 'SIGTERM') return;
    if (child.exitCode !== 0) throw new Error(`the ${this.name} ended with ${child.exitCode ?? child.signalCode} after SIGTERM`);
  }

  /** Why the process is gone, or `undefined` while it runs. */
  get ended(): string | undefined {
    const child = this.#child;
    if (!child || (child.exitCode === null && child.signalCode === null)) return undefined;
    return `exit ${child.exitCode ?? child.signalCode}`;
  }

  #running(): ChildProcess {
    if (!this.#child) throw new Error(`the ${this.name} was not started`);
    return this.#child;
  }
}

/** The relay sidecar, by the real command. */
export function relayOf(stack: Stack): Service {
  return new Service('relay', () => node(stack, 'relay', [CLI, 'relay', 'start', '--config', stack.configPath]));
}

/** The billing service. */
export function billingOf(stack: Stack): Service {
  return new Service('consumer', () => node(stack, 'billing', [join(HERE, '../billing/main.js')]));
}

/** Runs `txbox migrate` for both databases. */
export async function migrate(stack: Stack): Promise<void> {
  const child = node(stack, 'migrate', [CLI, 'migrate', '--config', stack.configPath]);
  const [code] = (await once(child, 'exit')) as [number | null];
  if (code !== 0) throw new Error(`txbox migrate ended with ${code}; see ${join(stack.folder, 'migrate.log')}`);
}

/** An order service at work. */
export interface Placing {
  /** How many orders may have been placed by now; none at the start. */
  allow(count: number): void;
  /** The rest may be placed. */
  allowAll(): void;
  /** The number of deliberate rollbacks, once all orders are placed. */
  readonly rolledBack: Promise<number>;
}

/** Starts the order service. */
export function placeOrders(stack: Stack, args: readonly string[]): Placing {
  const child = node(stack, 'orders', [join(HERE, '../orders/main.js'), ...args], 'pipe');
  const { stdin, stdout } = child;
  if (!stdin || !stdout) throw new Error('the order service has no input or output');
  // A service that ended says so by its exit code.
  stdin.on('error', () => undefined);
  const end = async (): Promise<number> => {
    const [output, [code]] = await Promise.all([text(stdout), once(child, 'exit') as Promise<[number | null]>]);
    if (code !== 0) throw new Error(`the order service ended with ${code}; see ${join(stack.folder, 'orders.log')}`);
    return (JSON.parse(output) as { rolledBack: number }).rolledBack;
  };
  return { allow: (count) => stdin.write(`${count}\n`), allowAll: () => stdin.end(), rolledBack: end() };
}

const running = new Set<ChildProcess>();
let ending = false;

// Nothing outlives the demo, however it ends, unless it is killed itself.
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/** Kills every process of the demo; none is started any more. */
export async function endAll(): Promise<void> {
  ending = true;
  const gone = [...running].map((child) => once(child, 'exit'));
  for (const child of running) child.kill('SIGKILL');
  await Promise.all(gone);
}

function node(stack: Stack, name: string, args: readonly string[], ends: 'pipe' | 'log' = 'log'): ChildProcess {
  if (ending) throw new Error('the demo ends');
  const log = openSync(join(stack.folder, `${name}.log`), 'a');
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', ...args], {
    env: { ...process.env, TXBOX_DEMO_SETTINGS: stack.settingsPath, ORDERS_TOPIC: stack.settings.topic },
    stdio: [ends === 'pipe' ? 'pipe' : 'ignore', ends === 'pipe' ? 'pipe' : log, log],
  });
  running.add(child);
  child.once('exit', () => running.delete(child));
  return child;
}
