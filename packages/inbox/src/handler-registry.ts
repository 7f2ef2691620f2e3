import { type EventDefinition, TxboxError } from '@txbox/core/spi';
import { handlersOf, refuseUndefinedEvent } from './handles.ts';

/** What is called for the messages of one event. */
export interface Handler {
  readonly event: EventDefinition;
  /** For logs and errors: `Billing.charge`. */
  readonly name: string;
  invoke(payload: unknown, ctx: unknown): unknown;
}

/** The handlers of an inbox, one for an event (its name within its topic). */
export class HandlerRegistry {
  readonly #handlers = new Map<string, Handler>();

  /** Adds the decorated methods of an instance. Throws `HANDLER_MISSING` when it has none, and what `add` throws. */
  addInstance(instance: unknown): void {
    if (typeof instance !== 'object' || instance === null) {
      throw new TxboxError(
        'HANDLER_INVALID',
        `handlers takes instances of classes with @Handles methods, got ${typeof instance === 'function' ? `the class ${instance.name || 'without a name'}; create one with new` : String(instance)}.`,
      );
    }
    const className = instance.constructor?.name ?? 'Object';
    const declared = handlersOf(instance);
    if (declared.length === 0) {
      throw new TxboxError(
        'HANDLER_MISSING',
        `${className} was given as a handler but none of its methods has @Handles(event). Decorate one, or use inbox.on(event, handler).`,
      );
    }
    for (const { event, method } of declared) {
      this.add({
        event,
        name: `${className}.${String(method)}`,
        // Looked up at each call, so that whatever wraps the method later still counts.
        invoke: (payload, ctx) =>
          (instance as Record<string | symbol, (payload: unknown, ctx: unknown) => unknown>)[method]?.(payload, ctx),
      });
    }
  }

  /** Throws `HANDLER_INVALID` when the event has a handler already. */
  add(handler: Handler): void {
    refuseUndefinedEvent(handler.event, handler.name);
    const { topic, name } = handler.event;
    const key = keyOf(topic, name);
    const other = this.#handlers.get(key);
    if (other) {
      throw new TxboxError(
        'HANDLER_INVALID',
        `Event ${name} of topic ${topic} has two handlers in one inbox: ${other.name} and ${handler.name}. ` +
          'Call both from one handler, so that they share the transaction, or give the second an inbox with a group of its own.',
        { details: { event: name, topic } },
      );
    }
    this.#handlers.set(key, handler);
  }

  find(topic: string, type: string): Handler | undefined {
    return this.#handlers.get(keyOf(topic, type));
  }

  /** Topics of all handled events, sorted. Throws `HANDLER_MISSING` when there is no handler. */
  topics(): string[] {
    const topics = [...new Set([...this.#handlers.values()].map(({ event }) => event.topic))].sort();
    if (topics.length > 0) return topics;
    throw new TxboxError(
      'HANDLER_MISSING',
      'This inbox has no handler. Give createInbox({ handlers: [instance] }) instances of classes with @Handles(event) methods, or call inbox.on(event, handler).',
    );
  }
}

// Topics have no slash.
function keyOf(topic: string, type: string): string {
  return `${topic}/${type}`;
}
