import type { StandardSchemaV1 } from '@standard-schema/spec';
import { callable, checkOptions, flag, integerWithin, type OptionRule, objectValue, objectWith } from '../runtime/options.ts';
import type { Codec } from './codec.ts';
import { jsonCodec } from './json-codec.ts';
import type { HeaderValue } from './message.ts';

/** What an event is about, for readers of the log and of the outbox table. */
export interface AggregateDefinition<Out> {
  /** At most 255 characters. */
  readonly type: string;
  /** At most 255 characters. */
  readonly id: (payload: Out) => string;
}

/** What {@link defineEvent} takes. */
export interface EventOptions<In, Out> {
  /** Kafka's rule: 1 to 249 of `a-z A-Z 0-9 . _ -`. */
  readonly topic: string;
  /** Version of the contract, a whole number from 1. Default 1. */
  readonly version?: number;
  /**
   * Any Standard Schema validator that answers synchronously. It describes the wire value: what it returns is sent,
   * and the consumer validates that again, so its output must be valid input. Default: none, payloads are not checked.
   */
  readonly schema?: StandardSchemaV1<In, Out>;
  /** The message key, at most 255 bytes (text as UTF-8): messages of one key are in order. `null` = no key, no order. */
  readonly key: (payload: Out) => string | Uint8Array | null;
  readonly aggregate?: AggregateDefinition<Out>;
  /** Further headers of every message; `add`'s own win. */
  readonly headers?: (payload: Out) => Readonly<Record<string, HeaderValue>>;
  /**
   * Numbers the messages of each key without gaps, in a header: writers of a key wait for each other from the end of their
   * transactions on, also where they share no row. Needs a key. Default false.
   */
  readonly strictOrder?: boolean;
  /**
   * Most bytes of key, headers and payload together. Default 1,000,000, which fits Kafka's default `message.max.bytes`
   * (1,048,588) with the framing of a record batch. Raise it together with the topic's limit.
   */
  readonly maxBytes?: number;
  /** Default {@link jsonCodec}. */
  readonly codec?: Codec<Out>;
  /**
   * How decoded payloads of older versions become today's: for each version from the oldest that may still come, what makes
   * one of the next version. The last step's result is validated by the schema.
   */
  readonly upcast?: Readonly<Record<number, (payload: any) => unknown>>;
}

/** A typed event contract shared by the service that adds it and the services that handle it. */
export interface EventDefinition<Name extends string = string, In = any, Out = any> {
  readonly name: Name;
  readonly topic: string;
  readonly version: number;
  readonly schema: StandardSchemaV1<In, Out> | undefined;
  readonly key: (payload: Out) => string | Uint8Array | null;
  readonly aggregate: AggregateDefinition<Out> | undefined;
  readonly headers: ((payload: Out) => Readonly<Record<string, HeaderValue>>) | undefined;
  readonly strictOrder: boolean;
  readonly maxBytes: number;
  readonly codec: Codec<Out>;
  readonly upcast: Readonly<Record<number, (payload: any) => unknown>> | undefined;
}

/** What `add` takes for an event. */
export type PayloadInputOf<E> = E extends EventDefinition<string, infer In, any> ? In : never;

/** What a handler gets for an event, and what travels. */
export type PayloadOf<E> = E extends EventDefinition<string, any, infer Out> ? Out : never;

/** Options of an event with a schema: its types are the event's. */
interface SchemaEventOptions<In, Out extends In> extends EventOptions<In, Out> {
  readonly schema: StandardSchemaV1<In, Out>;
}

/** Options of an event without a schema: the parameter of `key` gives the payload's type. */
interface PlainEventOptions<Payload> extends EventOptions<Payload, Payload> {
  readonly schema?: never;
}

const MAX_NAME = 255;
const TOPIC = /^[a-zA-Z0-9._-]{1,249}$/;
const DEFAULT_MAX_BYTES = 1_000_000;

const topicRule: OptionRule = (value) =>
  typeof value === 'string' && TOPIC.test(value) && value !== '.' && value !== '..'
    ? undefined
    : 'must be 1 to 249 characters of a-z A-Z 0-9 . _ - and neither "." nor ".."';

const schemaRule: OptionRule = (value) => {
  const standard =
    typeof value === 'object' || typeof value === 'function' ? (value as Partial<StandardSchemaV1> | null)?.['~standard'] : undefined;
  return standard?.version === 1 && typeof standard.validate === 'function'
    ? undefined
    : 'must be a Standard Schema validator (zod, valibot, arktype, …)';
};

const aggregateRule: OptionRule = (value) => {
  const problem = objectValue(value);
  if (problem !== undefined) return problem;
  const { type, id, ...rest } = value as Record<string, unknown>;
  if (typeof type !== 'string' || type === '' || type.length > MAX_NAME) return `must have a type of 1 to ${MAX_NAME} characters`;
  if (typeof id !== 'function') return 'must have a function id';
  const unknown = Object.keys(rest);
  return unknown.length === 0 ? undefined : `has unknown properties ${unknown.join(', ')}`;
};

const codecRule: OptionRule = (value) =>
  objectWith('encode', 'decode')(value) ??
  (typeof (value as Codec).contentType === 'string' && (value as Codec).contentType !== '' ? undefined : 'must have a contentType');

const upcastRule: OptionRule = (value) => {
  const problem = objectValue(value);
  if (problem !== undefined) return problem;
  for (const [version, step] of Object.entries(value as object)) {
    if (!/^[1-9]\d{0,9}$/.test(version)) return `has the key ${JSON.stringify(version)}, and keys are versions`;
    if (typeof step !== 'function') return `has no function for version ${version}`;
  }
  return undefined;
};

/** Steps must lead from each version to the next, up to the event's own. */
function checkSteps(options: EventOptions<any, any>, report: (problem: string) => void): void {
  const versions = Object.keys(options.upcast ?? {})
    .map(Number)
    .toSorted((one, other) => one - other);
  const [oldest] = versions;
  if (oldest === undefined) return;
  const { version = 1 } = options;
  if (versions.some((from) => from >= version))
    report(`upcast has a step from version ${versions.at(-1)}, and the event is version ${version}`);
  for (let from = oldest; from < version; from += 1) {
    if (!versions.includes(from)) report(`upcast has no step from version ${from}, which those before it lead to`);
  }
}

/**
 * Defines an event. The name is unique among the events of a topic, 1 to 255 characters without white space.
 * Throws `EVENT_INVALID` with all problems at once.
 */
export function defineEvent<const Name extends string, In, Out extends In>(
  name: Name,
  options: SchemaEventOptions<In, Out>,
): EventDefinition<Name, In, Out>;
export function defineEvent<const Name extends string, Payload>(
  name: Name,
  options: PlainEventOptions<Payload>,
): EventDefinition<Name, Payload, Payload>;
export function defineEvent(name: string, options: EventOptions<any, any>): EventDefinition {
  const named = typeof name === 'string' && name.length <= MAX_NAME && /^[^\s\p{Cc}]+$/u.test(name);
  const checked = checkOptions<EventOptions<any, any>>(`defineEvent(${JSON.stringify(name)})`, options, {
    code: 'EVENT_INVALID',
    problems: named ? [] : [`the name must have 1 to ${MAX_NAME} characters and no white space`],
    defaults: { version: 1, strictOrder: false, maxBytes: DEFAULT_MAX_BYTES, codec: jsonCodec },
    optional: ['schema', 'aggregate', 'headers', 'upcast'],
    across: checkSteps,
    rules: {
      topic: topicRule,
      version: integerWithin(1, 0x7fff_ffff),
      schema: schemaRule,
      key: callable,
      aggregate: aggregateRule,
      headers: callable,
      strictOrder: flag,
      maxBytes: integerWithin(1, 0x3fff_ffff),
      codec: codecRule,
      upcast: upcastRule,
    },
  });
  return Object.freeze({
    name,
    topic: checked.topic,
    version: checked.version as number,
    schema: checked.schema,
    key: checked.key,
    aggregate: checked.aggregate,
    headers: checked.headers,
    strictOrder: checked.strictOrder as boolean,
    maxBytes: checked.maxBytes as number,
    codec: checked.codec as Codec,
    upcast: checked.upcast,
  });
}

/** Why a value is no event, or `undefined` for one that `defineEvent` made; of any loaded copy of the package. */
export function noEventBecause(value: unknown): string | undefined {
  const { name, topic, codec } = (typeof value === 'object' && value !== null ? value : {}) as Partial<EventDefinition>;
  if (typeof name === 'string' && typeof topic === 'string' && typeof codec === 'object') return undefined;
  const got = typeof value === 'string' ? JSON.stringify(value) : value === null ? 'null' : typeof value;
  const hint =
    value === undefined ? ' It is not defined yet when this runs: two files that import each other, or a misspelt import, do that.' : '';
  return `takes an event made by defineEvent(name, { topic, … }), got ${got}.${hint}`;
}
