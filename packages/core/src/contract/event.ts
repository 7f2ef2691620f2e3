import type { StandardSchemaV1 } from '@standard-schema/spec';
import type { Codec } from './codec.ts';
import type { HeaderValue } from './message.ts';

/** What `defineEvent` takes. */
export interface EventOptions<In, Out> {
  readonly topic: string;
  readonly version?: number;
  readonly schema?: StandardSchemaV1<In, Out>;
  readonly key: (payload: Out) => string | Uint8Array | null;
  readonly aggregate?: { readonly type: string; readonly id: (payload: Out) => string };
  readonly headers?: (payload: Out) => Readonly<Record<string, HeaderValue>>;
  readonly maxBytes?: number;
  readonly codec?: Codec<Out>;
}

/** A typed event contract shared by the service that adds it and the services that handle it. */
export interface EventDefinition<Name extends string = string, In = any, Out = any> {
  readonly name: Name;
  readonly topic: string;
  readonly version: number;
  readonly schema: StandardSchemaV1<In, Out> | undefined;
  readonly key: (payload: Out) => string | Uint8Array | null;
  readonly aggregate: { readonly type: string; readonly id: (payload: Out) => string } | undefined;
  readonly headers: ((payload: Out) => Readonly<Record<string, HeaderValue>>) | undefined;
  readonly maxBytes: number;
  readonly codec: Codec<Out>;
}

/** What `add` takes for an event. */
export type PayloadInputOf<E> = E extends EventDefinition<string, infer In, any> ? In : never;

/** What a handler gets for an event, and what travels. */
export type PayloadOf<E> = E extends EventDefinition<string, any, infer Out> ? Out : never;
