import { ChildProcessHandle } from './child-process.ts';

/** A proxy before a MySQL server: a network of some length, and a count of what passes. */
export class WireProxy implements AsyncDisposable {
  readonly #child: ChildProcessHandle;
  readonly #url: string;

  private constructor(child: ChildProcessHandle, url: string) {
    this.#child = child;
    this.#url = url;
  }

  /** Bytes come so much later, each way. */
  static async start(url: string, delayMs: number): Promise<WireProxy> {
    const { host } = new URL(url);
    const file = new URL('./wire-proxy.process.js', import.meta.url);
    return new WireProxy(await ChildProcessHandle.start(file, [host, String(delayMs)]), url);
  }

  /** The server behind the proxy. */
  get url(): string {
    return Object.assign(new URL(this.#url), { host: `127.0.0.1:${String(this.#child.greeting)}` }).href;
  }

  /** Commands sent so far, on all connections. */
  async commands(): Promise<number> {
    return (await this.#child.ask('count')) as number;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child.close();
  }
}
