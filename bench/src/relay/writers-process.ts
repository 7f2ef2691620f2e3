import { ChildProcessHandle } from '../child-process.ts';

/** Whose outbox the writers add to. */
export interface WritersSettings {
  readonly databaseUrl: string;
  readonly topic: string;
  readonly outbox: 'txbox' | 'polled';
}

/** What the writers saw. */
export interface WritersSample {
  /** Of transactions that committed, milliseconds. */
  readonly latencies: readonly number[];
  readonly deadlocks: number;
  readonly lockTimeouts: number;
}

/** Four writers of the usual transaction with one event, in a process of their own. */
export class WritersProcess implements AsyncDisposable {
  readonly #child: ChildProcessHandle;

  private constructor(child: ChildProcessHandle) {
    this.#child = child;
  }

  static async start(settings: WritersSettings): Promise<WritersProcess> {
    const file = new URL('./writers.process.js', import.meta.url);
    return new WritersProcess(await ChildProcessHandle.start(file, [JSON.stringify(settings)]));
  }

  /** What they saw while the work was done. */
  async during(work: () => Promise<unknown>): Promise<WritersSample> {
    await this.#child.ask('start');
    await work();
    return (await this.#child.ask('stop')) as WritersSample;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child.close();
  }
}
