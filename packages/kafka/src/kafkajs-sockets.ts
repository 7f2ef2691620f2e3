import { connect, isIP, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { ISocketFactory, ISocketFactoryArgs } from 'kafkajs';

const KEEP_ALIVE_MS = 30_000;

/**
 * The connections of one client, to be cut when it does not let go by itself: kafkajs waits for answers before it
 * disconnects, and the answer to a request to join a group may take as long as a whole session.
 */
export class Sockets {
  readonly #open: Set<Socket> = new Set();
  #cut = false;

  readonly factory: ISocketFactory = (args) => {
    if (this.#cut) throw new Error('Connections of this client have been cut.');
    const socket = open(args);
    this.#open.add(socket);
    socket.once('close', () => this.#open.delete(socket));
    return socket;
  };

  /** Ends all connections; there will be no others. */
  cut(): void {
    this.#cut = true;
    for (const socket of this.#open) socket.destroy();
  }
}

function open({ host, port, ssl, onConnect }: ISocketFactoryArgs): Socket {
  const name = isIP(host) === 0 ? { servername: host } : {};
  const socket = ssl ? connectTls({ host, port, ...name, ...ssl }, onConnect) : connect({ host, port }, onConnect);
  socket.setKeepAlive(true, KEEP_ALIVE_MS);
  return socket;
}
