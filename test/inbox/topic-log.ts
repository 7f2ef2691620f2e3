import { defineEvent, type EventDefinition, rawCodec } from '@txbox/core';
import { decodeHeaders, encodeMessage, type Publisher, type WireRecord } from '@txbox/core/spi';
import { MemoryLog } from '@txbox/testing';

interface Order {
  readonly id: string;
}

export const Paid = defineEvent('order.paid', { topic: 'orders', key: (order: Order) => order.id });
export const Placed = defineEvent('order.placed', { topic: 'orders', key: (order: Order) => order.id });
export const Charged = defineEvent('order.charged', { topic: 'charges', key: (order: Order) => order.id });
export const Scanned = defineEvent('page.scanned', { topic: 'orders', codec: rawCodec, key: (_page: Uint8Array): string | null => null });

export function recordOf(event: EventDefinition, payload: unknown, id?: string): WireRecord {
  const message = encodeMessage(event, payload, id === undefined ? {} : { id });
  return { key: message.key, value: message.payload, headers: decodeHeaders(message.headers) };
}

/** A topic `orders` in memory. */
export class TopicLog {
  readonly log: MemoryLog = new MemoryLog();
  readonly #publisher: Publisher = this.log.publisher();

  constructor(partitions = 1) {
    this.log.createTopic('orders', partitions);
  }

  async publish(partition: number, ...records: readonly WireRecord[]): Promise<void> {
    await this.#publisher.publish({ topic: 'orders', partition, records });
  }
}
