import { describe, expect, it, vi } from 'vitest';
import { kafkajs } from '../src/kafkajs.ts';
import { platformatic } from '../src/platformatic.ts';

/** As Node fails to import a package that is not installed. */
const notInstalled = vi.hoisted(() => () => {
  throw Object.assign(new Error('Cannot find package'), { code: 'ERR_MODULE_NOT_FOUND' });
});
vi.mock('@platformatic/kafka', notInstalled);
vi.mock('@platformatic/wasm-utils', notInstalled);

const brokers = ['127.0.0.1:9'];
const request = { topic: 'orders', partition: 0, records: [{ key: null, value: Buffer.from('x'), headers: [] }] };

describe('a package that is not installed is named, with the way to install it', () => {
  it.each([
    ['the client', platformatic({ brokers }), '@platformatic/kafka', 'npm install @platformatic/kafka@2'],
    ['lz4 for kafkajs', kafkajs({ brokers, compression: 'lz4' }), '@platformatic/wasm-utils', 'npm install @platformatic/wasm-utils'],
    ['snappy for kafkajs', kafkajs({ brokers, compression: 'snappy' }), '@platformatic/wasm-utils', 'npm install @platformatic/wasm-utils'],
  ])('%s', async (_, publisher, name, command) => {
    const missing = { code: 'DEPENDENCY_MISSING', retryable: false, message: expect.stringContaining(command), details: { package: name } };
    await expect(publisher.connect()).rejects.toMatchObject(missing);
    await expect(publisher.publish(request)).rejects.toMatchObject(missing);
    await publisher.close();
  });

  it('and not missed by who does not need it', async () => {
    const publisher = kafkajs({ brokers, compression: 'zstd', connectionTimeoutMs: 100 });
    await expect(publisher.connect()).rejects.toMatchObject({ code: 'BROKER_UNAVAILABLE' });
    await publisher.close();
  });
});
