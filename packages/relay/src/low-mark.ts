/** What a look at one shard is about. */
export interface Look {
  readonly low: number;
  /** The low mark rises to `upTo + 1` at most. */
  readonly upTo: number;
}

/** A committed row as the page after the dirty look showed it. */
export interface CommittedRow {
  readonly position: number;
  /** True for a row of a held lane that is remembered elsewhere: it does not hold the low mark (P-R10). */
  readonly passable: boolean;
}

/**
 * The highest position that was visible at least `lagMs` ago (P-R2): below it every number is drawn *and* its row
 * inserted, because no INSERT takes longer than the lag.
 */
export class PositionHorizon {
  readonly #lagMs: number;
  #samples: { readonly position: number; readonly at: number }[] = [];
  #newest = 0;

  constructor(lagMs: number) {
    this.#lagMs = lagMs;
  }

  /** `position` was visible; `now` is when the answer was there, which is late and therefore safe. */
  saw(position: number, now: number): void {
    this.#newest = Math.max(this.#newest, position);
    this.#record(now);
  }

  /** 0 when nothing is old enough. */
  target(now: number): number {
    this.#record(now);
    const aged = this.#samples.findLastIndex((sample) => sample.at <= now - this.#lagMs);
    if (aged < 0) return 0;
    this.#samples.splice(0, aged);
    return this.#samples[0]?.position ?? 0;
  }

  /** The server may have been restarted and issue numbers again (P-R7). */
  reset(): void {
    this.#samples = [];
    this.#newest = 0;
  }

  // Sixteen samples per lag bound the memory; a sample is dated later than it was seen, never earlier.
  #record(now: number): void {
    const last = this.#samples.at(-1);
    if (last && (this.#newest <= last.position || now - last.at < this.#lagMs / 16)) return;
    if (this.#newest > 0) this.#samples.push({ position: this.#newest, at: now });
  }
}

/**
 * The low mark of one shard (P-R2): no row that nobody has read can appear below it, and every page covers all
 * positions from it on. It rises in two looks:
 *
 * ```
 * resting ── dirtyLook ──► looked ── committedLook (a page from the same low) ──► resting, low raised
 *    ▲                        │
 *    └── lowerTo, reset ──────┘
 * ```
 *
 * The dirty look finds rows of open transactions; the committed look after it finds rows that an open DELETE hides
 * from dirty looks and that come back when it rolls back. Neither alone is enough. What was sent plays no part.
 */
export class LowMark {
  #low = 0;
  #looked: { readonly look: Look; readonly dirty: readonly number[]; readonly ceiling: number } | undefined;

  get value(): number {
    return this.#low;
  }

  /** The next look up to `target`, or `undefined` when it could not raise the mark. */
  plan(target: number): Look | undefined {
    return target >= this.#low ? { low: this.#low, upTo: target } : undefined;
  }

  /** Positions that the dirty look showed, ascending; `complete`: all there are within the look. */
  dirtyLook(look: Look, positions: readonly number[], complete: boolean): void {
    if (look.low !== this.#low) return;
    const ceiling = complete ? look.upTo + 1 : (positions.at(-1) ?? look.low) + 1;
    this.#looked = { look, dirty: positions, ceiling };
  }

  /** True between the two looks: the next page counts as the committed look, if it is asked for from here on. */
  get awaitsCommittedLook(): boolean {
    return this.#looked !== undefined;
  }

  /**
   * A page from the old low that was asked for after the dirty look: its rows, ascending; `end` = the first position
   * that it does not cover. Returns true when the mark rose.
   */
  committedLook(rows: Iterable<CommittedRow>, end: number): boolean {
    const looked = this.#looked;
    this.#looked = undefined;
    if (!looked) return false;
    let next = Math.min(looked.ceiling, end);
    const passable = new Set<number>();
    for (const row of rows) {
      if (row.position >= next) break;
      if (!row.passable) {
        next = row.position;
        break;
      }
      passable.add(row.position);
    }
    const dirty = looked.dirty.find((position) => !passable.has(position));
    if (dirty !== undefined) next = Math.min(next, dirty);
    if (next <= this.#low) return false;
    this.#low = next;
    return true;
  }

  /** Rows from `position` on are read again. A look under way is void. */
  lowerTo(position: number): void {
    this.#low = Math.min(this.#low, position);
    this.#looked = undefined;
  }
}
