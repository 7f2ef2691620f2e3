import { defineEvent } from '@txbox/core';
import { bucketOf, encodeHeaders, HEADER, newMessageIdBytes } from '@txbox/core/spi';
import { SHARDS } from '@txbox/outbox/store';
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

const text = (value: string): Buffer => Buffer.from(value);
const FIXED_HEADERS = encodeHeaders([
  [HEADER.type, text(Purchased.name)],
  [HEADER.version, text('1')],
  [HEADER.contentType, text('application/json')],
  [HEADER.aggregateType, text('account')],
]);
/** After the byte of the block's format. */
const HEADERS_AT = 1;

/** The row that the framework writes for an event, as one writes it by hand: what is the same for all is encoded once, nothing is checked. */
export function rowByHand(payload: PurchasedPayload): unknown[] {
  const { account } = payload;
  const id = newMessageIdBytes();
  const key = text(account);
  const json = text(JSON.stringify(payload));
  const own = encodeHeaders([
    [HEADER.id, id],
    [HEADER.occurredAt, text(new Date().toISOString())],
    [HEADER.aggregateId, key],
  ]);
  const headers = Buffer.concat([FIXED_HEADERS, own.subarray(HEADERS_AT)]);
  const bytes = key.length + headers.length + json.length;
  return [bucketOf(key, SHARDS), id, Purchased.topic, key, 'account', account, Purchased.name, null, headers, json, bytes];
}

/** One INSERT of so many rows, as one writes it by hand. */
export function insertByHand(rows: number): string {
  return `INSERT INTO txbox_outbox (${COLUMNS}) VALUES ${Array(rows).fill(ROW).join(', ')}`;
}
