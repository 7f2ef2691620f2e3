import { describe, expect, expectTypeOf, it } from 'vitest';
import { z } from 'zod';
import { defineEvent, type PayloadInputOf, type PayloadOf, rawCodec } from '../../src/index.ts';

const key = (payload: { id: string }): string => payload.id;

describe('defineEvent', () => {
  it('fills in version 1, JSON and a size that fits a broker by default', () => {
    const event = defineEvent('order.paid', { topic: 'orders', key });
    expect(event).toMatchObject({ name: 'order.paid', topic: 'orders', version: 1, maxBytes: 1_000_000 });
    expect(event.codec.contentType).toBe('application/json');
    expect(Object.isFrozen(event)).toBe(true);
  });

  it('reports every problem at once', () => {
    const options = { topic: 'no spaces', version: 0, key: 'id', maxBytes: 1.5, schema: {}, colour: 'red' };
    // @ts-expect-error wrong in every way, on purpose
    const define = () => defineEvent('order.paid', options);
    expect(define).toThrow(expect.objectContaining({ code: 'EVENT_INVALID' }));
    for (const name of ['topic', 'version', 'key', 'maxBytes', 'schema', 'colour']) expect(define).toThrow(name);
  });

  it.each(['', 'a b', 'tab\t', 'x'.repeat(256), 1, null])('refuses the name %j', (name) => {
    expect(() => defineEvent(name as string, { topic: 'orders', key })).toThrow(expect.objectContaining({ code: 'EVENT_INVALID' }));
  });

  it.each(['', '.', '..', 'ordérs', 'a/b', 'x'.repeat(250)])('refuses the topic %j', (topic) => {
    expect(() => defineEvent('order.paid', { topic, key })).toThrow(expect.objectContaining({ code: 'EVENT_INVALID' }));
  });

  it('refuses an aggregate without a type, and unknown parts of it', () => {
    const id = (payload: { id: string }): string => payload.id;
    expect(() => defineEvent('e', { topic: 't', key, aggregate: { type: '', id } })).toThrow('aggregate');
    // @ts-expect-error no such part
    expect(() => defineEvent('e', { topic: 't', key, aggregate: { type: 'order', id, name: 1 } })).toThrow('name');
  });
});

describe('types of an event', () => {
  it('are those of its schema: input for add, output for handlers', () => {
    const Paid = defineEvent('order.paid', {
      topic: 'orders',
      schema: z.object({ id: z.string(), currency: z.string().default('EUR') }),
      key: (payload) => {
        expectTypeOf(payload).toEqualTypeOf<{ id: string; currency: string }>();
        return payload.id;
      },
    });
    expectTypeOf<PayloadOf<typeof Paid>>().toEqualTypeOf<{ id: string; currency: string }>();
    expectTypeOf<PayloadInputOf<typeof Paid>>().toEqualTypeOf<{ id: string; currency?: string | undefined }>();
    expectTypeOf(Paid.name).toEqualTypeOf<'order.paid'>();
  });

  it('are those of the key function when there is no schema', () => {
    const Plain = defineEvent('order.seen', { topic: 'orders', key: (payload: { id: string }) => payload.id });
    expectTypeOf<PayloadOf<typeof Plain>>().toEqualTypeOf<{ id: string }>();
    expectTypeOf<PayloadInputOf<typeof Plain>>().toEqualTypeOf<{ id: string }>();
    const Raw = defineEvent('blob', { topic: 'blobs', codec: rawCodec, key: (_payload: Uint8Array) => null });
    expectTypeOf<PayloadOf<typeof Raw>>().toEqualTypeOf<Uint8Array>();
  });

  it('refuse a schema whose output is no valid input, since the consumer validates what was sent', () => {
    const changing = z.string().transform((text) => text.length);
    // @ts-expect-error a number is sent, the consumer's validator takes a string
    defineEvent('e', { topic: 't', schema: changing, key: () => null });
  });

  it('refuse a key function that gives something else', () => {
    // @ts-expect-error a number is no key
    defineEvent('e', { topic: 't', schema: z.object({ id: z.number() }), key: (payload) => payload.id });
  });

  it('refuse a codec of another payload', () => {
    // @ts-expect-error the codec takes bytes
    defineEvent('e', { topic: 't', schema: z.object({ id: z.string() }), key: (payload) => payload.id, codec: rawCodec });
  });
});
