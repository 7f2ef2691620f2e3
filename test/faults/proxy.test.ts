import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import { FaultProxy } from './proxy.ts';

/** A server that sends back what it gets. */
async function echo(): Promise<{ server: Server; sockets: Set<Socket>; address: string }> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => sockets.delete(socket));
    socket.pipe(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { server, sockets, address: `127.0.0.1:${(server.address() as AddressInfo).port}` };
}

async function start(): Promise<{ proxy: FaultProxy; sockets: Set<Socket> }> {
  const { address, sockets } = await echo();
  const proxy = await FaultProxy.start({ target: address });
  onTestFinished(async () => await proxy.close());
  return { proxy, sockets };
}

class Client {
  readonly socket: Socket;
  received = '';
  readonly closed: Promise<void>;

  constructor(port: number) {
    this.socket = connect({ host: '127.0.0.1', port });
    this.socket.on('data', (bytes) => {
      this.received += bytes.toString();
    });
    this.socket.on('error', () => undefined);
    this.closed = new Promise((resolve) => this.socket.once('close', () => resolve()));
    onTestFinished(() => {
      this.socket.destroy();
    });
  }

  async got(text: string): Promise<void> {
    await expect.poll(() => this.received, { interval: 2 }).toBe(text);
  }
}

it('forwards both ways and counts', async () => {
  const { proxy } = await start();
  const client = new Client(proxy.port);
  client.socket.write('hello');
  await client.got('hello');
  expect(proxy.statistics).toEqual({ accepted: 1, open: 1, cut: 0, bytes: { 'to-server': 5, 'to-client': 5 } });
});

it('delays, and keeps the order', async () => {
  const { proxy } = await start();
  const client = new Client(proxy.port);
  proxy.delay(40);
  const began = performance.now();
  for (const letter of 'abcdef') client.socket.write(letter);
  await client.got('abcdef');
  expect(performance.now() - began).toBeGreaterThanOrEqual(79);
});

it('cuts what is open and accepts anew', async () => {
  const { proxy, sockets } = await start();
  const client = new Client(proxy.port);
  client.socket.write('a');
  await client.got('a');
  proxy.cut();
  await client.closed;
  await expect.poll(() => sockets.size).toBe(0);
  const next = new Client(proxy.port);
  next.socket.write('b');
  await next.got('b');
  expect(proxy.statistics).toMatchObject({ accepted: 2, open: 1, cut: 1 });
});

it('stays silent on connections old and new until it is healed', async () => {
  const { proxy } = await start();
  const old = new Client(proxy.port);
  old.socket.write('a');
  await old.got('a');
  proxy.halfOpen();
  old.socket.write('lost');
  const fresh = new Client(proxy.port);
  fresh.socket.write('lost');
  await expect.poll(() => proxy.statistics.accepted).toBe(2);
  await new Promise((resolve) => setTimeout(resolve, 60));
  expect([old.socket.destroyed, fresh.socket.destroyed, old.received, fresh.received]).toEqual([false, false, 'a', '']);
  await proxy.heal();
  await Promise.all([old.closed, fresh.closed]);
  const next = new Client(proxy.port);
  next.socket.write('b');
  await next.got('b');
});

it('keeps the client of a server that went away in silence', async () => {
  const { proxy, sockets } = await start();
  const client = new Client(proxy.port);
  client.socket.write('a');
  await client.got('a');
  proxy.halfOpen();
  for (const socket of sockets) socket.destroy();
  await expect.poll(() => sockets.size).toBe(0);
  await new Promise((resolve) => setTimeout(resolve, 30));
  expect(client.socket.destroyed).toBe(false);
});

it('cuts after so many bytes of one direction', async () => {
  const { proxy } = await start();
  const client = new Client(proxy.port);
  client.socket.write('a');
  await client.got('a');
  proxy.dropAfterBytes(3, 'to-client');
  client.socket.write('bcdef');
  await client.closed;
  expect(client.received).toBe('abcd');
  const next = new Client(proxy.port);
  next.socket.write('12345');
  await next.closed;
  expect(next.received).toBe('123');
});

it('refuses new connections and keeps old ones until it is healed', async () => {
  const { proxy } = await start();
  const old = new Client(proxy.port);
  old.socket.write('a');
  await old.got('a');
  await proxy.refuse();
  const refused = connect({ host: '127.0.0.1', port: proxy.port });
  const error = await new Promise((resolve) => refused.once('error', resolve));
  expect(error).toMatchObject({ code: 'ECONNREFUSED' });
  old.socket.write('b');
  await old.got('ab');
  await proxy.heal();
  const next = new Client(proxy.port);
  next.socket.write('c');
  await next.got('c');
});

it('leaves nothing when it is closed', async () => {
  const { proxy, sockets } = await start();
  const client = new Client(proxy.port);
  client.socket.write('a');
  await client.got('a');
  await proxy.close();
  await client.closed;
  await expect.poll(() => sockets.size).toBe(0);
  expect(proxy.statistics.open).toBe(0);
  const refused = connect({ host: '127.0.0.1', port: proxy.port });
  expect(await new Promise((resolve) => refused.once('error', resolve))).toMatchObject({ code: 'ECONNREFUSED' });
});
