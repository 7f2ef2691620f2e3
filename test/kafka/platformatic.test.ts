import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { platformatic } from '@txbox/kafka/platformatic';
import { expect, it, onTestFinished } from 'vitest';
import { readLog } from '../conformance/kafka-log.ts';
import { BROKERS, newTopic } from './broker.ts';

/** Accepts connections and says nothing. */
async function silentBroker(): Promise<string> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => sockets.add(socket.on('error', () => undefined).resume())).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

it('sends nothing after the time within which it says that it sends', async () => {
  const topic = await newTopic();
  const silent = await silentBroker();
  // Three that do not answer take longer than one connection and one request.
  const brokers = [silent, silent, silent, ...BROKERS];
  const publisher = platformatic({ brokers, connectionTimeoutMs: 600, requestTimeoutMs: 600 });
  onTestFinished(async () => await publisher.close());
  const publish = async (value: string): Promise<unknown> =>
    await publisher.publish({ topic, partition: 0, records: [{ key: null, value: Buffer.from(value), headers: [] }] });
  const failure = await publish('late').catch((error: unknown) => error);
  expect(failure).toMatchObject({ code: 'BROKER_UNAVAILABLE', message: expect.stringContaining('not reached in time') });
  expect(publisher.classify(failure)).toBe('transient');
  // By then it has found the broker that answers, and stays with it.
  await expect.poll(async () => await publish('in time').catch(() => undefined)).toMatchObject({ topic, partition: 0 });
  const log = await readLog(BROKERS[0] as string, topic, 1);
  expect(log.map(({ value }) => String(value))).not.toContain('late');
});
