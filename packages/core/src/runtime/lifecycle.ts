import { TxboxError } from './error.ts';

/** What is started and stopped. */
export interface LifecycleWork {
  /** Names the thing in errors. */
  readonly name: string;
  /** Resolves when it runs. `signal` is aborted when it is stopped meanwhile. */
  start(signal: AbortSignal): Promise<void>;
  /** Undoes whatever `start` did, also after a start that failed half-way. */
  stop(graceMs: number | undefined): Promise<void>;
}

/**
 * States and what moves between them:
 *
 * ```
 * idle ── start ──► starting ──► running ── stop ──► stopping ──► stopped
 *  │  ◄── failed ──────┘  └────────── stop ────────────┘             ▲
 *  └─────────────────────────── stop ────────────────────────────────┘
 * ```
 */
export type LifecycleState = 'idle' | 'starting' | 'running' | 'stopping' | 'stopped';

/**
 * Makes starting and stopping safe to call at any time: `start` again gives the same promise, and so does `stop`, which
 * may come before, during or after it. After `stop`, `start` rejects with `STOPPED`; after a failed start, it may be tried again.
 */
export class Lifecycle {
  readonly #work: LifecycleWork;
  readonly #stopping = new AbortController();
  #state: LifecycleState = 'idle';
  #started: Promise<void> | undefined;
  #stopped: Promise<void> | undefined;

  constructor(work: LifecycleWork) {
    this.#work = work;
  }

  get state(): LifecycleState {
    return this.#state;
  }

  /** Aborted by `stop`. */
  get signal(): AbortSignal {
    return this.#stopping.signal;
  }

  start(): Promise<void> {
    if (this.#stopped) return Promise.reject(new TxboxError('STOPPED', `${this.#work.name} was stopped; create a new one to start again.`));
    this.#started ??= this.#runStart();
    return this.#started;
  }

  /** `graceMs`: how long to wait for what is in flight; the first call's counts. */
  stop(graceMs?: number): Promise<void> {
    this.#stopped ??= this.#runStop(graceMs);
    return this.#stopped;
  }

  async #runStart(): Promise<void> {
    this.#state = 'starting';
    try {
      await this.#work.start(this.#stopping.signal);
    } catch (error) {
      if (this.#stopped) throw error;
      await this.#cleanUp(error);
      if (!this.#stopped) this.#state = 'idle';
      this.#started = undefined;
      throw error;
    }
    if (this.#stopped) throw new TxboxError('STOPPED', `${this.#work.name} was stopped while it started.`);
    this.#state = 'running';
  }

  async #cleanUp(error: unknown): Promise<void> {
    try {
      await this.#work.stop(0);
    } catch (other) {
      throw new AggregateError([error, other], `${this.#work.name} could not be started, nor cleaned up afterwards.`);
    }
  }

  async #runStop(graceMs: number | undefined): Promise<void> {
    const started = this.#started;
    this.#stopping.abort();
    this.#state = started ? 'stopping' : 'stopped';
    if (!started) return;
    try {
      // Whoever called `start` hears of its failure; here only its end matters.
      await started.catch(() => undefined);
      await this.#work.stop(graceMs);
    } finally {
      this.#state = 'stopped';
    }
  }
}
