import { createSocket, type Socket } from 'node:dgram';
import { decodeWake, onLocalWake } from '@txbox/core/spi';

/** Where wake-ups from other processes are received. */
export interface WakeOptions {
  /** Address to listen on. Default `127.0.0.1`: wake-ups of the same host only. */
  readonly host?: string;
  /** UDP port, 0 = any free one. Default 0. */
  readonly port?: number;
  /** The name or address under which writers reach this relay. Default `host`. */
  readonly advertisedHost?: string;
}

/** Listens for wake-ups within this process and by UDP (P-W7). What arrives only hastens the next read. */
export class WakeListener {
  readonly #onWake: (shards: readonly number[]) => void;
  #socket: Socket | undefined;
  #endLocal: (() => void) | undefined;
  /** Where others send to, `undefined` while only this process can wake. */
  address: { readonly host: string; readonly port: number } | undefined;

  constructor(onWake: (shards: readonly number[]) => void) {
    this.#onWake = onWake;
  }

  /** Rejects when the address cannot be listened on. `false` = within this process only. */
  async start(options: WakeOptions | false): Promise<void> {
    this.#endLocal = onLocalWake(this.#onWake);
    if (options === false) return;
    const host = options.host ?? '127.0.0.1';
    const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4');
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject);
      socket.bind(options.port ?? 0, host, () => {
        socket.off('error', reject);
        resolve();
      });
    });
    // An error on a bound socket costs wake-ups, nothing else.
    socket.on('error', () => undefined);
    socket.on('message', (datagram) => {
      const shards = decodeWake(datagram);
      if (shards) this.#onWake(shards);
    });
    socket.unref();
    this.#socket = socket;
    this.address = { host: options.advertisedHost ?? host, port: socket.address().port };
  }

  stop(): void {
    this.#endLocal?.();
    this.#endLocal = undefined;
    const socket = this.#socket;
    this.#socket = undefined;
    socket?.close();
  }
}
