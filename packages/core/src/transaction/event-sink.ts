import type { EventDefinition } from '../contract/event.ts';
import type { AddOptions } from '../contract/message.ts';
import type { MessageId } from '../contract/message-id.ts';
import { TxboxError } from '../runtime/error.ts';
import type { UnitOfWork } from './unit-of-work.ts';

/** Names what a transaction does, once and for all (P-W5). */
export interface IdempotencyKey {
  readonly key: string;
  /** 32 bytes of the arguments: another call under the same key is an error. */
  readonly fingerprint: Buffer;
}

/** Where `tx.add` and a handler's `ctx.add` put events: the outbox of the unit's DataSource or pool. */
export interface EventSink {
  /** Name and tables, for messages. */
  readonly name: string;
  readonly tablePrefix: string;
  /** Buffers an event in the open unit (P-W1). */
  add(unit: UnitOfWork, event: EventDefinition, payload: unknown, options?: AddOptions): MessageId;
  /**
   * Runs `fn` as the first thing of a new unit, unless a transaction with that key has committed: then it resolves to the
   * result stored there, or rejects with `ALREADY_COMMITTED` (P-W5). Rejects with `IDEMPOTENCY_KEY_REUSED` where the
   * arguments were others, and with `OUTCOME_UNKNOWN` while a transaction with the key is still open.
   */
  once<T>(unit: UnitOfWork, key: IdempotencyKey, fn: () => Promise<T>): Promise<T>;
}

const REGISTRY: unique symbol = Symbol.for('txbox.event-sinks') as never;
type Registry = WeakMap<object, EventSink[]>;

// Under a global symbol, so that two loaded copies of the package share it.
function registry(): Registry {
  const holder = globalThis as { [REGISTRY]?: Registry };
  holder[REGISTRY] ??= new WeakMap();
  return holder[REGISTRY];
}

/** Makes `sink` the outbox of a DataSource, pool or database; returns what takes it back. */
export function registerEventSink(key: object, sink: EventSink): () => void {
  const sinks = registry().get(key) ?? [];
  registry().set(key, [...sinks, sink]);
  return () => {
    const rest = (registry().get(key) ?? []).filter((other) => other !== sink);
    if (rest.length === 0) registry().delete(key);
    else registry().set(key, rest);
  };
}

/**
 * The outbox of a unit's database; of several with the same tables the newest. Throws `NO_OUTBOX` when none was created
 * for it, and `OUTBOX_AMBIGUOUS` when there are several with tables of their own.
 */
export function eventSinkOf(unit: UnitOfWork): EventSink {
  const sinks = registry().get(unit.resource.key) ?? [];
  const sink = sinks.at(-1);
  if (sink && sinks.some(({ tablePrefix }) => tablePrefix !== sink.tablePrefix)) {
    const names = sinks.map(({ name, tablePrefix }) => `${JSON.stringify(name)} (${tablePrefix})`).join(', ');
    throw new TxboxError(
      'OUTBOX_AMBIGUOUS',
      `An event was added in a transaction whose database has several outboxes: ${names}. Say which one: outbox.add(…), or { on: 'name' } on the decorator.`,
    );
  }
  if (sink) return sink;
  throw new TxboxError(
    'NO_OUTBOX',
    'An event was added in a transaction whose DataSource, pool or database has no outbox. ' +
      'Create one for it at start: createOutbox({ dataSource }) (or pool, database).',
  );
}
