import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** Which way bytes go. */
export type Direction = 'to-server' | 'to-client';

/** What a filter lets through: bytes, perhaps late; or the order to cut the connection. */
export type Passage = LatePassage | 'cut';

/** Bytes that pass, late or when something has happened. */
interface LatePassage {
  readonly bytes: Buffer;
  readonly delayMs?: number;
  readonly after?: Promise<unknown>;
  /** The client is cut off meanwhile, and the server does not hear of it: what was sent arrives all the same. */
  readonly orphaned?: boolean;
}

/** Looks at one direction of one connection. Whatever it keeps to itself it may give later. */
export type Filter = (bytes: Buffer) => Iterable<Passage>;

/** What a proxy has seen. */
export interface ProxyStatistics {
  /** Connections accepted so far. */
  readonly accepted: number;
  /** Connections open now. */
  readonly open: number;
  /** Connections the proxy itself destroyed. */
  readonly cut: number;
  /** Bytes forwarded. */
  readonly bytes: Readonly<Record<Direction, number>>;
}

/** Where a proxy listens and whom it stands for. */
export interface ProxyOptions {
  /** `host:port` of the server. */
  readonly target: string;
  /** Default: any free one. */
  readonly port?: number;
  /** Made for each connection: one filter for each direction. */
  readonly filters?: () => Readonly<Record<Direction, Filter>>;
}

/**
 * A TCP proxy on the loopback interface that can be told to misbehave. Faults add up until `heal`; `close` leaves neither
 * listener nor connection.
 */
export class FaultProxy {
  readonly #options: ProxyOptions;
  readonly #links: Set<Link> = new Set();
  #server: Server | undefined;
  #port = 0;
  #delayMs = 0;
  #silent = false;
  #limits: Partial<Record<Direction, number>> = {};
  #accepted = 0;
  #cut = 0;
  #bytes: Record<Direction, number> = { 'to-server': 0, 'to-client': 0 };

  private constructor(options: ProxyOptions) {
    this.#options = options;
  }

  /** Starts a proxy; it listens when this resolves. */
  static async start(options: ProxyOptions): Promise<FaultProxy> {
    const proxy = new FaultProxy(options);
    await proxy.#listen(options.port ?? 0);
    return proxy;
  }

  get port(): number {
    return this.#port;
  }

  /** `host:port`. */
  get address(): string {
    return `127.0.0.1:${this.#port}`;
  }

  get statistics(): ProxyStatistics {
    return { accepted: this.#accepted, open: this.#links.size, cut: this.#cut, bytes: { ...this.#bytes } };
  }

  /** Every byte comes this much later, both ways, in order. */
  delay(ms: number): void {
    this.#delayMs = ms;
  }

  /** Destroys all connections; new ones are accepted. */
  cut(): void {
    for (const link of this.#links) this.#cutLink(link);
  }

  /** Connections stay, new ones are accepted, and no byte passes any more: a peer that vanished without a word. */
  halfOpen(): void {
    this.#silent = true;
  }

  /** Each connection is cut after this many more bytes in one direction, also in the midst of a message. */
  dropAfterBytes(count: number, direction: Direction): void {
    this.#limits[direction] = count;
    for (const link of this.#links) link.left[direction] = count;
  }

  /** Nobody listens any more: new connections are refused, those that are open stay. */
  async refuse(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    // The callback would wait for the open connections; listening ends at once.
    server?.close();
    await new Promise((resolve) => setImmediate(resolve));
  }

  /** Ends all faults. Connections that lost bytes meanwhile are cut, since nothing can be made good on them. */
  async heal(): Promise<void> {
    this.#delayMs = 0;
    this.#silent = false;
    this.#limits = {};
    for (const link of this.#links) {
      link.left = {};
      if (link.lossy) this.#cutLink(link);
    }
    if (!this.#server) await this.#listen(this.#port);
  }

  async close(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    for (const link of this.#links) link.destroy();
    this.#links.clear();
    if (server) await new Promise<void>((resolve) => server.close(() => resolve()));
  }

  async #listen(port: number): Promise<void> {
    const server = createServer((client) => this.#accept(client));
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, '127.0.0.1', resolve);
    });
    this.#server = server;
    this.#port = (server.address() as AddressInfo).port;
  }

  #accept(client: Socket): void {
    this.#accepted += 1;
    const [host, port] = split(this.#options.target);
    const link = new Link(client, connect({ host, port }), { ...this.#limits });
    this.#links.add(link);
    link.onEnd = () => this.#links.delete(link);
    link.isSilent = () => this.#silent;
    const filters = this.#options.filters?.();
    this.#forward(link, 'to-server', link.client, link.server, filters?.['to-server']);
    this.#forward(link, 'to-client', link.server, link.client, filters?.['to-client']);
  }

  #forward(link: Link, direction: Direction, from: Socket, to: Socket, filter: Filter = pass): void {
    // One after another, so that a delay never changes the order.
    let last: Promise<void> = Promise.resolve();
    from.on('data', (bytes: Buffer) => {
      if (this.#silent) {
        link.lossy = true;
        return;
      }
      for (const passage of filter(bytes)) {
        const dueAt = performance.now() + (passage === 'cut' ? 0 : this.#delayMs + (passage.delayMs ?? 0));
        last = last.then(async () => {
          const waitMs = dueAt - performance.now();
          if (waitMs > 0) await sleep(Math.ceil(waitMs));
          if (passage === 'cut') {
            this.#cutLink(link);
            return;
          }
          if (passage.orphaned) link.orphan();
          await passage.after;
          await this.#write(link, direction, to, passage.bytes);
        });
      }
    });
  }

  async #write(link: Link, direction: Direction, to: Socket, bytes: Buffer): Promise<void> {
    if (!to.writable) return;
    if (this.#silent) {
      link.lossy = true;
      return;
    }
    const left = link.left[direction] ?? Number.POSITIVE_INFINITY;
    const passing = bytes.subarray(0, left);
    link.left[direction] = left - passing.length;
    this.#bytes[direction] += passing.length;
    const written = new Promise<void>((resolve) => to.write(passing, () => resolve()));
    if (passing.length === bytes.length && left > bytes.length) return await written;
    await written;
    this.#cutLink(link);
  }

  #cutLink(link: Link): void {
    if (!this.#links.has(link)) return;
    this.#cut += 1;
    link.destroy();
  }
}

/** One connection through the proxy: the client's half and the server's. */
class Link {
  readonly client: Socket;
  readonly server: Socket;
  /** Bytes that may still pass. */
  left: Partial<Record<Direction, number>>;
  /** Bytes were swallowed. */
  lossy = false;
  onEnd: () => void = () => undefined;
  isSilent: () => boolean = () => false;
  #orphaned = false;

  constructor(client: Socket, server: Socket, left: Partial<Record<Direction, number>>) {
    this.client = client;
    this.server = server;
    this.left = left;
    for (const socket of [client, server]) {
      socket.setNoDelay(true);
      socket.on('error', () => undefined);
      socket.once('close', () => {
        // The other side of a vanished peer does not hear of it.
        if (this.isSilent() && !this.client.destroyed) this.lossy = true;
        else if (!this.#orphaned || socket === server) this.destroy();
      });
    }
  }

  /** Only the server's half is left. */
  orphan(): void {
    this.#orphaned = true;
    this.client.destroy();
  }

  destroy(): void {
    this.client.destroy();
    this.server.destroy();
    this.onEnd();
  }
}

function* pass(bytes: Buffer): Generator<Passage> {
  yield { bytes };
}

function split(address: string): [host: string, port: number] {
  const colon = address.lastIndexOf(':');
  return [address.slice(0, colon), Number(address.slice(colon + 1))];
}
