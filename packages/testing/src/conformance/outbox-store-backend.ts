import type { EncodedMessage } from '@txbox/core/spi';
import { type OutboxStore, type Page, type RowHead, SHARDS, shardOf } from '@txbox/outbox/store';
import { expect } from 'vitest';
import { sampleMessage, uniqueName } from './sample.ts';

/**
 * - `late-commits`: two writers may have transactions open at once, so a row may appear below one that is visible.
 * - `dirty-reads`: a dirty look shows what is not committed.
 */
export type OutboxStoreFeature = 'late-commits' | 'dirty-reads';

/** A writer's transaction on a connection of its own. */
export interface OutboxTransaction {
  insert(messages: readonly EncodedMessage[]): Promise<void>;
  /** Deletes committed rows, without ending the transaction. */
  remove(ids: readonly Buffer[]): Promise<void>;
  commit(): Promise<void>;
  rollback(): Promise<void>;
}

/** An outbox of its own, empty at first. */
export interface OutboxStoreBackend {
  readonly store: OutboxStore;
  begin(): Promise<OutboxTransaction>;
  dispose(): Promise<void>;
}

/** Asks for a whole shard; which one is missing. */
export const ALL = { low: 0, start: 0, limit: 10_000, inlineBytes: 1_000_000 };

/** Removes what earlier claims have left. */
export async function settleAll({ store }: OutboxStoreBackend): Promise<void> {
  for (let shard = 0; shard < SHARDS; shard++) {
    const [page] = await store.readPages([{ shard, low: 0, start: 0, limit: 10_000, inlineBytes: 0 }]);
    if (page && page.rows.length > 0) await store.settle(page.rows, 'each');
  }
}

export async function added(outbox: OutboxStoreBackend, messages: readonly EncodedMessage[]): Promise<void> {
  const transaction = await outbox.begin();
  await transaction.insert(messages);
  await transaction.commit();
}

export async function rowsOf(
  { store }: OutboxStoreBackend,
  shard: number,
  parts: { low?: number; inlineBytes?: number } = {},
): Promise<Page['rows']> {
  const low = parts.low ?? 0;
  const [page] = await store.readPages([{ ...ALL, ...parts, shard, low, start: low }]);
  return (page as Page).rows;
}

export function sameId(message: EncodedMessage): (row: RowHead) => boolean {
  return (row) => row.id.equals(message.id);
}

export async function visible(outbox: OutboxStoreBackend, message: EncodedMessage): Promise<boolean> {
  return (await rowsOf(outbox, shardOf(message))).some(sameId(message));
}

export async function only(outbox: OutboxStoreBackend, message: EncodedMessage): Promise<Page['rows'][number]> {
  const rows = (await rowsOf(outbox, shardOf(message))).filter(sameId(message));
  expect(rows).toHaveLength(1);
  return rows[0] as Page['rows'][number];
}

/** Three rows of one key; the middle one was drawn second and committed last. */
export async function lateCommit(outbox: OutboxStoreBackend): Promise<{ before: RowHead; late: RowHead; after: RowHead }> {
  const key = Buffer.from(uniqueName('late'));
  const [before, late, after] = [sampleMessage({ key }), sampleMessage({ key }), sampleMessage({ key })];
  await added(outbox, [before]);
  const writing = await outbox.begin();
  await writing.insert([late]);
  await added(outbox, [after]);
  expect(await visible(outbox, late)).toBe(false);
  expect(await visible(outbox, after)).toBe(true);
  await writing.commit();
  return { before: await only(outbox, before), late: await only(outbox, late), after: await only(outbox, after) };
}
