import type { Dialect, SqlValue, TableNames } from '@txbox/core/spi';
import { compactHeadOf } from '../compact-heads.ts';
import { type PageRequest, RELAY_SCOPE } from '../outbox-store.ts';

/** Stands in the column `bytes` of rows that come as heads. */
export const HEAD_ONLY = -1;
/** Stands in the column `bytes` where the heads of a shard come as a block; `position` is their number then. */
export const COMPACT = -2;
/** Stands in the column `page` of parked keys. */
export const PARKED_KEY = -1;
/** So many parked keys are listed beside the pages; where there are more, each row looks its key up. */
export const LISTED_KEYS = 200;
/** Stands, with the shard added, in the column `page` of what comes through the common range. */
export const COMMON = 1_000;
/** Entries of the common range for each row that is asked for: those of other relays and rows that are known count as well. */
const COMMON_ENTRIES = 2;
/** Most heads of the common range: where other relays, or shards that lag, have more there, each shard is read by itself. */
export const COMMON_HEADS = 5_000;

/** Through which index a statement reads the shards. */
export interface ReadPath {
  /** Indexes of requests that are read through one range of positions; no two of a shard. */
  readonly common: readonly number[];
  /** Indexes of requests that are read through a range of their shard each. */
  readonly own: readonly number[];
}

/** What the last pages taught of the texts to use. */
export interface PageForm {
  /** Payloads were left out: rows are looked up a second time so that large ones are never touched. */
  readonly large: boolean;
  /** There are more parked keys than are listed: each row looks its key up. */
  readonly looksUp: boolean;
  /** Heads may come as a block. */
  readonly compact: boolean;
}

/** Text with its placeholders' values. */
interface Sql {
  readonly text: string;
  readonly values: readonly SqlValue[];
}

/** Most entries that the common range shows. */
export function commonEntries(requests: readonly PageRequest[], { common }: ReadPath): number {
  return common.reduce((sum, index) => sum + (requests[index] as PageRequest).limit * COMMON_ENTRIES, 0);
}

/**
 * One statement for all requests, so that a snapshot that shows a row also shows whether its key is parked (P-R9). Columns: page,
 * position, id, topic, key, bytes, sequence, headers, payload, created at, and whether the key is parked where each row looks it up.
 */
export function pageQuery(dialect: Dialect, tables: TableNames, requests: readonly PageRequest[], path: ReadPath, form: PageForm): Sql {
  const { outbox } = tables;
  const heads: Sql[] = [];
  const rows: Sql[] = [];
  const part = (target: Sql[], ...pieces: (Sql | string)[]): void => {
    const texts = pieces.map((piece) => (typeof piece === 'string' ? piece : piece.text));
    const values = pieces.flatMap((piece) => (typeof piece === 'string' ? [] : piece.values));
    target.push({ text: dialect.unionPart(texts.join('')), values });
  };
  const parked: { readonly column: string; readonly blank: string; readonly join: Sql } = form.looksUp
    ? { column: ', k.id IS NOT NULL', blank: ', 0', join: lookUp(tables.parkedKey) }
    : { column: '', blank: '', join: NOTHING };
  const full = (inlineBytes: number, isNew = NOTHING): { readonly columns: Sql; readonly joins: readonly Sql[] } => {
    const wanted = sql(`o.bytes <= ?${isNew.text}`, [inlineBytes, ...isNew.values]);
    const { payload, join } = form.large ? largePayload(outbox, wanted) : smallPayload(wanted);
    const columns = sql(
      `o.id, o.topic, o.message_key, o.bytes, o.sequence, o.headers, ${payload.text} AS payload, o.created_at${parked.column}`,
      payload.values,
    );
    return { columns, joins: [join, parked.join] };
  };
  const headColumns = `o.id, o.topic, o.message_key, ${HEAD_ONLY}, NULL, NULL, NULL, NULL${parked.column}`;

  // Rows of other relays come without columns: they count, so that it is known whether the range was read to its end.
  const commonRange = (where: string, ...values: SqlValue[]): Sql =>
    sql(
      ` FROM (SELECT shard, position FROM ${outbox} FORCE INDEX (position) WHERE ${where}) v ` +
        `LEFT JOIN ${outbox} o ON o.shard = v.shard AND o.position = v.position AND v.shard IN (${path.common.map(() => '?').join(', ')})`,
      [...values, ...path.common.map((index) => (requests[index] as PageRequest).shard)],
    );
  const common = path.common.map((index) => requests[index] as PageRequest);
  if (common.length > 0) {
    const entries = commonEntries(requests, path);
    const starts = common.map((request) => request.start);
    // Each position once: rows that stand before their own shard's start are heads as well.
    const start = entries > 0 ? Math.min(...starts) : Math.max(...starts);
    const low = Math.min(...common.map((request) => request.low));
    const page = `SELECT v.shard + ${COMMON} AS page, v.position, `;
    if (entries > 0) {
      const { columns, joins } = full(Math.min(...common.map((request) => request.inlineBytes)), beyondStarts(common, start));
      part(rows, page, columns, commonRange(`position >= ? ORDER BY position LIMIT ${wholeNumber(entries)}`, start), ...joins);
    }
    const headsWhere = `position >= ? AND position < ? ORDER BY position LIMIT ${COMMON_HEADS}`;
    if (low < start) part(heads, page, headColumns, commonRange(headsWhere, low, start), parked.join);
  }
  for (const index of path.own) {
    const request = requests[index] as PageRequest;
    const { shard, low, start, limit, inlineBytes } = request;
    const { columns, joins } = full(inlineBytes);
    const page = (first: string): string => `SELECT ${index} AS page, ${first}, `;
    if (limit > 0) {
      const span = sql(` WHERE o.shard = ? AND o.position >= ? ORDER BY o.position LIMIT ${wholeNumber(limit)}`, [shard, start]);
      part(rows, page('o.position'), columns, ` FROM ${outbox} o`, ...joins, span);
    }
    if (low >= start) continue;
    const span = sql(' WHERE o.shard = ? AND o.position >= ? AND o.position < ?', [shard, low, start]);
    if (form.compact && request.compactHeads) {
      const block = `GROUP_CONCAT(${compactHeadOf('o.position', 'o.id')} SEPARATOR '')`;
      part(heads, page('COUNT(*)'), `NULL, '', NULL, ${COMPACT}, NULL, NULL, ${block}, NULL${parked.blank} FROM ${outbox} o`, span);
    } else part(heads, page('o.position'), headColumns, ` FROM ${outbox} o`, parked.join, span, ' ORDER BY o.position');
  }
  const listed: Sql[] = [];
  part(
    listed,
    `SELECT ${PARKED_KEY}, 0, id, topic, message_key, 0, NULL, NULL, NULL, NULL${parked.blank} FROM ${tables.parkedKey} `,
    sql(`WHERE scope = ? AND message_key IS NOT NULL LIMIT ${LISTED_KEYS + 1}`, [RELAY_SCOPE]),
  );
  // The parts with payloads come first: they give the union its column types.
  const parts = [...rows, ...heads, ...listed];
  return sql(
    parts.map(({ text }) => text).join(' UNION ALL '),
    parts.flatMap(({ values }) => values),
  );
}

const NOTHING: Sql = { text: '', values: [] };

function sql(text: string, values: readonly SqlValue[]): Sql {
  return { text, values };
}

/** Cheapest, but InnoDB fetches what it then leaves out: 200 rows of 900 kB take half a second. */
function smallPayload(wanted: Sql): { readonly payload: Sql; readonly join: Sql } {
  return { payload: sql(`CASE WHEN ${wanted.text} THEN o.payload END`, wanted.values), join: NOTHING };
}

/** Looks each small row up a second time, and never touches a large payload. */
function largePayload(outbox: string, wanted: Sql): { readonly payload: Sql; readonly join: Sql } {
  const join = ` LEFT JOIN ${outbox} p ON p.shard = o.shard AND p.position = o.position AND ${wanted.text}`;
  return { payload: sql('p.payload', []), join: sql(join, wanted.values) };
}

/** Appended to a condition: not rows of shards that are read from further above, whose payloads are known. */
function beyondStarts(common: readonly PageRequest[], start: number): Sql {
  const above = common.filter((request) => request.start > request.low && request.start > start);
  if (above.length === 0) return NOTHING;
  const cases = above.map(() => 'WHEN ? THEN ?').join(' ');
  return sql(
    ` AND o.position >= CASE o.shard ${cases} ELSE 0 END`,
    above.flatMap((request) => [request.shard, request.start]),
  );
}

function lookUp(parkedKeys: string): Sql {
  return sql(` LEFT JOIN ${parkedKeys} k ON k.scope = ? AND k.topic = o.topic AND k.message_key = o.message_key`, [RELAY_SCOPE]);
}

/** A LIMIT cannot be a placeholder of every kind of statement, so it becomes text: digits and nothing else. */
export function wholeNumber(limit: number): number {
  if (!Number.isSafeInteger(limit) || limit < 1) throw new RangeError(`A look shows at least one row, got ${limit}.`);
  return limit;
}
