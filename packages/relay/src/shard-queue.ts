import type { Page, PageHead, PageRequest, PendingRow, RowHead } from '@txbox/outbox/store';
import type { Lane, LaneRow } from './lane.ts';
import { type CommittedRow, LowMark } from './low-mark.ts';

/** Bytes that a row takes on the wire beside key, headers and payload: names of headers, lengths, offsets. */
const WIRE_OVERHEAD_BYTES = 160;

/**
 * A pending row in memory:
 *
 * ```
 * queued ── request acknowledged ──► acknowledged ── deleted ──► settled, forgotten when no older page is on its way
 * ```
 */
export class QueuedRow implements LaneRow {
  readonly row: PendingRow;
  readonly queue: ShardQueue;
  readonly bytes: number;
  abandoned = false;
  acknowledged = false;
  mayBePublished = false;

  constructor(row: PendingRow, queue: ShardQueue) {
    this.row = row;
    this.queue = queue;
    this.bytes = row.bytes + WIRE_OVERHEAD_BYTES;
  }

  get shard(): number {
    return this.row.shard;
  }

  /** Bytes held in this process's memory. */
  get heldBytes(): number {
    return this.row.payload === null ? this.row.headers.length : this.row.bytes;
  }
}

/** A lane of queued rows. */
export type RelayLane = Lane<QueuedRow>;

/** What a shard asks of the lanes when a page arrives. */
export interface LaneRouter {
  laneOf(row: RowHead): RelayLane;
  /** True when the lane takes no more rows into memory for now (P-R10). */
  isFull(lane: RelayLane): boolean;
  /** True when the lane does not move for now. */
  isHeldUp(lane: RelayLane): boolean;
  enqueue(lane: RelayLane, row: QueuedRow): void;
}

/** A page request and what the answer must be held against. */
export interface SentRequest {
  readonly queue: ShardQueue;
  readonly request: PageRequest;
  readonly generation: number;
  /** True when the answer is the committed look of the low mark. */
  readonly isLook: boolean;
}

/** What a page brought. */
export interface Delivered {
  /** Rows that are new in memory. */
  readonly taken: number;
  /** True when rows that nobody had read showed up behind the place of reading: the shard must be read again. */
  readonly rewound: boolean;
  readonly lowRose: boolean;
}

/**
 * One shard's rows in memory and how far it has been read. Does no I/O.
 *
 * Every page is one snapshot of all positions from the low mark on (P-R2). Rows behind the place of reading come as
 * heads; one that is not in memory committed late, and nothing of its page may be sent before it: the page is dropped
 * and reading goes on at that row.
 */
export class ShardQueue {
  readonly shard: number;
  readonly epoch: number;
  readonly lowMark: LowMark = new LowMark();
  readonly #rows: Map<number, QueuedRow> = new Map();
  /** Lowest position of each lane whose rows were left out of memory; followers are left out as well. */
  readonly #leftOut: Map<RelayLane, number> = new Map();
  /** Rows of parked keys, to be moved behind their keys' dead letters (P-R11). */
  readonly #parked: Map<number, RowHead> = new Map();
  #acknowledged: QueuedRow[] = [];
  #acknowledgedAt = 0;
  /** Rows deleted while an older page was on its way: it may still show them. */
  #graves: QueuedRow[] = [];
  #reading = 0;
  /** First position that has not been read. */
  #cursor = 0;
  /** Pages asked for under an older generation are void. */
  #generation = 0;
  #heldBytes = 0;
  /** The last page was full: there is more. */
  more = false;
  /** False when the relay gave the shard up; rows on their way still end, new ones are not read. */
  live = true;
  /** Until then (monotonic) rows are settled in the form that never waits (P-R7). */
  settleEachUntil = 0;

  constructor(shard: number, epoch: number) {
    this.shard = shard;
    this.epoch = epoch;
  }

  get low(): number {
    return this.lowMark.value;
  }

  get cursor(): number {
    return this.#cursor;
  }

  get size(): number {
    return this.#rows.size;
  }

  get heldBytes(): number {
    return this.#heldBytes;
  }

  holdsUpTo(position: number): boolean {
    for (const at of this.#rows.keys()) if (at <= position) return true;
    return false;
  }

  get acknowledged(): number {
    return this.#acknowledged.length;
  }

  /** When the oldest row that waits to be settled was acknowledged, by the monotonic clock. */
  get acknowledgedAt(): number {
    return this.#acknowledgedAt;
  }

  /** Lowest position that was left out of memory, `undefined` when nothing is. */
  get lowestLeftOut(): number | undefined {
    return this.#leftOut.size === 0 ? undefined : Math.min(...this.#leftOut.values());
  }

  /** Rows of parked keys that wait to be moved. */
  get parkedRows(): number {
    return this.#parked.size;
  }

  /** The same rows, ascending. */
  get parked(): readonly RowHead[] {
    return [...this.#parked.values()].sort((a, b) => a.position - b.position);
  }

  /** The rows were moved, or their key is not parked any more: those that are left are read again. */
  endParked(rows: readonly RowHead[], moved: boolean): void {
    for (const row of rows) if (this.#parked.get(row.position)?.id.equals(row.id)) this.#parked.delete(row.position);
    const [first] = rows;
    if (first && !moved) this.rewindTo(first.position);
  }

  /** Forgets rows that left their lane though they are not acknowledged; pages on their way are void (P-R4). */
  readAgain(rows: readonly QueuedRow[]): void {
    for (const row of rows) this.#forget(row);
    if (rows.length > 0) this.rewindTo(Math.min(...rows.map((row) => row.row.position)));
  }

  /** Lanes of which rows were left out of memory. */
  leftOutLanes(): Iterable<RelayLane> {
    return this.#leftOut.keys();
  }

  /** Begins a read; `start` is the low mark as long as there is little to read twice. */
  ask(limit: number, inlineBytes: number): SentRequest {
    this.#reading += 1;
    const start = this.more || this.#rows.size > limit / 4 ? Math.max(this.low, this.#cursor) : this.low;
    // Where rows were left out, each head must be known by its lane.
    const request = {
      shard: this.shard,
      low: this.low,
      start,
      limit,
      inlineBytes,
      backlog: this.more,
      compactHeads: this.#leftOut.size === 0,
    };
    return { queue: this, request, generation: this.#generation, isLook: this.lowMark.awaitsCommittedLook };
  }

  /** Begins a look at positions below the low mark: the sweep (P-R2). */
  askBelow(from: number, to: number): SentRequest {
    this.#reading += 1;
    const request = { shard: this.shard, low: from, start: to, limit: 0, inlineBytes: 0 };
    return { queue: this, request, generation: this.#generation, isLook: false };
  }

  /** The answer to `ask`; without a page the read failed. */
  deliver(sent: SentRequest, page: Page | undefined, router: LaneRouter): Delivered {
    const result = this.live && page && sent.generation === this.#generation ? this.#take(sent, page, router) : NOTHING;
    this.#endRead();
    return result;
  }

  /** The answer to `askBelow`: the lowest row that nobody had read, from which on the shard is read again. */
  deliverBelow(sent: SentRequest, page: Page | undefined, router: LaneRouter): RowHead | undefined {
    const stray =
      this.live && page && sent.generation === this.#generation
        ? page.heads.find((head) => !this.#knows(head) && !this.#leftOut.has(router.laneOf(head)))
        : undefined;
    if (stray) this.rewindTo(stray.position);
    this.#endRead();
    return stray;
  }

  /** Forgets the newest rows of a lane that is held; they are read again when it has room (P-R10). */
  leaveOut(lane: RelayLane, rows: readonly QueuedRow[]): void {
    for (const row of rows) {
      this.#forget(row);
      this.#noteLeftOut(lane, row.row.position);
    }
  }

  /** The lane has room again: reads what was left out of it. Pages on their way are void, or a follower would overtake. */
  takeBackIn(lane: RelayLane): void {
    const lowest = this.#leftOut.get(lane);
    if (lowest === undefined) return;
    this.#leftOut.delete(lane);
    this.rewindTo(lowest);
  }

  rewindTo(position: number): void {
    this.lowMark.lowerTo(position);
    this.#cursor = Math.min(this.#cursor, position);
    this.#generation += 1;
    this.more = true;
  }

  /**
   * The server may have been restarted: positions mean nothing any more (P-R7). What is acknowledged or on its way is
   * known by its id and stays; the rest is read again. The caller takes the abandoned rows out of their lanes.
   */
  restart(inFlight: (row: QueuedRow) => boolean): void {
    for (const row of this.#rows.values()) {
      if (row.acknowledged || inFlight(row)) continue;
      row.abandoned = true;
      this.#forget(row);
    }
    this.#leftOut.clear();
    this.#parked.clear();
    this.#bury();
    this.rewindTo(0);
  }

  /** Gives the shard up: rows that are not acknowledged are abandoned. */
  giveUp(): void {
    this.live = false;
    this.#generation += 1;
    this.#parked.clear();
    for (const row of this.#rows.values()) if (!row.acknowledged) row.abandoned = true;
  }

  /** An abandoned row left its lane. */
  drop(row: QueuedRow): void {
    this.#forget(row);
  }

  acknowledge(row: QueuedRow, now: number): void {
    row.acknowledged = true;
    if (this.#acknowledged.length === 0) this.#acknowledgedAt = now;
    this.#acknowledged.push(row);
  }

  /** Takes acknowledged rows to settle them, lowest positions first. */
  takeAcknowledged(limit: number, now: number): QueuedRow[] {
    this.#acknowledged.sort((a, b) => a.row.position - b.row.position);
    const taken = this.#acknowledged.splice(0, limit);
    this.#acknowledgedAt = now;
    return taken;
  }

  /** Settling failed: the rows wait for the next try. */
  putBackAcknowledged(rows: readonly QueuedRow[]): void {
    this.#acknowledged.unshift(...rows);
  }

  /** The rows are deleted. A page that was asked for before may still show them, so they are remembered until it is there. */
  settled(rows: readonly QueuedRow[]): void {
    for (const row of rows) {
      if (this.#reading > 0) this.#graves.push(row);
      else this.#forget(row);
    }
  }

  #take(sent: SentRequest, page: Page, router: LaneRouter): Delivered {
    const stranger = this.#strangerOf(page, router);
    if (stranger !== undefined) {
      this.rewindTo(stranger);
      return { taken: 0, rewound: true, lowRose: false };
    }
    let taken = 0;
    for (const row of page.rows) taken += this.#takeRow(row, router);
    // Only now: rows that this very page left out are remembered and do not hold the mark.
    const lowRose = sent.isLook && this.lowMark.committedLook(this.#committedRows(page, router), page.end);
    const last = page.rows.at(-1);
    if (last) this.#cursor = Math.max(this.#cursor, last.position + 1);
    this.more = page.end !== Number.POSITIVE_INFINITY;
    return { taken, rewound: false, lowRose };
  }

  /** The lowest row behind the place of reading that is not in memory, though nothing says why. */
  #strangerOf({ heads, compactHeads }: Page, router: LaneRouter): number | undefined {
    for (let index = 0; compactHeads && index < compactHeads.length; index += 1) {
      const position = compactHeads.position(index);
      const known = this.#rows.get(position);
      if (!known || !compactHeads.isOf(index, known.row.id)) return position;
    }
    return heads.find((head) => !this.#setAside(head, router) && !this.#knows(head) && !this.#leftOut.has(router.laneOf(head)))?.position;
  }

  #takeRow(row: PendingRow, router: LaneRouter): number {
    if (this.#setAside(row, router) || this.#knows(row)) return 0;
    const lane = router.laneOf(row);
    if (this.#leftOut.has(lane) || router.isFull(lane)) {
      this.#noteLeftOut(lane, row.position);
      return 0;
    }
    const stale = this.#rows.get(row.position);
    if (stale) this.#forget(stale);
    const queued = new QueuedRow(row, this);
    this.#rows.set(row.position, queued);
    this.#heldBytes += queued.heldBytes;
    router.enqueue(lane, queued);
    return 1;
  }

  /**
   * True for a row of a parked key: it is not sent (P-R9). Also one that is in memory is moved, or a follower of it would stand
   * before it among the dead letters; what is acknowledged is settled as usual. A page that shows the key as free ends that. Where
   * rows of its lane were left out, which this page need not show, it is left out as well: or it would be moved before them.
   */
  #setAside(head: PageHead, router: LaneRouter): boolean {
    const { shard, position, id, topic, key, parked } = head;
    if (!parked) {
      if (this.#parked.size > 0) this.#parked.delete(position);
      return false;
    }
    const lane = this.#leftOut.size > 0 ? router.laneOf(head) : undefined;
    if (lane && this.#leftOut.has(lane)) this.#noteLeftOut(lane, position);
    else if (!(this.#knows(head) && this.#rows.get(position)?.acknowledged))
      this.#parked.set(position, { shard, position, id, topic, key });
    return true;
  }

  *#committedRows(page: Page, router: LaneRouter): Generator<CommittedRow> {
    const passable = (position: number): boolean => {
      const known = this.#rows.get(position);
      return known ? this.#mayPass(known, router) : !this.#parked.has(position);
    };
    // Those of a block are in memory, so the first one says it all.
    if (page.compactHeads) yield { position: page.compactHeads.position(0), passable: false };
    for (const { position } of page.heads) yield { position, passable: passable(position) };
    for (const { position } of page.rows) yield { position, passable: passable(position) };
  }

  /**
   * Rows in memory hold the low mark, for little is read twice. Not those of lanes that do not move, once rows are left out: these
   * are heads of every page as long as the mark stands before them. Then the lane counts as left out from that row on.
   */
  #mayPass(known: QueuedRow, router: LaneRouter): boolean {
    if (known.acknowledged || this.#leftOut.size === 0) return false;
    const lane = router.laneOf(known.row);
    if (!this.#leftOut.has(lane) && !router.isHeldUp(lane)) return false;
    this.#noteLeftOut(lane, known.row.position);
    return true;
  }

  // By id too: after a restart of the server another row may have the number (P-T3).
  #knows(head: RowHead): boolean {
    const known = this.#rows.get(head.position);
    return known?.row.id.equals(head.id) === true;
  }

  #noteLeftOut(lane: RelayLane, position: number): void {
    this.#leftOut.set(lane, Math.min(position, this.#leftOut.get(lane) ?? position));
  }

  #endRead(): void {
    this.#reading -= 1;
    if (this.#reading === 0) this.#bury();
  }

  #bury(): void {
    for (const row of this.#graves) this.#forget(row);
    this.#graves = [];
  }

  #forget(row: QueuedRow): void {
    if (this.#rows.get(row.row.position) !== row) return;
    this.#rows.delete(row.row.position);
    this.#heldBytes -= row.heldBytes;
  }
}

const NOTHING: Delivered = { taken: 0, rewound: false, lowRose: false };
