/** What the plan of a read must know of a shard. */
export interface ShardNeed {
  /** Something may be new: a wake-up came or it is time to look. */
  readonly due: boolean;
  /** The last page was full. */
  readonly more: boolean;
  /**
   * Rows in memory that wait to be sent, without those of lanes that do not move. Unanswered requests do not count: while they
   * are under way what follows them must be read, or reading and sending take turns.
   */
  readonly waiting: number;
}

/** Bounds of one read. */
export interface ReadBudget {
  /** Rows of a page when all shards are read. */
  readonly pageRows: number;
  /** Rows that memory has room for. */
  readonly freeRows: number;
  /** Bytes that memory has room for. */
  readonly freeBytes: number;
  /** Recent average of a row's bytes. */
  readonly averageBytes: number;
  /** Where memory has no room for a row of each: the index from which on they are looked at, in turn. */
  readonly first: number;
}

/** A read of several shards in one statement. */
export interface ReadPlan {
  /** Indexes of the shards to read. */
  readonly shards: readonly number[];
  readonly limit: (shard: number) => number;
  /** Payloads above this many bytes are left out, so that the answer stays within the budget. */
  readonly inlineBytes: number;
}

/** Rows of a page of a shard in which little is expected. */
const GLANCE_ROWS = 100;
/** A page of a shard that alone has a backlog may be so many times larger. */
const LARGEST_PAGE = 4;
/** The least budget for payloads: below it nearly every row would need a read of its own. */
const LEAST_INLINE_BYTES = 1_024;

/**
 * Chooses the shards that are read next. A shard with a backlog is read again before it runs dry, so that reading and
 * sending overlap; without room in memory nothing is read. Pure.
 */
export function planRead(needs: readonly ShardNeed[], budget: ReadBudget): ReadPlan | undefined {
  if (budget.freeRows <= 0 || budget.freeBytes <= 0) return undefined;
  const page = pageSize(needs, budget.pageRows);
  const wanted = needs.flatMap((need, index) => ((need.more ? need.waiting < page / 2 : need.due) ? [index] : []));
  // At least a row of each; in turn, or memory that stays nearly full would leave the last shards unread.
  const inTurn = [...wanted.filter((index) => index >= budget.first), ...wanted.filter((index) => index < budget.first)];
  const shards = wanted.length <= budget.freeRows ? wanted : inTurn.slice(0, budget.freeRows);
  if (shards.length === 0) return undefined;
  const full = shards.filter((index) => needs[index]?.more).length;
  const glances = shards.length - full;
  const glance = Math.min(GLANCE_ROWS, Math.floor(budget.freeRows / shards.length));
  const byRows = Math.floor((budget.freeRows - glances * glance) / Math.max(1, full));
  const byBytes = Math.floor(budget.freeBytes / 2 / Math.max(1, full) / (2 * budget.averageBytes));
  const limit = Math.max(1, Math.min(page, byRows, byBytes));
  const rows = full * limit + glances * glance;
  const inlineBytes = Math.max(LEAST_INLINE_BYTES, Math.floor(budget.freeBytes / 2 / rows));
  return { shards, limit: (shard) => (needs[shard]?.more ? limit : glance), inlineBytes };
}

/** True when a shard with a backlog is about to run dry. Pure. */
export function isHungry(needs: readonly ShardNeed[], pageRows: number): boolean {
  const page = pageSize(needs, pageRows);
  return needs.some((need) => need.more && need.waiting < page / 2);
}

function pageSize(needs: readonly ShardNeed[], pageRows: number): number {
  const backlogged = needs.filter((need) => need.more).length;
  const share = Math.floor((16 * pageRows) / Math.max(1, backlogged));
  return Math.min(LARGEST_PAGE * pageRows, Math.max(pageRows, share));
}

/** The wait until the next look when nothing tells of anything new: doubles from `minMs` to `maxMs`. Pure. */
export function nextPollMs(previousMs: number, found: boolean, minMs: number, maxMs: number): number {
  return found ? minMs : Math.min(maxMs, Math.max(minMs, previousMs * 2));
}
