import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { onTestFinished } from 'vitest';
import { BROKERS } from '../faults/kafka-cluster.ts';
import type { RelayProcessOptions } from './relay.process.ts';

const PROGRAM = new URL('./relay.process.ts', import.meta.url);

/** A relay in a process of its own. */
export class RelayProcess {
  readonly #child: ChildProcess;
  readonly #exited: Promise<unknown[]>;
  /** Order alarms that it raised. */
  alarms = 0;
  /** Shards that it found to be another's. */
  lost = 0;

  private constructor(child: ChildProcess) {
    this.#child = child;
    this.#exited = once(child, 'exit');
    child.on('message', (message) => {
      if (message === 'alarm') this.alarms += 1;
      else if (message === 'lost') this.lost += 1;
    });
  }

  /** Resolves when it runs; ended after the test at the latest. Rejects when it ends instead. */
  static async start(url: string, leaseTtlMs: number, archive: RelayProcessOptions['archive'] = false): Promise<RelayProcess> {
    const child = fork(PROGRAM, { execArgv: ['--conditions=@txbox/source'], stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
    const relay = new RelayProcess(child);
    onTestFinished(() => relay.kill());
    const running = Promise.withResolvers<void>();
    child.on('message', (message) => message === 'running' && running.resolve());
    void relay.#exited.then(([code]) => running.reject(new Error(`The relay ended with ${String(code)} before it ran.`)));
    child.send({ url, brokers: BROKERS, leaseTtlMs, archive } satisfies RelayProcessOptions);
    await running.promise;
    return relay;
  }

  /** The most physical memory that the process has had so far. */
  async mostResidentMib(): Promise<number> {
    const status = await readFile(`/proc/${this.#child.pid}/status`, 'utf8');
    return Math.round(Number(/VmHWM:\s*(\d+)/.exec(status)?.[1]) / 1_024);
  }

  /** SIGKILL. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#exited;
  }

  /** SIGSTOP. */
  pause(): void {
    this.#child.kill('SIGSTOP');
  }

  /** SIGCONT. */
  resume(): void {
    this.#child.kill('SIGCONT');
  }

  /** SIGTERM; resolves to the exit code. */
  async stop(): Promise<unknown> {
    this.#child.kill('SIGTERM');
    const [code] = await this.#exited;
    return code;
  }
}
