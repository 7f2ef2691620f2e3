import { defineEvent } from '@txbox/core';
import { encodeHeaders, encodeMessage } from '@txbox/core/spi';
import { shardOf } from '@txbox/outbox/store';
import type { Purchase } from './usual-transaction.ts';

/** What other services are told. */
export interface PurchasedPayload {
  readonly account: string;
  readonly amount: number;
  readonly currency: string;
  readonly note: string;
  readonly lines: readonly { readonly sku: string; readonly quantity: number; readonly price: number }[];
}

export const Purchased = defineEvent('purchase.made', {
  topic: 'purchases',
  aggregate: { type: 'account', id: (payload: PurchasedPayload) => payload.account },
  key: (payload: PurchasedPayload) => payload.account,
});

/** The `at`th event of a purchase: about 200 bytes of JSON. */
export function payloadOf({ account, amount, note, sku, quantity }: Purchase, at: number): PurchasedPayload {
  const line = { sku, quantity, price: amount };
  return { account: `account-${account}-${at}`, amount, currency: 'EUR', note, lines: [line, { ...line, quantity: at }] };
}

const COLUMNS = 'shard, id, topic, message_key, aggregate_type, aggregate_id, type, sequence, headers, payload, bytes, created_at';
const ROW = '(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, UTC_TIMESTAMP(6))';

/** The row that the framework writes for an event, encoded. */
export function rowOf(payload: PurchasedPayload): unknown[] {
  const message = encodeMessage(Purchased, payload);
  const headers = encodeHeaders(message.headers);
  const bytes = (message.key?.length ?? 0) + headers.length + message.payload.length;
  const { id, topic, key, aggregateType, aggregateId, type, sequence } = message;
  return [shardOf(message), id, topic, key, aggregateType, aggregateId, type, sequence, headers, message.payload, bytes];
}

/** One INSERT of so many rows, as one writes it by hand. */
export function insertByHand(rows: number): string {
  return `INSERT INTO txbox_outbox (${COLUMNS}) VALUES ${Array(rows).fill(ROW).join(', ')}`;
}
