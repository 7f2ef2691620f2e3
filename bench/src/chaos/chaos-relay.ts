import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

/** What a relay's process is told first. */
export interface ChaosRelayOptions {
  readonly url: string;
  readonly brokers: readonly string[];
  readonly leaseTtlMs: number;
}

/** What it tells. `lost`: a shard of it is another's. */
export type ChaosRelayNote = { readonly what: 'running'; readonly id: string } | { readonly what: 'alarm' | 'parked' | 'lost' };

/** What all relays of a run told together. */
export interface ChaosRelayCounts {
  alarm: number;
  parked: number;
  lost: number;
}

const PROGRAM = fileURLToPath(new URL('./chaos-relay.process.js', import.meta.url));

/** A relay in a process of its own. */
export class ChaosRelay implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #exit: Promise<unknown>;
  /** Its id in the table of leases. */
  readonly id: string;

  private constructor(child: ChildProcess, exit: Promise<unknown>, id: string) {
    this.#child = child;
    this.#exit = exit;
    this.id = id;
  }

  /** Resolves when it runs. Rejects when it ends instead. */
  static async start(options: ChaosRelayOptions, counts: ChaosRelayCounts): Promise<ChaosRelay> {
    // kafkajs sets itself timers in the past, and Node tells of each. What the relay logs of refused messages is wanted here.
    const child = fork(PROGRAM, { stdio: ['ignore', 'ignore', 'ignore', 'ipc'], execArgv: ['--disable-warning=TimeoutNegativeWarning'] });
    const exit = once(child, 'exit');
    const running = Promise.withResolvers<string>();
    child.on('message', (note: ChaosRelayNote) => {
      if (note.what === 'running') running.resolve(note.id);
      else counts[note.what] += 1;
    });
    void exit.then(([code]) => running.reject(new Error(`A relay ended with ${String(code)} before it ran.`)));
    child.send(options);
    return new ChaosRelay(child, exit, await running.promise);
  }

  pause(): void {
    this.#child.kill('SIGSTOP');
  }

  resume(): void {
    this.#child.kill('SIGCONT');
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#exit;
  }

  /** Gracefully. */
  async stop(): Promise<void> {
    this.#child.kill('SIGTERM');
    await this.#exit;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }
}
