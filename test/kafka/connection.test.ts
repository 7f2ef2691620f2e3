import { readFileSync } from 'node:fs';
import type { Logger } from '@txbox/core/spi';
import type { KafkaConnectionOptions } from '@txbox/kafka';
import { kafkajs } from '@txbox/kafka/kafkajs';
import { platformatic } from '@txbox/kafka/platformatic';
import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { backendUrl } from '../conformance/backend-url.ts';
import { BROKERS, consume, fill, newSource, newTopic, PATIENCE } from './broker.ts';

const of = (variable: string): string => backendUrl(variable, 'kafka');
const username = of('TXBOX_TEST_KAFKA_SASL_USER');
const password = of('TXBOX_TEST_KAFKA_SASL_PASSWORD');

const MECHANISMS = ['plain', 'scram-sha-256', 'scram-sha-512'] as const;
const PUBLISHERS = [
  ['kafkajs', kafkajs],
  ['platformatic', platformatic],
] as const;
const ssl = { ca: [readFileSync(of('TXBOX_TEST_KAFKA_SSL_CA'), 'utf8')] };

afterEach(() => {
  vi.restoreAllMocks();
});

describe.each(PUBLISHERS)('a connection of %s', (_, newPublisher) => {
  /** Publishes and reads back over connections of this kind. */
  async function roundTrip(options: KafkaConnectionOptions): Promise<void> {
    const topic = await newTopic();
    await fill(topic, ['a', 'b'], 0, newPublisher(options));
    const { values } = await consume(newSource(options), `group-${topic}`, [topic]);
    await expect.poll(() => values(), PATIENCE).toEqual(['a', 'b']);
  }

  it.each(MECHANISMS)('proves itself by SASL %s', async (mechanism) => {
    await roundTrip({ brokers: of('TXBOX_TEST_KAFKA_SASL_BROKERS').split(','), sasl: { mechanism, username, password } });
  });

  it('is encrypted, with SASL inside', async () => {
    const brokers = of('TXBOX_TEST_KAFKA_SSL_BROKERS').split(',');
    await roundTrip({ brokers, ssl, sasl: { mechanism: 'plain', username, password } });
  });

  it('refuses a certificate of an unknown authority', async () => {
    const publisher = newPublisher({ brokers: of('TXBOX_TEST_KAFKA_SSL_BROKERS').split(','), ssl: true });
    onTestFinished(async () => await publisher.close());
    await expect(publisher.connect()).rejects.toMatchObject({ code: 'BROKER_UNAVAILABLE', message: expect.stringMatching(/certificate/) });
  });

  it('is told which brokers were asked, and what to look at, when SASL is wanted and not given', async () => {
    const brokers = of('TXBOX_TEST_KAFKA_SASL_BROKERS').split(',');
    const publisher = newPublisher({ brokers });
    onTestFinished(async () => await publisher.close());
    const message = expect.stringMatching(new RegExp(`^No broker answers at ${brokers.join(', ')} .*sasl`));
    await expect(publisher.connect()).rejects.toMatchObject({ code: 'BROKER_UNAVAILABLE', message });
  });

  it.each(MECHANISMS)('with a wrong password is BROKER_UNAVAILABLE and tells nobody the password (%s)', async (mechanism) => {
    const lines: unknown[] = [];
    const note = (fields: object, message: string): void => void lines.push([fields, message]);
    const logger: Logger = { debug: note, info: note, warn: note, error: note };
    const sasl = { mechanism, username, password: 'hunter2hunter2' };
    const publisher = newPublisher({ brokers: of('TXBOX_TEST_KAFKA_SASL_BROKERS').split(','), sasl, logger });
    onTestFinished(async () => await publisher.close());
    const failure = await publisher.connect().catch((error: unknown) => error as Error & { cause?: Error });
    expect(failure).toMatchObject({ code: 'BROKER_UNAVAILABLE', message: expect.stringMatching(/SASL/) });
    expect(lines.length).toBeGreaterThan(0);
    expect(JSON.stringify([lines, failure?.message, String((failure as { cause?: unknown }).cause)])).not.toContain('hunter2');
  });
});

describe('a client', () => {
  it('writes its log lines to the logger, and nothing to the console', async () => {
    const written = [vi.spyOn(console, 'log'), vi.spyOn(console, 'info'), vi.spyOn(console, 'warn'), vi.spyOn(console, 'error')];
    const warn = vi.fn<Logger['warn']>();
    const logger: Logger = { debug: () => undefined, info: () => undefined, warn, error: () => expect.fail('kafkajs decides nothing') };
    const topic = await newTopic();
    const publisher = kafkajs({ brokers: BROKERS, logger });
    await expect(publisher.describeTopic(`${topic}-missing`)).rejects.toMatchObject({ code: 'TOPIC_MISSING' });
    await fill(topic, ['a'], 0, publisher);
    expect(warn).toHaveBeenCalled();
    for (const spy of written) expect(spy).not.toHaveBeenCalled();
  });

  it('that is idle sets no timers of a millisecond', async () => {
    const publisher = kafkajs({ brokers: BROKERS });
    onTestFinished(async () => await publisher.close());
    const topic = await newTopic();
    await publisher.connect();
    await publisher.publish({ topic, partition: 0, records: [{ key: null, value: Buffer.from('a'), headers: [] }] });
    const timers = vi.spyOn(globalThis, 'setTimeout');
    await new Promise((resolve) => setImmediate(resolve));
    const until = performance.now() + 200;
    while (performance.now() < until) await new Promise((resolve) => setImmediate(resolve));
    const short = timers.mock.calls.filter(([, delay]) => (delay ?? 0) <= 1);
    expect(short).toEqual([]);
  });
});
