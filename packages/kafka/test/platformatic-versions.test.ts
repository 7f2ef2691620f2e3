import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import type { Publisher } from '@txbox/core/spi';
import { expect, it, onTestFinished } from 'vitest';
import { platformatic } from '../src/platformatic.ts';

const UNSUPPORTED_VERSION = 35;
const PRODUCE = 0;
const METADATA = 3;

/** A publisher whose broker answers the first question, for its versions, with these bytes behind the correlation id. */
async function publisherOf(answer: Buffer): Promise<Publisher> {
  const server = createServer((socket) => {
    socket.on('data', (request) => {
      const body = Buffer.concat([request.subarray(8, 12), answer]);
      const size = Buffer.alloc(4);
      size.writeInt32BE(body.length);
      socket.write(Buffer.concat([size, body]));
    });
    socket.on('error', () => undefined);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  const publisher = platformatic({ brokers: [`127.0.0.1:${(server.address() as AddressInfo).port}`] });
  onTestFinished(async () => await publisher.close());
  return publisher;
}

/** ApiVersions of version 3: error, then requests with the versions that the broker knows, then throttle time and tags. */
function versions(...ranges: readonly [number, number, number][]): Buffer {
  const entries = ranges.map((range) => Buffer.from([...range.flatMap((number) => [0, number]), 0]));
  return Buffer.concat([Buffer.from([0, 0, ranges.length + 1]), ...entries, Buffer.alloc(5)]);
}

/** As Kafka before 2.4 answers: in the oldest form, with an error and no requests. */
const BEFORE_2_4 = Buffer.from([0, UNSUPPORTED_VERSION, 0, 0, 0, 0]);

it.each([
  ['older than the client', BEFORE_2_4, 'older than Kafka 2.4'],
  ['too old in one request', versions([PRODUCE, 0, 2], [METADATA, 0, 5]), 'it offers versions 0 to 2 of Produce, the client knows 3 to 11'],
  ['too new in one request', versions([PRODUCE, 12, 13], [METADATA, 0, 13]), 'it offers versions 12 to 13 of Produce'],
  ['without one of the requests', versions([PRODUCE, 3, 11]), 'it offers versions none of Metadata'],
])('a broker that is %s is refused by name', async (_, answer, reason) => {
  const publisher = await publisherOf(answer);
  const failure = await publisher.connect().catch((error: unknown) => error);
  expect(failure).toMatchObject({ code: 'BROKER_UNSUPPORTED', retryable: false, message: expect.stringContaining(reason) });
  expect(String(failure)).toContain('@txbox/kafka/kafkajs');
  const publishing = publisher.publish({ topic: 'orders', partition: 0, records: [{ key: null, value: Buffer.from('x'), headers: [] }] });
  await expect(publishing).rejects.toMatchObject({ code: 'BROKER_UNSUPPORTED' });
});
