import { ChildProcessHandle } from '../child-process.ts';
import type { ContestantSettings, PageReads } from './contestant.ts';
import type { DrainSample } from './drain-sample.ts';

/** What a contestant's process is told. */
export type Order =
  | { readonly do: 'drain'; readonly rows: number; readonly memory?: boolean }
  | { readonly do: 'drained'; readonly rows: number }
  | { readonly do: 'begin' | 'end' | 'cpu' | 'send one' | 'acknowledged at' | 'page reads' };

/** A contestant in its process. */
export class ContestantProcess implements AsyncDisposable {
  readonly settings: ContestantSettings;
  readonly #child: ChildProcessHandle;

  private constructor(settings: ContestantSettings, child: ChildProcessHandle) {
    this.settings = settings;
    this.#child = child;
  }

  static async start(settings: ContestantSettings): Promise<ContestantProcess> {
    const file = new URL('./contestant.process.js', import.meta.url);
    return new ContestantProcess(settings, await ChildProcessHandle.start(file, [JSON.stringify(settings)]));
  }

  /** Publishes a backlog of so many events from begin to end. */
  async drain(rows: number, { memory = false }: { readonly memory?: boolean } = {}): Promise<DrainSample> {
    return (await this.#ask({ do: 'drain', rows, memory })) as DrainSample;
  }

  /** Publishes whatever there is, until `end`. */
  async begin(): Promise<void> {
    await this.#ask({ do: 'begin' });
  }

  /** Resolves when so many events, since it began, are done with. */
  async drained(rows: number): Promise<void> {
    await this.#ask({ do: 'drained', rows });
  }

  /** CPU time of its process so far, milliseconds. */
  async cpuMs(): Promise<number> {
    return (await this.#ask({ do: 'cpu' })) as number;
  }

  async end(): Promise<void> {
    await this.#ask({ do: 'end' });
  }

  async sendOne(): Promise<number> {
    return (await this.#ask({ do: 'send one' })) as number;
  }

  async acknowledgedAt(): Promise<number[]> {
    return (await this.#ask({ do: 'acknowledged at' })) as number[];
  }

  async pageReads(): Promise<PageReads> {
    return (await this.#ask({ do: 'page reads' })) as PageReads;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child.close();
  }

  #ask(order: Order): Promise<unknown> {
    return this.#child.ask(order);
  }
}
