import { type Codec, defineEvent, rawCodec, type TxboxError } from '@txbox/core';
import { decodeHeaders } from '@txbox/core/spi';
import type { RowDataPacket } from 'mysql2/promise';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { Placed } from './lane.ts';
import { SUBJECTS, type Subject } from './subject.ts';

const MAX_BYTES = 2_000;
const Raw = defineEvent('raw', { topic: 'orders', key: () => 'raw', codec: rawCodec as Codec<Uint8Array>, maxBytes: MAX_BYTES });
const noBytes: Codec<{ key: string | Uint8Array | null }> = {
  contentType: 'none',
  encode: () => new Uint8Array(0),
  decode: () => ({ key: null }),
};
const Keyed = defineEvent('keyed', { topic: 'orders', key: ({ key }: { key: string | Uint8Array | null }) => key, codec: noBytes });
const Loose = defineEvent('loose', { topic: 'orders', key: () => null });
const slowly = (validate: () => Promise<{ value: object }>) => ({ '~standard': { version: 1, vendor: 'test', validate } }) as const;

describe.each(SUBJECTS)('keys and payloads with %s', (_name, start) => {
  let subject: Subject;
  beforeAll(async () => {
    subject = await start({ outbox: { wake: false } });
  });
  afterAll(() => subject.close());
  beforeEach(() => subject.database.clear());

  async function rows(): Promise<RowDataPacket[]> {
    const [rows] = await subject.database.admin.query<RowDataPacket[]>('SELECT * FROM txbox_outbox ORDER BY position');
    return rows;
  }
  const keys = async (): Promise<unknown[]> => (await rows()).map((row) => row['message_key']);
  const payloads = async (): Promise<unknown[]> => (await rows()).map((row) => row['payload']);
  /** Neither the order nor the events of a transaction in which `work` throws. */
  async function refuses(work: (add: Subject['outbox']['add']) => unknown, error: object): Promise<TxboxError> {
    const placed = subject.outbox.transaction(async (tx) => {
      await subject.place('a');
      tx.add(Placed, { id: 'a' });
      work((...args) => tx.add(...args));
    });
    await expect(placed).rejects.toMatchObject(error);
    expect([await subject.database.orders(), await rows()]).toEqual([[], []]);
    return (await placed.catch((reason: TxboxError) => reason)) as TxboxError;
  }

  describe('a payload', () => {
    it('may have no bytes, which is no tombstone', async () => {
      await subject.outbox.transaction(async (tx) => void tx.add(Raw, Buffer.alloc(0)));
      expect(await payloads()).toEqual([Buffer.alloc(0)]);
    });

    it('may be as large as its limit, and not one byte larger', async () => {
      const { details } = await refuses((add) => add(Raw, Buffer.alloc(MAX_BYTES)), { code: 'MESSAGE_TOO_LARGE' });
      const left = 2 * MAX_BYTES - (details['bytes'] as number);
      await refuses((add) => add(Raw, Buffer.alloc(left + 1)), { code: 'MESSAGE_TOO_LARGE', details: { bytes: MAX_BYTES + 1 } });
      const largest = Buffer.alloc(left, 0xff);
      await subject.outbox.transaction(async (tx) => void tx.add(Raw, largest));
      expect(await rows()).toMatchObject([{ payload: largest, bytes: MAX_BYTES }]);
    });

    it('of any bytes arrives as it is', async () => {
      const every = Buffer.from(Array.from({ length: 512 }, (_, n) => n % 256));
      await subject.outbox.transaction(async (tx) => void tx.add(Raw, every));
      expect(await payloads()).toEqual([every]);
    });

    it('that is cyclic, deep down as well, is refused with its path', async () => {
      const cyclic = { items: [{ order: {} as Record<string, unknown> }] };
      cyclic.items[0]!.order['items'] = cyclic.items;
      await refuses((add) => add(Loose, cyclic), {
        code: 'PAYLOAD_NOT_ENCODABLE',
        message: expect.stringContaining('$.items[0].order.items is cyclic'),
      });
    });

    it('whose toJSON, getter or proxy throws is refused with what it throws', async () => {
      const thrown = new Error('not today');
      const fails = (): never => {
        throw thrown;
      };
      for (const hostile of [
        { toJSON: fails },
        { at: { toJSON: fails } },
        Object.defineProperty({}, 'id', { get: fails, enumerable: true }),
        new Proxy({}, { ownKeys: fails }),
      ]) {
        await refuses((add) => add(Loose, hostile), {
          code: 'PAYLOAD_NOT_ENCODABLE',
          message: expect.stringContaining('not today'),
          cause: thrown,
        });
      }
    });

    it('with keys that mean something to objects neither pollutes nor loses them', async () => {
      const text = '{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":2}},"hasOwnProperty":3,"toString":4,"toJSON":5}';
      const headers = JSON.parse('{"__proto__":"own","constructor":"c","toString":"t"}') as Record<string, string>;
      await subject.outbox.transaction(async (tx) => {
        tx.add(Loose, JSON.parse(text) as object, { headers });
        tx.add(Loose, [JSON.parse(text)]);
      });
      expect((await payloads()).map(String)).toEqual([text, `[${text}]`]);
      const stored = decodeHeaders((await rows())[0]?.['headers'] as Buffer).map(([name, value]) => [name, String(value)]);
      expect(stored).toEqual(expect.arrayContaining(Object.entries(headers)));
      expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
      const decoded = Loose.codec.decode(Buffer.from(text)) as object;
      expect([Object.getPrototypeOf(decoded), Object.keys(decoded)]).toEqual([Object.prototype, Object.keys(JSON.parse(text) as object)]);
    });

    it('with such keys is what its schema makes of it, and pollutes nothing on its way through', async () => {
      const hostile = '{"__proto__":{"polluted":1},"constructor":2,"items":{"constructor":3}}';
      const strict = defineEvent('strict', { topic: 'orders', schema: z.strictObject({ id: z.string() }), key: () => null });
      await refuses((add) => add(strict, JSON.parse(hostile) as never), {
        code: 'PAYLOAD_INVALID',
        message: expect.stringContaining('constructor'),
      });
      const schema = z.record(z.string(), z.unknown());
      const event = defineEvent('checked', { topic: 'orders', schema, key: () => null });
      await subject.outbox.transaction(async (tx) => void tx.add(event, JSON.parse(hostile) as never));
      expect((await payloads()).map(String)).toEqual([JSON.stringify(schema.parse(JSON.parse(hostile)))]);
      expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
    });

    it.each([
      ['answers', async () => ({ value: {} as object })],
      ['rejects', async () => Promise.reject(new Error('too late'))],
      ['never answers', () => new Promise<never>(() => undefined)],
    ])('is refused by an asynchronous validator, also when that %s', async (_what, validate) => {
      const event = defineEvent('slowly', { topic: 'orders', schema: slowly(validate), key: () => null });
      await refuses((add) => add(event, {}), { code: 'PAYLOAD_INVALID', message: expect.stringContaining('asynchronous') });
    });
  });

  describe('a key', () => {
    const every = Array.from({ length: 256 }, (_, n) => n);
    it.each<[string, readonly (string | Uint8Array | null)[]]>([
      ['of every byte', every.map((byte) => Uint8Array.of(byte))],
      ['of two bytes around every byte', every.map((byte) => Uint8Array.of(0x5c, byte))],
      ['of as many bytes as there can be', [Uint8Array.from(every.slice(0, 255)), Uint8Array.from(every.slice(1)), 'x'.repeat(255)]],
      ['of no bytes, and none', ['', new Uint8Array(0), null]],
      ['of text, quotes and escapes', ["it's", '"', '\\', "\\'; DROP TABLE orders; --", 'a\0b', '%_', '`']],
      ['of text of four bytes a character', ['😀', '𠮷'.repeat(63), 'é', '\u{10ffff}', 'e\u0301']],
      ['that differs in case, accents and trailing blanks', ['a', 'A', 'á', 'a ', 'a\0']],
    ])('%s arrives as it is, each its own', async (_what, all) => {
      await subject.outbox.transaction(async (tx) => {
        for (const key of all) tx.add(Keyed, { key });
      });
      expect(await keys()).toEqual(all.map((key) => (key === null ? null : Buffer.from(key as string))));
    });

    it.each<[string, unknown]>([
      ['of 256 bytes', new Uint8Array(256)],
      ['of 256 characters', 'x'.repeat(256)],
      ['of 64 characters of four bytes', '😀'.repeat(64)],
      ['that is a number', 7],
      ['that is an object', {}],
      ['that is an array of bytes', [1, 2]],
      ['that is a bigint', 7n],
    ])('%s is refused', async (_what, key) => {
      await refuses((add) => add(Placed, { id: 'a' }, { key: key as never }), { code: 'KEY_INVALID' });
    });

    it('that throws where it is made is refused with what it throws', async () => {
      const event = defineEvent('unkeyed', { topic: 'orders', key: (payload: { order?: { id: string } }) => payload.order!.id });
      await refuses((add) => add(event, {}), { code: 'KEY_INVALID', cause: expect.any(TypeError) });
    });
  });
});
