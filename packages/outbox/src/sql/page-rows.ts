import type { SqlRow } from '@txbox/core/spi';
import { type CompactHeads, compactHeads } from '../compact-heads.ts';
import type { Page, PageHead, PageRequest, PendingRow } from '../outbox-store.ts';
import { COMMON, COMMON_HEADS, COMPACT, commonEntries, HEAD_ONLY, LISTED_KEYS, PARKED_KEY, type ReadPath } from './page-query.ts';

/** What an answer says of parked keys. */
export interface ListedKeys {
  /** All parked keys, or one more than are listed. */
  readonly rows: readonly SqlRow[];
  /** There are more than are listed. */
  readonly many: boolean;
}

export function listedKeysOf(found: readonly SqlRow[]): ListedKeys {
  const rows = found.filter((row) => row[0] === PARKED_KEY);
  return { rows, many: rows.length > LISTED_KEYS };
}

/** True when a block of heads was not handed out whole (`group_concat_max_len`). */
export function anyCutShort(found: readonly SqlRow[]): boolean {
  return found.some((row) => row[5] === COMPACT && compactHeads(row[1] as number, row[8] as Buffer | null) === undefined);
}

/** True when there may be more heads in the common range than were shown. */
export function anyHeadsLeftOut(found: readonly SqlRow[]): boolean {
  let heads = 0;
  for (const row of found) if ((row[0] as number) >= COMMON && row[5] === HEAD_ONLY) heads += 1;
  return heads >= COMMON_HEADS;
}

/** What an answer says of one shard. */
interface Found {
  readonly heads: PageHead[];
  compactHeads?: CompactHeads;
  rows: PendingRow[];
}

/** The answer to `pageQuery`. `listed`: all parked keys; without it each row says for itself whether its key is one. */
export function pagesOf(
  requests: readonly PageRequest[],
  path: ReadPath,
  found: readonly SqlRow[],
  listed: ListedKeys | undefined,
): Page[] {
  const pages = requests.map((): Found => ({ heads: [], rows: [] }));
  const commonPage = new Map(path.common.map((index) => [COMMON + (requests[index] as PageRequest).shard, index]));
  const parkedKeys = new Set(listed?.rows.map((row) => nameOf(row[3] as string, row[4] as Buffer)));
  const isParked = (row: SqlRow): boolean => {
    if (!listed) return Number(row[10]) === 1;
    return parkedKeys.size > 0 && row[4] !== null && parkedKeys.has(nameOf(row[3] as string, row[4] as Buffer));
  };
  let entries = 0;
  let lastEntry = 0;
  // By index and without spreading: this runs for every row that is ever published.
  for (const row of found) {
    const at = row[0] as number;
    const position = row[1] as number;
    const bytes = row[5] as number;
    if (at >= COMMON && bytes !== HEAD_ONLY) {
      entries += 1;
      lastEntry = Math.max(lastEntry, position);
    }
    const index = (at >= COMMON ? commonPage.get(at) : at) ?? PARKED_KEY;
    const page = pages[index];
    if (!page) continue;
    const { shard, low, start } = requests[index] as PageRequest;
    const id = row[2] as Buffer;
    const topic = row[3] as string;
    const key = row[4] as Buffer | null;
    if (bytes === COMPACT) {
      const block = compactHeads(position, row[8] as Buffer | null);
      if (block && block.length > 0) page.compactHeads = block;
    } else if (position < low || (bytes === HEAD_ONLY && position >= start)) {
      // The common range begins at the lowest mark, and may show heads up to the highest start.
    } else if (position < start) page.heads.push({ shard, position, id, topic, key, parked: isParked(row) });
    else {
      page.rows.push({
        shard,
        position,
        id,
        topic,
        key,
        bytes,
        sequence: row[6] as number | null,
        headers: row[7] as Buffer,
        payload: row[8] as Buffer | null,
        createdAt: row[9] as string,
        parked: isParked(row),
      });
    }
  }
  const commonEnd = entries > 0 && entries === commonEntries(requests, path) ? lastEntry + 1 : Number.POSITIVE_INFINITY;
  for (const index of path.common) pages[index]?.rows.sort(byPosition);
  return pages.map(({ heads, compactHeads: block, rows: all }, index) => {
    const { shard, start, limit } = requests[index] as PageRequest;
    const rows = all.length > limit ? all.slice(0, limit) : all;
    const ownEnd = rows.length < limit ? Number.POSITIVE_INFINITY : (rows.at(-1)?.position ?? start - 1) + 1;
    const end = path.common.includes(index) ? Math.min(commonEnd, ownEnd) : ownEnd;
    // MySQL drops an ORDER BY without LIMIT inside a union; its rows come by the clustered key, which is not a promise.
    return { shard, heads: heads.sort(byPosition), ...(block ? { compactHeads: block } : {}), rows, end };
  });
}

function byPosition(a: { readonly position: number }, b: { readonly position: number }): number {
  return a.position - b.position;
}

function nameOf(topic: string, key: Buffer): string {
  return `${topic}\0${key.toString('latin1')}`;
}
