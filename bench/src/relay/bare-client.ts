import type { WireHeader, WireRecord } from '@txbox/core/spi';

/** The Kafka clients under measurement. */
export type ClientName = 'kafkajs' | 'platformatic';

/** A message in the form that its client takes. */
export type ClientMessage = object;

/**
 * A Kafka client as somebody uses it who has nothing but the client: acks −1, no idempotence, as the relay has it.
 * Adapters in `clients/`.
 */
export interface BareClient {
  /** Without a partition the client's own partitioner chooses by the key. */
  messageOf(topic: string, record: WireRecord, partition?: number): ClientMessage;
  /** Resolves when the broker has acknowledged all of them. */
  send(topic: string, messages: readonly ClientMessage[]): Promise<void>;
  close(): Promise<void>;
}

/** A name that several headers share is not used here. */
export function headersByName(headers: readonly WireHeader[]): Record<string, Buffer> {
  return Object.fromEntries(headers);
}
