import type { HoldReason } from './lane.ts';

/** A lane or, without `partition`, a whole topic. */
export interface LaneName {
  readonly topic: string;
  readonly partition?: number;
}

/** What a relay tells about itself. Listeners are called synchronously; what they throw is swallowed. */
export interface RelayEvents {
  /** A request was acknowledged: so many messages are in the log. */
  published: LaneName & { readonly messages: number; readonly sendMs: number };
  /** Published messages were removed from the outbox. */
  settled: { readonly messages: number; readonly settleMs: number };
  /** A request failed or its outcome is unknown: its messages are sent again, but one that is refused for what it is. */
  retried: Required<LaneName> & { readonly messages: number; readonly reason: HoldReason; readonly sendMs: number };
  /** A lane or topic does not move; it is tried again after `retryInMs`. */
  held: LaneName & { readonly reason: HoldReason; readonly attempts: number; readonly retryInMs: number };
  /** A held lane or topic moves again. */
  recovered: LaneName;
  /**
   * A message was refused for what it is and is a dead letter now. Its key is parked with it: what follows waits behind it,
   * until an operator decides. With `onPermanentFailure: 'skip-message'` it stands alone, and its key goes on.
   */
  parked: Required<LaneName> & {
    /** Sixteen bytes. */
    readonly id: Buffer;
    readonly key: Buffer | null;
    readonly reason: HoldReason;
    readonly attempts: number;
    readonly keyGoesOn: boolean;
  };
  /** Messages of a parked key were moved behind its dead letters. */
  followed: { readonly topic: string; readonly key: Buffer; readonly messages: number };
  /**
   * A message appeared below the low mark (P-R2): an INSERT took longer than `lowLagMs`, or positions were issued again.
   * It is published, but messages of its key may have overtaken it.
   */
  'order-alarm': { readonly shard: number; readonly position: number; readonly low: number };
  'shard-acquired': { readonly shard: number; readonly epoch: number };
  /** `handed-over`: another relay asked for it; `lost`: the lease is another's or could not be renewed; `stopped`: this relay stops. */
  'shard-released': { readonly shard: number; readonly epoch: number; readonly why: 'handed-over' | 'lost' | 'stopped' };
  /** Ten times a second: by how many milliseconds the process's event loop was late. */
  'event-loop-delay': { readonly delayMs: number };
  /**
   * The process did nothing for so long: code that does not return, garbage collection, or it was paused. Beyond two thirds of
   * `leaseTtlMs` its leases are not trusted any more, and nothing is sent before they are renewed.
   */
  'event-loop-blocked': { readonly blockedMs: number; readonly leasesTrusted: boolean };
  /** Messages were forgotten because they were kept for as long as configured. */
  cleaned: { readonly what: 'archive' | 'dead-letters'; readonly messages: number };
  /** A pass of one of the loops failed and is tried again. */
  failed: { readonly what: 'read' | 'settle' | 'lease' | 'park' | 'maintenance'; readonly code: string; readonly message: string };
}

type Listener = (event: never) => void;

/** Typed events of a relay. */
export class RelayEmitter {
  readonly #listeners: Map<keyof RelayEvents, Set<Listener>> = new Map();

  /** Returns what ends the subscription. */
  on<Name extends keyof RelayEvents>(name: Name, listener: (event: RelayEvents[Name]) => void): () => void {
    const listeners = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, listeners);
    listeners.add(listener as Listener);
    return () => listeners.delete(listener as Listener);
  }

  /** Never throws: a listener that fails is its owner's business. */
  emit<Name extends keyof RelayEvents>(name: Name, event: RelayEvents[Name]): void {
    const listeners = this.#listeners.get(name);
    if (!listeners) return;
    for (const listener of listeners) {
      try {
        (listener as (event: RelayEvents[Name]) => void)(event);
      } catch {
        // Whoever listens handles its own errors.
      }
    }
  }
}
