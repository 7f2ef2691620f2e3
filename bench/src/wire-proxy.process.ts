// A proxy before a MySQL server in a process of its own: `node wire-proxy.process.js <host:port> <delay each way, ms>`.
// Says on which port it listens, and answers each question with the number of commands that passed so far.
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { CommandCounter } from './command-counter.ts';

const [target = '', delay = '0'] = process.argv.slice(2);
const [host = '', port = ''] = target.split(':');
const delayMs = Number(delay);

interface Passing {
  readonly dueAt: number;
  readonly to: Socket;
  readonly bytes: Buffer;
}

/** Longest sleep in one piece: what arrives meanwhile is noticed this much later. */
const SLICE_MS = 0.1;
const clock = new Int32Array(new SharedArrayBuffer(4));
const passing: Passing[] = [];
let pumping = false;
let commands = 0;

const server = createServer((client) => {
  const upstream = connect({ host, port: Number(port) });
  const counter = new CommandCounter();
  client.setNoDelay(true);
  upstream.setNoDelay(true);
  client.on('data', (bytes: Buffer) => {
    commands += counter.count(bytes);
    pass(upstream, bytes);
  });
  upstream.on('data', (bytes: Buffer) => pass(client, bytes));
  for (const [socket, other] of [
    [client, upstream],
    [upstream, client],
  ] as const) {
    socket.on('error', () => undefined);
    socket.once('close', () => other.destroy());
  }
});

process.on('message', (question) => {
  if (question === 'close') process.exit();
  process.send?.(commands);
});
server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port));

function pass(to: Socket, bytes: Buffer): void {
  if (delayMs === 0) {
    to.write(bytes);
    return;
  }
  passing.push({ dueAt: performance.now() + delayMs, to, bytes });
  if (pumping) return;
  pumping = true;
  pump();
}

/** Node's timers count in milliseconds, too coarse for a network; waiting for a lock that is never given does not. */
function pump(): void {
  while (passing[0] && passing[0].dueAt <= performance.now()) {
    const { to, bytes } = passing.shift() as Passing;
    to.write(bytes);
  }
  pumping = passing[0] !== undefined;
  if (!passing[0]) return;
  Atomics.wait(clock, 0, 0, Math.max(0, Math.min(SLICE_MS, passing[0].dueAt - performance.now())));
  setImmediate(pump);
}
