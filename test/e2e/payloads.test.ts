// Real documents, raw bytes of every value, empty and large payloads, odd keys: the whole way, unchanged.
import examples from '@octokit/webhooks-examples' with { type: 'json' };
import { defineEvent, jsonCodec, rawCodec } from '@txbox/core';
import type { HandlerContext } from '@txbox/inbox';
import { createRelay } from '@txbox/relay';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { embeddedStack, kafkaStack, type TestStack } from './stack.ts';
import type { LoggedRecord } from './topic-reader.ts';

const documents: readonly unknown[] = (examples as unknown as { examples: unknown[] }[]).flatMap((webhook) => webhook.examples);
const everyByte = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
const large = { text: 'ä😀"\\ '.repeat(74_000), list: Array.from({ length: 20_000 }, (_, n) => n) };
const oddKeys = [Buffer.from([0]), everyByte.subarray(0, 255), Buffer.from('ключ 🔑'), Buffer.from([0xff, 0xfe, 0x00]), Buffer.alloc(0)];
const rawPayloads = [everyByte, Buffer.alloc(0), Buffer.from([0, 0, 0]), Buffer.from('{"not":"parsed"}')];

interface Handled {
  readonly payload: unknown;
  readonly ctx: HandlerContext;
}

const stacks: readonly (readonly [name: string, make: () => Promise<TestStack>])[] = [
  ['SQLite and the embedded broker', () => embeddedStack(4)],
  ['MariaDB and Kafka', () => kafkaStack('TXBOX_TEST_MARIADB_URL', 'mariadb', 4)],
  ['MySQL 9 and Kafka', () => kafkaStack('TXBOX_TEST_MYSQL9_URL', 'mysql9', 4)],
];

describe.each(stacks)('payloads on %s', (_name, make) => {
  let stack: TestStack;
  let log: LoggedRecord[];
  const handled: Handled[] = [];

  beforeAll(async () => {
    stack = await make();
    const { topic } = stack;
    const Document = defineEvent('document.received', { topic, key: () => null as string | null });
    const Raw = defineEvent('raw.received', { topic, codec: rawCodec, key: () => null as Uint8Array | null });
    const handle = async (payload: unknown, ctx: HandlerContext): Promise<void> => {
      handled.push({ payload, ctx });
    };
    const inbox = stack.inbox('reader');
    inbox.on(Document, handle as never).on(Raw, handle as never);
    await inbox.migrate();
    const relay = createRelay({ database: { url: stack.databaseUrl }, publisher: stack.publisher() });
    await Promise.all([relay.start(), inbox.start()]);
    await stack.transaction((add) => {
      for (const [n, document] of documents.entries()) add(Document, document as never, { key: `d${n}` });
      add(Document, large as never, { key: 'large' });
    });
    await stack.transaction((add) => {
      for (const [n, raw] of rawPayloads.entries()) add(Raw, raw, { key: `r${n}` });
      for (const key of oddKeys) add(Raw, key, { key });
    });
    await relay.whenIdle();
    await inbox.whenCaughtUp();
    await relay.stop();
    await inbox.stop();
    log = await stack.readLog();
  }, 90_000);
  afterAll(() => stack?.dispose());

  const inLog = (key: string): Buffer | null | undefined => log.find((record) => record.key?.toString() === key)?.value;
  const inHandler = (key: string): Handled | undefined => handled.find(({ ctx }) => ctx.message.key?.toString() === key);

  it('bring every document to the topic and to the handler, byte for byte', () => {
    expect(documents.length).toBeGreaterThan(300);
    for (const [n, document] of documents.entries()) {
      const bytes = Buffer.from(jsonCodec.encode(document));
      expect(inLog(`d${n}`)?.equals(bytes)).toBe(true);
      expect(inHandler(`d${n}`)?.ctx.message.value?.equals(bytes)).toBe(true);
      expect(inHandler(`d${n}`)?.payload).toEqual(document);
    }
  });

  it('bring a document of more than 900 kB', () => {
    const bytes = Buffer.from(jsonCodec.encode(large));
    expect(bytes.length).toBeGreaterThan(900_000);
    expect(inLog('large')?.equals(bytes)).toBe(true);
    expect(inHandler('large')?.payload).toEqual(large);
  });

  it('bring raw bytes of every value, and an empty payload that is no tombstone', () => {
    for (const [n, raw] of rawPayloads.entries()) {
      expect(inLog(`r${n}`)).toEqual(raw);
      expect(Buffer.from(inHandler(`r${n}`)?.payload as Uint8Array)).toEqual(raw);
    }
  });

  it('bring keys with any bytes', () => {
    for (const key of oddKeys) {
      expect(log.filter((record) => record.key?.equals(key)).map(({ value }) => value)).toContainEqual(key);
      expect(
        handled.filter(({ ctx }) => ctx.message.key?.equals(key)).map(({ payload }) => Buffer.from(payload as Uint8Array)),
      ).toContainEqual(key);
    }
  });

  it('bring each message once', () => {
    const expected = documents.length + 1 + rawPayloads.length + oddKeys.length;
    expect(log).toHaveLength(expected);
    expect(handled).toHaveLength(expected);
    expect(new Set(handled.map(({ ctx }) => ctx.message.id)).size).toBe(expected);
  });
});
