import type { Logger } from '@txbox/core/spi';

/** A place in a topic. */
export interface LanePlace {
  readonly topic: string;
  readonly partition: number;
}

/** What an inbox tells its listeners, by name. */
export interface InboxEventMap {
  /** A transaction was committed, or messages needed none; the checkpoint follows. Numbers of messages. */
  readonly applied: LanePlace & {
    readonly applied: number;
    readonly duplicates: number;
    readonly skipped: number;
    readonly durationMs: number;
  };
  /** A message failed and holds its lane until a later try succeeds. */
  readonly held: LanePlace & HeldMessage;
  /** The message that held a lane is done. */
  readonly released: LanePlace & { readonly offset: bigint };
  /** An unreadable message was passed over, because `onUnknown` is `skip`. */
  readonly unreadable: LanePlace & { readonly offset: bigint; readonly error: unknown };
  /** Something outside the messages is in the way: database away, COMMIT without an answer, broker away. It is tried again. */
  readonly trouble: { readonly error: unknown };
}

/** A message at which a lane waits. */
export interface HeldMessage {
  readonly offset: bigint;
  /** `undefined` when it could not be read so far. */
  readonly messageId: string | undefined;
  readonly type: string | undefined;
  /** `HANDLER_FAILED`, `MESSAGE_FOREIGN`, `MESSAGE_UNREADABLE`, `PAYLOAD_INVALID`, `PAYLOAD_NOT_DECODABLE`, … */
  readonly code: string;
  /** What the last failure said. */
  readonly reason: string;
  /** Failed tries so far, in this process. */
  readonly attempts: number;
  /** When it began to hold. */
  readonly since: Date;
  readonly nextAttemptAt: Date;
}

export type InboxEventName = keyof InboxEventMap;

/** Typed events. A listener that throws is logged and disturbs nobody. */
export class InboxEvents {
  readonly #listeners = new Map<InboxEventName, Set<(event: never) => void>>();
  readonly #logger: Logger;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  /** Calls `listener` for every such event; returns what ends that. */
  on<Name extends InboxEventName>(name: Name, listener: (event: InboxEventMap[Name]) => void): () => void {
    const listeners = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, listeners.add(listener));
    return () => void listeners.delete(listener);
  }

  emit<Name extends InboxEventName>(name: Name, event: InboxEventMap[Name]): void {
    for (const listener of this.#listeners.get(name) ?? []) {
      try {
        (listener as (event: InboxEventMap[Name]) => void)(event);
      } catch (error) {
        this.#logger.error({ err: error, event: name }, 'a listener of an inbox threw');
      }
    }
  }
}
