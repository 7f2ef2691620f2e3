import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { TxboxError } from '@txbox/core/spi';
import type { HttpOptions } from './http-options.ts';

/** What a path answers. */
export interface Answer {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
}

/** Where a server listens. */
export interface WatchAddress {
  readonly host: string;
  readonly port: number;
  /** Without a slash at the end. */
  readonly url: string;
}

/** Whoever connects has so long to say what it wants. */
const REQUEST_MS = 10_000;
/** Far more than probes and scrapes need. */
const MOST_CONNECTIONS = 100;
const JSON_TYPE = 'application/json; charset=utf-8';

/** An answer that is one JSON value. */
export function jsonAnswer(status: number, value: unknown): Answer {
  return { status, contentType: JSON_TYPE, body: `${JSON.stringify(value)}\n` };
}

/** Answers GET and HEAD of a few fixed paths; whatever else is asked changes nothing. */
export class WatchServer {
  readonly #server: Server;
  readonly #paths: ReadonlyMap<string, () => Answer | Promise<Answer>>;
  address: WatchAddress | undefined;

  constructor(paths: ReadonlyMap<string, () => Answer | Promise<Answer>>) {
    this.#paths = paths;
    this.#server = createServer({ requestTimeout: REQUEST_MS, headersTimeout: REQUEST_MS }, (request, response) => {
      void this.#serve(request, response);
    });
    this.#server.maxConnections = MOST_CONNECTIONS;
  }

  /** Rejects with `ADDRESS_UNAVAILABLE`. */
  async listen({ host, port }: Required<HttpOptions>): Promise<WatchAddress> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#server.once('error', reject);
    this.#server.listen(port, host, resolve);
    try {
      await promise;
    } catch (error) {
      throw new TxboxError(
        'ADDRESS_UNAVAILABLE',
        `The relay cannot be watched at ${host}:${port}: ${(error as Error).message}. Choose another http.host and http.port, or http: false.`,
        { cause: error, details: { host, port } },
      );
    }
    this.#server.off('error', reject);
    // A connection that breaks is its client's business.
    this.#server.on('error', () => undefined);
    const { port: given } = this.#server.address() as AddressInfo;
    this.address = { host, port: given, url: `http://${host.includes(':') ? `[${host}]` : host}:${given}` };
    return this.address;
  }

  /** Ends connections and resolves when nothing listens any more. */
  async close(): Promise<void> {
    if (!this.#server.listening) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#server.close(() => resolve());
    this.#server.closeAllConnections();
    await promise;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    // A body is not read, and its connection not used again.
    request.resume();
    const answer = await this.#answer(request);
    const { status, contentType, body } = answer;
    response.writeHead(status, {
      'content-type': contentType,
      'content-length': Buffer.byteLength(body),
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
      ...(status === 405 ? { allow: 'GET, HEAD' } : {}),
    });
    response.end(request.method === 'HEAD' ? undefined : body);
  }

  async #answer({ method, url = '' }: IncomingMessage): Promise<Answer> {
    const [path = ''] = url.split('?');
    const work = this.#paths.get(path);
    if (!work) return jsonAnswer(404, { error: 'not found', paths: [...this.#paths.keys()] });
    if (method !== 'GET' && method !== 'HEAD') return jsonAnswer(405, { error: 'only GET and HEAD' });
    try {
      return await work();
    } catch {
      return jsonAnswer(500, { error: 'failed' });
    }
  }
}
