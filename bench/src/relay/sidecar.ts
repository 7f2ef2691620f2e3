import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { machineNow } from './contestant.ts';

/** What a sidecar is started with. */
export interface SidecarSettings {
  readonly databaseUrl: string;
  readonly brokers: readonly string[];
}

/** What its publisher tells of a request, before and after. */
export type SidecarNote =
  | { readonly number: number; readonly partition: number; readonly begunAt: number; readonly events: readonly string[] }
  | { readonly number: number; readonly answeredAt: number };

/** A request to the broker; times as `machineNow` has them. */
export interface SidecarRequest {
  readonly partition: number;
  readonly begunAt: number;
  /** The values of its records. */
  readonly events: readonly string[];
  /** Nothing when no answer came, or nobody was left to tell of it. */
  answeredAt?: number;
}

const PROGRAM = fileURLToPath(new URL('../../../packages/cli/dist/bin.js', import.meta.url));
const CONFIG = fileURLToPath(new URL('./sidecar.process.js', import.meta.url));
/** The last words that are shown when it ends by itself. */
const WORDS = 2_000;

/** `txbox relay start`, as operators run it. */
export class Sidecar implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #exit: Promise<unknown>;
  readonly requests: SidecarRequest[] = [];
  readonly #open: Map<number, SidecarRequest> = new Map();
  /** When it was last told to go on. */
  awokeAt: number | undefined;
  /** When it said that it runs. */
  readonly runsAt: Promise<number>;

  constructor(settings: SidecarSettings) {
    const child = fork(PROGRAM, ['relay', 'start', '--config', CONFIG], {
      env: { ...process.env, TXBOX_BENCH_SIDECAR: JSON.stringify(settings) },
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    this.#child = child;
    this.#exit = once(child, 'exit');
    child.on('message', (note) => this.#hear(note as SidecarNote));
    const runs = Promise.withResolvers<number>();
    let words = '';
    child.stderr?.on('data', (bytes: Buffer) => {
      words = (words + bytes.toString()).slice(-WORDS);
      if (words.includes('relay: running')) runs.resolve(machineNow());
    });
    void this.#exit.then(() => runs.reject(new Error(`The relay ended before it ran: ${words}`)));
    runs.promise.catch(() => undefined);
    this.runsAt = runs.promise;
  }

  /** When it was sent. */
  signal(signal: NodeJS.Signals): number {
    const at = machineNow();
    if (signal === 'SIGCONT') this.awokeAt = at;
    this.#child.kill(signal);
    return at;
  }

  /** Resolves when the process is gone. */
  async gone(): Promise<void> {
    await this.#exit;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#exit;
  }

  #hear(note: SidecarNote): void {
    if ('begunAt' in note) {
      const { number, ...request } = note;
      this.requests.push(request);
      this.#open.set(number, request);
      return;
    }
    const request = this.#open.get(note.number);
    if (request) request.answeredAt = note.answeredAt;
    this.#open.delete(note.number);
  }
}
