import { isDeepStrictEqual } from 'node:util';
import { type DeadLetter, type EncodedMessage, gapMarkerHeaders, newMessageIdBytes, parkedKeyId, sqlTimeOf } from '@txbox/core/spi';
import {
  CompactHeads,
  type OutboxBacklog,
  type OutboxStore,
  type Page,
  type PageRequest,
  type ParkingFailure,
  type PendingRow,
  type RowHead,
  type ShardBacklog,
  shardOf,
  type TopicPin,
} from '@txbox/outbox/store';
import { MemoryArchive } from './memory-archive.ts';
import { MemoryDeadLetters } from './memory-dead-letters.ts';

/** What has become of a row so far; `deleting` = an open transaction deletes it. */
type RowState = 'uncommitted' | 'committed' | 'deleting';

interface Row extends Omit<PendingRow, 'parked'> {
  readonly payload: Buffer;
  readonly type: string | null;
  readonly aggregateType: string | null;
  readonly aggregateId: string | null;
  readonly insertedAt: number;
  state: RowState;
}

/** What a {@link MemoryOutbox} takes. */
export interface MemoryOutboxOptions {
  /** Wall clock, milliseconds since 1970. Default the machine's. */
  readonly now?: () => number;
  /** Whether `archive` keeps what is settled or redriven. Default false. */
  readonly archives?: boolean;
}

/**
 * An outbox in memory that shows what a relay sees of InnoDB: a position is drawn when a row is inserted and its
 * transaction may commit much later, an answer is one snapshot, a dirty look shows uncommitted rows and misses rows
 * whose DELETE is open, and such a DELETE may still roll back (P-R2). Nothing is locked and nothing ever waits.
 */
export class MemoryOutbox implements OutboxStore {
  readonly #rows: Map<number, Row> = new Map();
  readonly #pins: Map<string, TopicPin> = new Map();
  readonly #now: () => number;
  readonly #archives: boolean;
  #next = 1;
  readonly deadLetters: MemoryDeadLetters;
  readonly archive: MemoryArchive;

  constructor(options: MemoryOutboxOptions = {}) {
    this.#now = options.now ?? Date.now;
    this.#archives = options.archives ?? false;
    this.archive = new MemoryArchive(this.#now);
    this.deadLetters = new MemoryDeadLetters(this.#now, (letter) => this.#keep(letter));
  }

  /** Opens a transaction; any number may be open at once. */
  begin(): MemoryOutboxTransaction {
    return new MemoryOutboxTransaction({
      draw: (count) => this.#draw(count),
      insert: (position, message) => this.#insert(position, message),
      remove: (id) => this.#remove(id),
    });
  }

  /** Draws and inserts in a transaction of its own; returns the positions. */
  add(messages: readonly EncodedMessage[]): number[] {
    const transaction = this.begin();
    const positions = transaction.insert(messages);
    transaction.commit();
    return positions;
  }

  /** The next position that is drawn: a server that crashed issues numbers again (P-T3). */
  numberFrom(position: number): void {
    this.#next = position;
  }

  readPages(requests: readonly PageRequest[]): Promise<Page[]> {
    const visible = this.#sorted().filter((row) => row.state !== 'uncommitted');
    const pages = requests.map(({ shard, low, start, limit, inlineBytes, compactHeads = false }) => {
      const rows = visible.filter((row) => row.shard === shard && row.position >= low);
      const heads = rows.filter((row) => row.position < start);
      const shown = rows.filter((row) => row.position >= start).slice(0, limit);
      const compact = compactHeads && !this.deadLetters.anyParked && heads.length > 0;
      return {
        shard,
        heads: compact ? [] : heads.map((row) => ({ ...headOf(row), parked: this.#isParked(row) })),
        ...(compact ? { compactHeads: CompactHeads.of(heads) } : {}),
        rows: shown.map((row) => pendingOf(row, inlineBytes, this.#isParked(row))),
        end: shown.length < limit ? Number.POSITIVE_INFINITY : (shown.at(-1)?.position ?? start - 1) + 1,
      };
    });
    return Promise.resolve(pages);
  }

  loadPayloads(rows: readonly RowHead[]): Promise<Map<number, Buffer>> {
    const found = rows.flatMap((head): [number, Buffer][] => {
      const row = this.#visible(head);
      return row ? [[row.position, Buffer.from(row.payload)]] : [];
    });
    return Promise.resolve(new Map(found));
  }

  highestPosition(): Promise<number> {
    return Promise.resolve(this.#sorted().findLast((row) => row.state !== 'uncommitted')?.position ?? 0);
  }

  dirtyPositions(requests: readonly { shard: number; low: number; upTo: number; limit: number }[]): Promise<number[][]> {
    const shown = this.#sorted().filter((row) => row.state !== 'deleting');
    return Promise.resolve(
      requests.map(({ shard, low, upTo, limit }) =>
        shown
          .filter((row) => row.shard === shard && row.position >= low && row.position <= upTo)
          .slice(0, limit)
          .map((row) => row.position),
      ),
    );
  }

  settle(rows: readonly RowHead[]): Promise<number> {
    const found = rows.flatMap((head) => this.#visible(head) ?? []);
    for (const row of found) {
      this.#keep(row);
      this.#rows.delete(row.position);
    }
    return Promise.resolve(found.length);
  }

  park(head: RowHead, failure: ParkingFailure): Promise<void> {
    const row = this.#visible(head);
    if (row) this.#toDeadLetters(row, parkedKeyId(row.topic, row.key, row.id), failure);
    return Promise.resolve();
  }

  skip(head: RowHead, failure: ParkingFailure): Promise<void> {
    const row = this.#visible(head);
    if (!row) return Promise.resolve();
    this.#toDeadLetters(row, row.id, failure);
    if (row.sequence === null) return Promise.resolve();
    const headers = gapMarkerHeaders(row.sequence);
    const marker = { id: newMessageIdBytes(), type: '', aggregateType: null, aggregateId: null, sequence: null };
    const bytes = headers.length + (row.key?.length ?? 0);
    this.#rows.set(row.position, { ...row, ...marker, headers, payload: Buffer.alloc(0), bytes });
    return Promise.resolve();
  }

  moveFollowers(heads: readonly RowHead[]): Promise<boolean> {
    for (const head of heads) {
      const id = parkedKeyId(head.topic, head.key, head.id);
      if (!this.deadLetters.isParked(id)) return Promise.resolve(false);
      const row = this.#visible(head);
      if (row) this.#toDeadLetters(row, id, undefined);
    }
    return Promise.resolve(true);
  }

  pin(topic: string, partitions: number): Promise<TopicPin> {
    const pinned = this.#pins.get(topic) ?? { topic, partitions, generation: 1, switching: null };
    this.#pins.set(topic, pinned);
    return Promise.resolve(pinned);
  }

  pins(): Promise<TopicPin[]> {
    return Promise.resolve([...this.#pins.values()].sort((one, other) => (one.topic < other.topic ? -1 : 1)));
  }

  changePin(known: TopicPin, next: TopicPin): Promise<boolean> {
    if (!isDeepStrictEqual(this.#pins.get(known.topic), known)) return Promise.resolve(false);
    this.#pins.set(known.topic, next);
    return Promise.resolve(true);
  }

  databaseTime(): Promise<string> {
    return Promise.resolve(sqlTimeOf(this.#now()));
  }

  backlog(): Promise<OutboxBacklog> {
    return Promise.resolve(this.#backlogOf([...this.#rows.values()].filter((row) => row.state !== 'uncommitted')));
  }

  shardBacklogs(requests: readonly { readonly shard: number; readonly from: number }[]): Promise<ShardBacklog[]> {
    return Promise.resolve(
      requests.map(({ shard, from }) => {
        const rows = [...this.#rows.values()].filter((row) => row.state !== 'uncommitted' && row.shard === shard && row.position >= from);
        return { shard, ...this.#backlogOf(rows), exact: true };
      }),
    );
  }

  isSettledUpTo(position: number): Promise<boolean> {
    return Promise.resolve(![...this.#rows.values()].some((row) => row.state !== 'uncommitted' && row.position <= position));
  }

  #keep({ id, topic, key, type, sequence, headers, payload, bytes }: Row | DeadLetter): void {
    if (this.#archives) this.archive.add({ id, topic, key, type: type ?? '', sequence, headers, payload, bytes });
  }

  #backlogOf(rows: readonly Row[]): OutboxBacklog {
    return {
      rows: rows.length,
      bytes: rows.reduce((sum, row) => sum + row.bytes, 0),
      oldestAgeMs: rows.length === 0 ? 0 : Math.max(0, this.#now() - Math.min(...rows.map((row) => row.insertedAt))),
    };
  }

  #isParked({ topic, key, id }: Row): boolean {
    return key !== null && this.deadLetters.isParked(parkedKeyId(topic, key, id));
  }

  #toDeadLetters(row: Row, parkedKeyIdOfRow: Buffer, failure: ParkingFailure | undefined): void {
    const { id, topic, key, type, aggregateType, aggregateId, sequence, headers, payload, bytes } = row;
    this.deadLetters.add({
      ...{ id, parkedKeyId: parkedKeyIdOfRow, topic, key, type, aggregateType, aggregateId, sequence, headers, payload, bytes },
      partition: failure?.partition ?? null,
      publishedAt: failure?.mayBePublished ? sqlTimeOf(this.#now()) : null,
      attempts: failure?.attempts ?? 0,
      reason: failure?.reason ?? null,
    });
    this.#rows.delete(row.position);
  }

  #sorted(): Row[] {
    return [...this.#rows.values()].sort((a, b) => a.position - b.position);
  }

  #visible(head: RowHead): Row | undefined {
    const row = this.#rows.get(head.position);
    return row && row.state !== 'uncommitted' && row.shard === head.shard && row.id.equals(head.id) ? row : undefined;
  }

  #draw(count: number): number {
    const first = this.#next;
    this.#next += count;
    return first;
  }

  #insert(position: number, message: EncodedMessage): UndoableChange {
    if (this.#rows.has(position))
      throw new Error(`Position ${position} is taken: the outbox numbers rows from below one that is still there.`);
    const headers = Buffer.from(message.headers);
    const insertedAt = this.#now();
    this.#rows.set(position, {
      shard: shardOf(message),
      position,
      id: Buffer.from(message.id),
      topic: message.topic,
      type: message.type,
      aggregateType: message.aggregateType,
      aggregateId: message.aggregateId,
      key: message.key && Buffer.from(message.key),
      sequence: message.sequence,
      headers,
      payload: Buffer.from(message.payload),
      bytes: (message.key?.length ?? 0) + headers.length + message.payload.length,
      createdAt: sqlTimeOf(insertedAt),
      insertedAt,
      state: 'uncommitted',
    });
    return {
      commit: () => this.#changeState(position, 'committed'),
      rollback: () => this.#rows.delete(position),
    };
  }

  #remove(id: Buffer): UndoableChange {
    const row = [...this.#rows.values()].find((one) => one.id.equals(id) && one.state === 'committed');
    if (!row) return { commit: () => undefined, rollback: () => undefined };
    row.state = 'deleting';
    return {
      commit: () => this.#rows.delete(row.position),
      rollback: () => this.#changeState(row.position, 'committed'),
    };
  }

  #changeState(position: number, state: RowState): void {
    const row = this.#rows.get(position);
    if (row) row.state = state;
  }
}

interface UndoableChange {
  commit(): void;
  rollback(): void;
}

interface MemoryOutboxTable {
  draw(count: number): number;
  insert(position: number, message: EncodedMessage): UndoableChange;
  remove(id: Buffer): UndoableChange;
}

/** One writer's transaction on a {@link MemoryOutbox}. It ends once. */
export class MemoryOutboxTransaction {
  readonly #table: MemoryOutboxTable;
  readonly #changes: UndoableChange[] = [];
  #ended = false;

  constructor(table: MemoryOutboxTable) {
    this.#table = table;
  }

  /** Draws positions without a row yet: the moment between drawing a number and inserting its row. */
  draw(count: number): number {
    this.#refuseEnded();
    return this.#table.draw(count);
  }

  /** Inserts in order, at positions drawn now or, when `first` is given, drawn before; returns the positions. */
  insert(messages: readonly EncodedMessage[], first: number = this.draw(messages.length)): number[] {
    this.#refuseEnded();
    return messages.map((message, index) => {
      this.#changes.push(this.#table.insert(first + index, message));
      return first + index;
    });
  }

  /** Deletes committed rows; committed looks show them, dirty ones do not, until this transaction ends. */
  remove(ids: readonly Buffer[]): void {
    this.#refuseEnded();
    for (const id of ids) this.#changes.push(this.#table.remove(id));
  }

  commit(): void {
    this.#end();
    for (const change of this.#changes) change.commit();
  }

  rollback(): void {
    this.#end();
    for (const change of this.#changes.toReversed()) change.rollback();
  }

  #end(): void {
    this.#refuseEnded();
    this.#ended = true;
  }

  #refuseEnded(): void {
    if (this.#ended) throw new Error('This transaction is over.');
  }
}

function headOf({ shard, position, id, topic, key }: Row): RowHead {
  return { shard, position, id, topic, key };
}

function pendingOf(row: Row, inlineBytes: number, parked: boolean): PendingRow {
  const { sequence, headers, bytes, createdAt } = row;
  const payload = row.payload.length > inlineBytes ? null : Buffer.from(row.payload);
  return { ...headOf(row), sequence, headers, payload, bytes, createdAt, parked };
}
