import {
  currentUnit,
  type Delivery,
  decodeHeaders,
  decodeMessage,
  decodePayload,
  type EventDefinition,
  HEADER,
  headerOf,
  isReservedHeader,
  type Message,
  type MessageId,
  noEventBecause,
  type PayloadOf,
  type SqlRow,
  type SqlSession,
  tableNames,
} from '@txbox/core/spi';
import type { Outbox } from '@txbox/outbox';

/** Any outbox: in memory or of a database. */
export type AnyOutbox = Pick<Outbox<any, any>, 'name' | 'resource' | 'sink'>;

/** Where events are looked for: an outbox, or what {@link drain} returned. */
export type EventsSource = AnyOutbox | { readonly published: readonly AddedEvent[] };

/** An event as it was added, committed and decoded. */
export interface AddedEvent<Payload = unknown> {
  readonly id: MessageId;
  /** Name of the event definition. */
  readonly type: string;
  readonly version: number;
  readonly topic: string;
  /** As text; `null` = none. */
  readonly key: string | null;
  readonly payload: Payload;
  /** Those of `add` and of the event definition, as text; the framework's own are in `message`. */
  readonly headers: Readonly<Record<string, string>>;
  readonly occurredAt: Date;
  /** The whole of it, as bytes. `partition` and `offset` mean nothing before it is published. */
  readonly message: Message;
}

/**
 * The committed events that no relay has taken yet, in the order of their commits; those of one event only when it is
 * given. Of `drain`'s result: those that it published. Rejects inside an open transaction, whose events are not there yet.
 */
export async function addedEvents(source: EventsSource): Promise<AddedEvent[]>;
export async function addedEvents<E extends EventDefinition>(source: EventsSource, event: E): Promise<AddedEvent<PayloadOf<E>>[]>;
export async function addedEvents(source: EventsSource, ...of: readonly EventDefinition[]): Promise<AddedEvent[]> {
  const found = await readEvents('addedEvents', source);
  // An event that is undefined, of a circular import, is a mistake and not all events.
  return of.length === 0 ? found : eventsOf('addedEvents', found, of[0]);
}

/** Removes every event from an outbox, and what an earlier {@link drain} has left to do. For `beforeEach`. */
export async function clearAdded(outbox: AnyOutbox): Promise<void> {
  refuseNoOutbox('clearAdded', outbox);
  refuseOpenTransaction('clearAdded', outbox);
  forgotten.get(outbox)?.();
  const { outbox: table } = tableNames(outbox.sink.tablePrefix);
  await outbox.resource.withSession((session) => session.execute(`DELETE FROM ${table}`));
}

/** What else is to be forgotten when an outbox is cleared. */
const forgotten = new WeakMap<AnyOutbox, () => void>();

export function onClear(outbox: AnyOutbox, forget: () => void): void {
  forgotten.set(outbox, forget);
}

/** All events of a source, for what `caller` says. */
export async function readEvents(caller: string, source: EventsSource): Promise<AddedEvent[]> {
  if (isDrained(source)) return [...source.published];
  refuseNoOutbox(caller, source);
  refuseOpenTransaction(caller, source);
  return await source.resource.withSession((session) => readOutbox(caller, session, source.sink.tablePrefix));
}

/** Those of one event, with payloads as its codec and schema give them. */
export function eventsOf<E extends EventDefinition>(
  caller: string,
  found: readonly AddedEvent[],
  event: E | undefined,
): AddedEvent<PayloadOf<E>>[] {
  const problem = noEventBecause(event);
  if (problem !== undefined) throw new Error(`${caller} ${problem}`);
  const { name, topic } = event as E;
  return found
    .filter((one) => one.type === name && one.topic === topic)
    .map((one) => ({ ...one, payload: decodePayload(event as E, one.message) as PayloadOf<E> }));
}

export function isDrained(source: EventsSource): source is { readonly published: readonly AddedEvent[] } {
  return Array.isArray((source as { published?: unknown } | null | undefined)?.published);
}

/** Throws for what is no outbox. */
export function refuseNoOutbox(caller: string, outbox: AnyOutbox): void {
  const { resource, sink } = (outbox ?? {}) as Partial<AnyOutbox>;
  if (typeof resource?.withSession === 'function' && typeof sink?.tablePrefix === 'string') return;
  const awaited = typeof (outbox as { then?: unknown } | undefined)?.then === 'function' ? ' a promise: await it' : ` ${typeof outbox}`;
  throw new Error(`${caller} takes an outbox (createMemoryOutbox() or createOutbox(…)), or what drain() returned; got${awaited}.`);
}

/** Throws inside an open transaction of that outbox. */
function refuseOpenTransaction(caller: string, outbox: AnyOutbox): void {
  if (!currentUnit(outbox.resource.key)?.accepts) return;
  throw new Error(
    `${caller} was called inside an open transaction of outbox ${JSON.stringify(outbox.name)}: its events are not committed yet, and may never be. ` +
      'Call it after the transaction has ended.',
  );
}

/** An event as a delivery has it. */
export function eventOf(delivery: Delivery): AddedEvent {
  const message = decodeMessage(delivery);
  const own = message.headers.filter(([name]) => !isReservedHeader(name));
  return {
    id: message.id,
    type: message.type,
    version: message.version,
    topic: message.topic,
    key: message.key?.toString() ?? null,
    payload: payloadOf(message),
    headers: Object.fromEntries(own.map(([name, value]) => [name, value.toString()])),
    occurredAt: message.occurredAt,
    message,
  };
}

async function readOutbox(caller: string, session: SqlSession, tablePrefix: string): Promise<AddedEvent[]> {
  const { outbox } = tableNames(tablePrefix);
  let rows: SqlRow[];
  try {
    rows = await session.query(`SELECT position, topic, message_key, headers, payload FROM ${outbox} ORDER BY position`);
  } catch (cause) {
    if (session.dialect.classify(cause) !== 'missing-table') throw cause;
    throw new Error(`${caller}: this database has no table ${outbox}. Call await outbox.migrate() before the tests.`, { cause });
  }
  return rows.map(([position, topic, key, headers, value]) =>
    eventOf({
      topic: topic as string,
      partition: 0,
      offset: BigInt(position as number),
      timestamp: 0,
      key: key as Buffer | null,
      value: value as Buffer | null,
      headers: decodeHeaders(headers as Buffer),
    }),
  );
}

/** Without the event definition: what the content type tells. */
function payloadOf({ value, headers }: Message): unknown {
  const type = headerOf(headers, HEADER.contentType)?.toString() ?? '';
  if (value === null || !/\bjson\b/.test(type)) return value;
  try {
    return JSON.parse(value.toString()) as unknown;
  } catch {
    return value;
  }
}
