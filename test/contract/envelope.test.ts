import { defineEvent } from '@txbox/core';
import { type Delivery, decodeHeaders, decodeMessage, encodeMessage, headerOf, isTxboxError, type WireHeader } from '@txbox/core/spi';
import { type CloudEvent, Kafka } from 'cloudevents';
import { describe, expect, it } from 'vitest';

const Paid = defineEvent('order.paid', {
  topic: 'orders',
  version: 3,
  aggregate: { type: 'order', id: (payload) => payload.id },
  key: (payload: { id: string; amount: string }) => payload.id,
});

const ID = '0198c2a0-7b1c-7d3e-8f00-0123456789ab';
const SOURCE = 'https://orders.example/service';

function encoded(options = {}, payload = { id: 'ö-1🙂', amount: '7.00' }): Delivery {
  const message = encodeMessage(Paid, payload, { id: ID, occurredAt: new Date('2026-01-02T03:04:05.678Z'), ...options }, SOURCE);
  return {
    topic: 'orders',
    partition: 2,
    offset: 5n,
    key: message.key,
    value: message.payload,
    headers: decodeHeaders(message.headers),
    timestamp: 0,
  };
}

/** As a Kafka client of JavaScript hands a record to the official SDK. */
function read({ key, value, headers, timestamp }: Delivery): CloudEvent<unknown> {
  const text = Object.fromEntries(headers.map(([name, bytes]) => [name, bytes.toString()]));
  const record = { key: key?.toString() ?? '', value, headers: text, body: value?.toString(), timestamp: String(timestamp) };
  const event = Kafka.toEvent(record);
  return (Array.isArray(event) ? event[0] : event) as CloudEvent<unknown>;
}

describe('the CloudEvents envelope', () => {
  it('is read by the official SDK, with every attribute, and is valid there', () => {
    const event = read(encoded({ correlationId: 'request 9', causationId: 'cause' }));
    expect(event.validate()).toBe(true);
    expect(event.toJSON()).toMatchObject({
      specversion: '1.0',
      id: ID,
      source: SOURCE,
      type: 'order.paid',
      subject: 'ö-1🙂',
      time: '2026-01-02T03:04:05.678Z',
      datacontenttype: 'application/json',
      partitionkey: 'ö-1🙂',
      txboxversion: '3',
      aggregatetype: 'order',
      correlationid: 'request 9',
      causationid: 'cause',
      data: { id: 'ö-1🙂', amount: '7.00' },
    });
  });

  it('has none of our own headers, and names that CloudEvents allows', () => {
    const names = encoded({ correlationId: 'c' }).headers.map(([name]) => name);
    expect(names.filter((name) => !/^ce_[a-z0-9]+$/.test(name))).toEqual(['content-type']);
    expect(new Set(names).size).toBe(names.length);
  });

  it('is read by a consumer like our own headers', () => {
    const own = encodeMessage(
      Paid,
      { id: 'ö-1🙂', amount: '7.00' },
      { id: ID, occurredAt: new Date('2026-01-02T03:04:05.678Z'), correlationId: 'c' },
    );
    const delivery = encoded({ correlationId: 'c' });
    const { headers: _one, ...message } = decodeMessage(delivery);
    const { headers: _other, ...same } = decodeMessage({ ...delivery, headers: decodeHeaders(own.headers) });
    expect(message).toEqual(same);
    expect(message).toMatchObject({ id: ID, type: 'order.paid', version: 3, correlationId: 'c', causationId: undefined });
  });

  it('leaves the partition key out where the key is no text', () => {
    const { headers, key } = encoded({ key: Buffer.from([0xff, 0x00]) });
    expect(headerOf(headers, 'ce_partitionkey')).toBeUndefined();
    expect(key).toEqual(Buffer.from([0xff, 0x00]));
  });

  it('of other producers is not ours', () => {
    const headers: WireHeader[] = [
      ['ce_specversion', Buffer.from('1.0')],
      ['ce_id', Buffer.from(ID)],
      ['ce_type', Buffer.from('order.paid')],
      ['ce_source', Buffer.from('/theirs')],
    ];
    expect(() => decodeMessage({ ...encoded(), headers })).toThrowError(expect.objectContaining({ code: 'MESSAGE_FOREIGN' }));
  });

  it.each([
    ['ce_id', 'no uuid'],
    ['ce_type', ''],
    ['ce_txboxversion', '0'],
    ['ce_time', 'yesterday'],
  ])('that is damaged says where: %s', (name, value) => {
    const delivery = encoded();
    const headers = delivery.headers.map(([header, bytes]): WireHeader => [header, header === name ? Buffer.from(value) : bytes]);
    const decode = (): unknown => decodeMessage({ ...delivery, headers });
    expect(decode).toThrowError(name);
    expect(decode).toThrowError(expect.toSatisfy((error: unknown) => isTxboxError(error, 'MESSAGE_UNREADABLE')));
  });
});
