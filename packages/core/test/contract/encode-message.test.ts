import type { StandardSchemaV1 } from '@standard-schema/spec';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { defineEvent, rawCodec } from '../../src/index.ts';
import {
  type AddOptions,
  decodeHeaders,
  decodeMessage,
  decodePayload,
  encodeMessage,
  HEADER,
  headerOf,
  type WireHeader,
} from '../../src/spi.ts';

const Paid = defineEvent('order.paid', {
  topic: 'orders',
  version: 3,
  schema: z.object({ id: z.string(), amount: z.string().default('0') }),
  key: (payload) => payload.id,
  aggregate: { type: 'order', id: (payload) => payload.id },
  headers: (payload) => ({ tenant: 'a', amount: payload.amount }),
  maxBytes: 2_000,
});
const Raw = defineEvent('blob', {
  topic: 'blobs',
  codec: rawCodec,
  key: (_payload: Uint8Array): string | Uint8Array | null => null,
  maxBytes: 2_000,
});

const refusal = (code: string) => expect.objectContaining({ code });
const textOf = (headers: readonly WireHeader[], name: string) => headerOf(headers, name)?.toString();
const deliver = (message: ReturnType<typeof encodeMessage>, headers: readonly WireHeader[] = decodeHeaders(message.headers)) => ({
  topic: message.topic,
  partition: 1,
  offset: 5n,
  key: message.key,
  value: message.payload as Buffer | null,
  headers,
  timestamp: 1_000,
});

describe('encodeMessage', () => {
  it('sends what the validator returns, with the key and the aggregate of it', () => {
    const message = encodeMessage(Paid, { id: 'o-1', secret: true });
    expect(message.payload.toString()).toBe('{"id":"o-1","amount":"0"}');
    expect(message).toMatchObject({ topic: 'orders', type: 'order.paid', aggregateType: 'order', aggregateId: 'o-1', sequence: null });
    expect(message.key?.toString()).toBe('o-1');
  });

  it('writes the headers of the wire', () => {
    const occurredAt = new Date('2026-01-02T03:04:05.678Z');
    const { id, ...message } = encodeMessage(Paid, { id: 'o-1' }, { occurredAt, headers: { tenant: 'b', bin: Buffer.from([0, 255]) } });
    const headers = decodeHeaders(message.headers);
    expect(headerOf(headers, HEADER.id)).toEqual(id);
    expect(id[6]! >> 4).toBe(7);
    expect(textOf(headers, HEADER.type)).toBe('order.paid');
    expect(textOf(headers, HEADER.version)).toBe('3');
    expect(textOf(headers, HEADER.contentType)).toBe('application/json');
    expect(textOf(headers, HEADER.aggregateType)).toBe('order');
    expect(textOf(headers, HEADER.aggregateId)).toBe('o-1');
    expect(textOf(headers, HEADER.occurredAt)).toBe('2026-01-02T03:04:05.678Z');
    expect(textOf(headers, 'tenant')).toBe('b');
    expect(textOf(headers, 'amount')).toBe('0');
    expect(headerOf(headers, 'bin')).toEqual(Buffer.from([0, 255]));
  });

  it('writes the same headers whatever the events before it had, and whatever event is encoded meanwhile', () => {
    const Nosy = defineEvent('nosy', {
      topic: 'orders',
      key: () => null,
      headers: () => {
        encodeMessage(Paid, { id: 'inner' }, { headers: { tenant: 'x'.repeat(1_500) } });
        return { own: 'ö'.repeat(40) };
      },
    });
    const options = { id: '0190a0b0-0000-7000-8000-000000000001', occurredAt: new Date(0), correlationId: 'c'.repeat(200) };
    const first = encodeMessage(Nosy, {}, options).headers;
    expect(() => encodeMessage(Raw, Buffer.alloc(0), { headers: { n: 'x'.repeat(500_000) } })).toThrow(refusal('HEADER_INVALID'));
    expect(encodeMessage(Nosy, {}, options).headers).toEqual(first);
    const headers = decodeHeaders(first);
    expect([headers.length, textOf(headers, 'own'), textOf(headers, HEADER.correlationId)]).toEqual([7, 'ö'.repeat(40), 'c'.repeat(200)]);
  });

  it('takes id and key from the options', () => {
    const message = encodeMessage(Paid, { id: 'o-1' }, { id: '0190A0B0-0000-7000-8000-000000000001', key: null });
    expect(message.id.toString('hex')).toBe('0190a0b0000070008000000000000001');
    expect(message.key).toBeNull();
    expect(encodeMessage(Paid, { id: 'o-1' }, { key: new Uint8Array([0, 255]) }).key).toEqual(Buffer.from([0, 255]));
    expect(encodeMessage(Paid, { id: 'o-1' }, { key: '' }).key).toEqual(Buffer.alloc(0));
  });

  it('copies the bytes it is given', () => {
    const payload = Buffer.from('abc');
    const message = encodeMessage(Raw, payload, { key: payload });
    payload.fill(0);
    expect(message.payload.toString()).toBe('abc');
    expect(message.key?.toString()).toBe('abc');
  });

  it.each<[string, unknown, AddOptions, string]>([
    ['a payload that is not valid', { id: 1 }, {}, 'PAYLOAD_INVALID'],
    ['a key that is too long', { id: 'o' }, { key: 'ü'.repeat(128) }, 'KEY_INVALID'],
    ['a key that is no key', { id: 'o' }, { key: 1 as never }, 'KEY_INVALID'],
    ['an id that is none', { id: 'o' }, { id: 'abc' }, 'MESSAGE_ID_INVALID'],
    ['an object as id', { id: 'o' }, { id: { toString: () => 'abc' } as never }, 'MESSAGE_ID_INVALID'],
    ['an invalid time', { id: 'o' }, { occurredAt: new Date(Number.NaN) }, 'OPTIONS_INVALID'],
    ['an unknown option', { id: 'o' }, { colour: 1 } as AddOptions, 'OPTIONS_INVALID'],
    ['a header of ours', { id: 'o' }, { headers: { 'TxBox-id': 'x' } }, 'HEADER_INVALID'],
    ['a CloudEvents header', { id: 'o' }, { headers: { ce_id: 'x' } }, 'HEADER_INVALID'],
    ['a reserved header', { id: 'o' }, { headers: { 'Content-Type': 'x' } }, 'HEADER_INVALID'],
    ['a header without a name', { id: 'o' }, { headers: { '': 'x' } }, 'HEADER_INVALID'],
    ['a header that is a number', { id: 'o' }, { headers: { n: 1 as never } }, 'HEADER_INVALID'],
    ['headers that do not fit their column', { id: 'o' }, { headers: { n: 'x'.repeat(65_536) } }, 'HEADER_INVALID'],
    ['an aggregate id that does not fit', { id: 'x'.repeat(256) }, { key: null }, 'AGGREGATE_INVALID'],
    ['a message that is too large', { id: 'o', amount: 'x'.repeat(2_000) }, {}, 'MESSAGE_TOO_LARGE'],
  ])('refuses %s', (_case, payload, options, code) => {
    expect(() => encodeMessage(Paid, payload, options)).toThrow(refusal(code));
  });

  it('counts key, headers and payload towards the limit, exactly', () => {
    const size = (length: number) => encodeMessage(Raw, Buffer.alloc(length), { key: 'k' });
    const overhead =
      2_000 -
      [...Array(2_001).keys()].findLast((length) => {
        try {
          return size(length) !== undefined;
        } catch {
          return false;
        }
      })!;
    expect(size(2_000 - overhead).payload.length).toBe(2_000 - overhead);
    expect(() => size(2_001 - overhead)).toThrow('has 2001 bytes');
  });

  it('names the place of what cannot be encoded', () => {
    const Loose = defineEvent('loose', { topic: 't', key: (_payload: unknown) => null });
    expect(() => encodeMessage(Loose, { total: 1n })).toThrow('$.total is a bigint');
    expect(() => encodeMessage(Loose, undefined)).toThrow(refusal('PAYLOAD_NOT_ENCODABLE'));
    expect(() => encodeMessage(Raw, 'text')).toThrow(refusal('PAYLOAD_NOT_ENCODABLE'));
  });

  it('says which issue lies where, and that validators answer synchronously', () => {
    expect(() => encodeMessage(Paid, { id: 'o', amount: 5 })).toThrow('$.amount');
    const Slow = defineEvent('slow', { topic: 't', schema: z.string().refine(async () => true), key: () => null });
    expect(() => encodeMessage(Slow, 'x')).toThrow('synchronously');
    const rejecting: StandardSchemaV1<string> = {
      '~standard': { version: 1, vendor: 'test', validate: () => Promise.reject(new Error('late')) },
    };
    const Late = defineEvent('late', { topic: 't', schema: rejecting, key: () => null });
    expect(() => encodeMessage(Late, 'x')).toThrow(refusal('PAYLOAD_INVALID'));
  });

  it('reports a key function that throws or forgets to return', () => {
    const Broken = defineEvent('broken', { topic: 't', key: (payload: { id: string } | null) => payload!.id });
    expect(() => encodeMessage(Broken, null)).toThrow(refusal('KEY_INVALID'));
    expect(() => encodeMessage(Broken, {})).toThrow('got undefined');
  });
});

describe('decodeMessage', () => {
  it('gives back what was added', () => {
    const encoded = encodeMessage(Paid, { id: 'o-1' }, { id: '0190a0b0-0000-7000-8000-000000000001', occurredAt: new Date(42) });
    const message = decodeMessage(deliver(encoded));
    expect(message).toMatchObject({
      id: '0190a0b0-0000-7000-8000-000000000001',
      type: 'order.paid',
      version: 3,
      topic: 'orders',
      partition: 1,
      offset: 5n,
    });
    expect(message.occurredAt).toEqual(new Date(42));
    expect(decodePayload(Paid, message)).toEqual({ id: 'o-1', amount: '0' });
  });

  const encoded = encodeMessage(Paid, { id: 'o-1' });
  const without = (name: string) => decodeHeaders(encoded.headers).filter(([other]) => other !== name);
  const withValue = (name: string, value: string): WireHeader[] => [...without(name), [name, Buffer.from(value)]];

  it('calls a message without our id foreign', () => {
    expect(() => decodeMessage(deliver(encoded, without(HEADER.id)))).toThrow(refusal('MESSAGE_FOREIGN'));
    expect(() => decodeMessage(deliver(encoded, []))).toThrow(refusal('MESSAGE_FOREIGN'));
  });

  it.each([
    ['id', withValue(HEADER.id, 'short')],
    ['no type', without(HEADER.type)],
    ['an empty type', withValue(HEADER.type, '')],
    ['no version', without(HEADER.version)],
    ['version', withValue(HEADER.version, '1.5')],
    ['time', withValue(HEADER.occurredAt, 'yesterday')],
  ])('calls a message of ours with damaged headers unreadable: %s', (_case, headers) => {
    expect(() => decodeMessage(deliver(encoded, headers))).toThrow(refusal('MESSAGE_UNREADABLE'));
  });

  it('takes the time of the record when the producer named none', () => {
    expect(decodeMessage(deliver(encoded, without(HEADER.occurredAt))).occurredAt).toEqual(new Date(1_000));
  });

  it('tells an empty payload from a tombstone', () => {
    const raw = encodeMessage(Raw, Buffer.alloc(0));
    expect(decodePayload(Raw, decodeMessage(deliver(raw)))).toEqual(Buffer.alloc(0));
    expect(decodePayload(Raw, decodeMessage({ ...deliver(raw), value: null }))).toBeNull();
  });

  it('refuses a payload that cannot be decoded, or is not valid', () => {
    const from = (text: string) => decodeMessage({ ...deliver(encoded), value: Buffer.from(text) });
    expect(() => decodePayload(Paid, from('{'))).toThrow(refusal('PAYLOAD_NOT_DECODABLE'));
    expect(() => decodePayload(Paid, from('{"id":1}'))).toThrow(refusal('PAYLOAD_INVALID'));
  });
});
