// What must compile, and what must not: `tsc` reports a directive that expects an error where there is none.
import { defineEvent, type PayloadInputOf, type PayloadOf, type Transaction } from '@txbox/core';
import { Handles } from '@txbox/inbox';
import { Publishes, PublishesEach, Transactional } from '@txbox/outbox';
import { type } from 'arktype';
import * as v from 'valibot';
import { z } from 'zod';

type Equal<One, Other> = (<T>() => T extends One ? 1 : 2) extends <T>() => T extends Other ? 1 : 2 ? true : false;
const is = <T extends true>(_true?: T): void => undefined;

const Plain = defineEvent('plain', { topic: 't', key: (payload: { id: string }) => payload.id });
const Zod = defineEvent('zod', {
  topic: 't',
  schema: z.object({ id: z.string(), note: z.string().default('') }),
  key: (payload) => payload.id,
});
const Valibot = defineEvent('valibot', { topic: 't', schema: v.object({ id: v.string() }), key: (payload) => payload.id });
const Arktype = defineEvent('arktype', { topic: 't', schema: type({ id: 'string' }), key: (payload) => payload.id });

is<Equal<PayloadOf<typeof Plain>, { id: string }>>();
is<Equal<PayloadInputOf<typeof Zod>, { id: string; note?: string | undefined }>>();
is<Equal<PayloadOf<typeof Zod>, { id: string; note: string }>>();
is<Equal<PayloadOf<typeof Valibot>, { id: string }>>();
is<Equal<PayloadOf<typeof Arktype>, { id: string }>>();
is<Equal<(typeof Plain)['name'], 'plain'>>();

export function add(tx: Transaction): void {
  tx.add(Plain, { id: 'a' });
  tx.add(Zod, { id: 'a' });
  tx.add(Zod, { id: 'a', note: 'b' }, { key: Buffer.from('k'), headers: { a: 'b' }, correlationId: 'c', causationId: 'd' });
  // @ts-expect-error a payload without its id
  tx.add(Plain, {});
  // @ts-expect-error a payload of the wrong type
  tx.add(Zod, { id: 7 });
  // @ts-expect-error a property that the event does not have
  tx.add(Valibot, { id: 'a', other: 1 });
  // @ts-expect-error no payload
  tx.add(Arktype);
  // @ts-expect-error an option that there is not
  tx.add(Plain, { id: 'a' }, { partition: 3 });
  // @ts-expect-error a header of the wrong type
  tx.add(Plain, { id: 'a' }, { headers: { a: 1 } });
  // @ts-expect-error no event
  tx.add({ name: 'plain' }, { id: 'a' });
}

export const wrong = [
  // @ts-expect-error the consumer validates again, and a Date is no text
  defineEvent('out', { topic: 't', schema: z.object({ at: z.string().transform((text) => new Date(text)) }), key: () => null }),
  // @ts-expect-error a key is text, bytes or null
  defineEvent('key', { topic: 't', key: (payload: { id: number }) => payload.id }),
  // @ts-expect-error a key of a property that there is not
  defineEvent('key', { topic: 't', schema: z.object({ id: z.string() }), key: (payload) => payload.name }),
  // @ts-expect-error no topic
  defineEvent('topic', { key: () => null }),
  // @ts-expect-error an option that there is not
  defineEvent('option', { topic: 't', key: () => null, partitions: 3 }),
  // @ts-expect-error an aggregate without id
  defineEvent('aggregate', { topic: 't', key: () => null, aggregate: { type: 'order' } }),
  // @ts-expect-error the versions of upcast are numbers
  defineEvent('upcast', { topic: 't', key: () => null, version: 2, upcast: { one: (payload: unknown) => payload } }),
];

export class Service {
  @Transactional({ isolationLevel: 'READ COMMITTED', retry: { maxAttempts: 3 }, idempotencyKey: (id: string) => id })
  @Publishes(Plain, (result: { id: string }, extra: string) => ({ id: result.id + extra }))
  @PublishesEach(Plain, (result: { id: string }) => [result])
  async pay(id: string, _extra: string): Promise<{ id: string }> {
    return { id };
  }

  // @ts-expect-error what the mapper makes is no payload of the event
  @Publishes(Plain, () => ({ id: 7 }))
  async wrongPayload(): Promise<void> {}

  // @ts-expect-error one payload is not many
  @PublishesEach(Plain, () => ({ id: 'a' }))
  async wrongEach(): Promise<void> {}

  // @ts-expect-error a level that there is not
  @Transactional({ isolationLevel: 'CHAOS' })
  async wrongLevel(): Promise<void> {}

  // @ts-expect-error a propagation that there is not
  @Transactional({ propagation: 'twice' })
  async wrongPropagation(): Promise<void> {}

  // @ts-expect-error the method returns no promise
  @Transactional()
  notAsync(): void {}
}

export class Consumer {
  @Handles(Zod)
  async handle(payload: PayloadOf<typeof Zod>): Promise<void> {
    is<Equal<typeof payload.note, string>>();
  }

  // @ts-expect-error the handler takes another payload
  @Handles(Plain)
  async wrong(_payload: { other: number }): Promise<void> {}
}
