import { defineEvent, type EventDefinition } from '@txbox/core';
import { decodePayload, encodeMessage, type Message } from '@txbox/core/spi';
import { type } from 'arktype';
import * as v from 'valibot';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';

type Payment = { orderId: string; amount: number; note?: string | undefined };

const common = { topic: 'payments', key: (payload: { orderId: string }) => payload.orderId };
// Each trims the order id and leaves unknown properties out: the output is not the input.
const EVENTS: readonly (readonly [string, EventDefinition<string, Payment>])[] = [
  [
    'zod',
    defineEvent('paid', {
      ...common,
      schema: z.object({ orderId: z.string().trim().min(1), amount: z.number().positive(), note: z.string().optional() }),
    }),
  ],
  [
    'valibot',
    defineEvent('paid', {
      ...common,
      schema: v.object({
        orderId: v.pipe(v.string(), v.trim(), v.minLength(1)),
        amount: v.pipe(v.number(), v.minValue(0.01)),
        note: v.optional(v.string()),
      }),
    }),
  ],
  [
    'arktype',
    defineEvent('paid', {
      ...common,
      schema: type({ '+': 'delete', orderId: 'string.trim |> string > 0', amount: 'number > 0', 'note?': 'string | undefined' }),
    }),
  ],
];

const messageOf = (value: unknown): Message => ({
  id: '0198c2a0-7b1c-7d3e-8f00-0123456789ab' as Message['id'],
  type: 'paid',
  version: 1,
  topic: 'payments',
  partition: 0,
  offset: 1n,
  key: null,
  value: Buffer.from(JSON.stringify(value)),
  headers: [],
  occurredAt: new Date(),
  correlationId: undefined,
  causationId: undefined,
});

describe.each(EVENTS)('a schema of %s', (_name, Paid) => {
  it("sends the validator's output, and makes the key of it", () => {
    const message = encodeMessage(Paid, { orderId: '  o1 ', amount: 7, secret: 'x' } as Payment);
    expect(JSON.parse(message.payload.toString())).toEqual({ orderId: 'o1', amount: 7 });
    expect(message.key?.toString()).toBe('o1');
  });

  it('names what is wrong, and where', () => {
    const add = (): unknown => encodeMessage(Paid, { orderId: 'o1', amount: -7 });
    expect(add).toThrowError(expect.objectContaining({ code: 'PAYLOAD_INVALID' }));
    expect(add).toThrowError('$.amount');
  });

  it('is asked again by the consumer', () => {
    expect(decodePayload(Paid, messageOf({ orderId: 'o1 ', amount: 7, more: 1 }))).toEqual({ orderId: 'o1', amount: 7 });
    expect(() => decodePayload(Paid, messageOf({ orderId: 'o1' }))).toThrowError(expect.objectContaining({ code: 'PAYLOAD_INVALID' }));
  });
});

describe('a validator that is asynchronous', () => {
  it.each([
    ['zod', z.object({ orderId: z.string() }).refine(async () => true)],
    [
      'valibot',
      v.pipeAsync(
        v.object({ orderId: v.string() }),
        v.checkAsync(async () => false),
      ),
    ],
  ])('is refused by add (%s)', (_name, schema) => {
    const Event = defineEvent('paid', { ...common, schema });
    const add = (): unknown => encodeMessage(Event, { orderId: 'o1' });
    expect(add).toThrowError(expect.objectContaining({ code: 'PAYLOAD_INVALID' }));
    expect(add).toThrowError('synchronous');
  });
});

describe('upcast', () => {
  const V3 = defineEvent('paid', {
    ...common,
    version: 3,
    schema: z.object({ orderId: z.string(), cents: z.number().int() }),
    upcast: {
      1: (payload: { order: string; amount: string }) => ({ orderId: payload.order, amount: payload.amount }),
      2: (payload: { orderId: string; amount: string }) => ({ orderId: payload.orderId, cents: Math.round(Number(payload.amount) * 100) }),
    },
  });

  it('leads old payloads through every step to the schema of today', () => {
    const today = { orderId: 'o1', cents: 750 };
    expect(decodePayload(V3, { ...messageOf({ order: 'o1', amount: '7.5' }), version: 1 })).toEqual(today);
    expect(decodePayload(V3, { ...messageOf({ orderId: 'o1', amount: '7.5' }), version: 2 })).toEqual(today);
    expect(decodePayload(V3, { ...messageOf(today), version: 3 })).toEqual(today);
    const nonsense = { ...messageOf({ orderId: 'o1', amount: 'much' }), version: 2 };
    expect(() => decodePayload(V3, nonsense)).toThrowError(expect.objectContaining({ code: 'PAYLOAD_INVALID' }));
  });

  it('says which version it does not lead from', () => {
    const V2 = defineEvent('paid', { ...common, version: 2, key: (payload: { orderId: string }) => payload.orderId });
    for (const [version, hint] of [
      [1, 'upcast: { 1:'],
      [3, 'deploy consumers'],
    ] as const) {
      const decode = (): unknown => decodePayload(V2, { ...messageOf({ orderId: 'o1' }), version });
      expect(decode).toThrowError(
        expect.objectContaining({ code: 'VERSION_UNSUPPORTED', details: expect.objectContaining({ version, supported: 2 }) }),
      );
      expect(decode).toThrowError(hint);
    }
  });

  it('says which step threw', () => {
    const broken = { ...messageOf(null), version: 1 };
    expect(() => decodePayload(V3, broken)).toThrowError(expect.objectContaining({ code: 'PAYLOAD_NOT_DECODABLE' }));
    expect(() => decodePayload(V3, broken)).toThrowError('from version 1');
  });

  it('is checked where it is defined', () => {
    const define =
      (upcast: object, version = 3) =>
      () =>
        defineEvent('paid', { ...common, version, upcast: upcast as never });
    expect(define({ 1: (p: unknown) => p })).toThrowError('no step from version 2');
    expect(define({ 3: (p: unknown) => p })).toThrowError('the event is version 3');
    expect(define({ one: (p: unknown) => p })).toThrowError('keys are versions');
    expect(define({ 2: 'x' })).toThrowError('no function for version 2');
    expect(define({ 2: (p: unknown) => p })).not.toThrow();
  });
});
