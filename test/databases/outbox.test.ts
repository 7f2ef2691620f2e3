import { defineEvent, rawCodec } from '@txbox/core';
import { coreComponent, type Database, type EncodedMessage, encodeMessage, migrate, type SqlRow, type SqlSession } from '@txbox/core/spi';
import {
  type OutboxStore,
  outboxComponent,
  outboxStore,
  outboxWriter,
  type PageRequest,
  type PendingRow,
  SHARDS,
  shardOf,
} from '@txbox/outbox/store';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { RecordingDatabase } from './recording-database.ts';
import { type EmptyDatabase, emptyDatabase, SERVERS } from './server.ts';

const Blob = defineEvent('blob', { topic: 'blobs', codec: rawCodec, key: (_payload: Uint8Array) => 'k', maxBytes: 20_000_000 });
const SHARD = shardOf({ key: Buffer.from('k'), id: Buffer.alloc(16) });
const OTHERS = Array.from({ length: SHARDS }, (_, shard) => shard).filter((shard) => shard !== SHARD);
const messages = (count: number, bytes = 10): EncodedMessage[] =>
  Array.from({ length: count }, () => encodeMessage(Blob, Buffer.alloc(bytes, 0xe9)));

/** Counts the statements that go through a session. */
function counting(session: SqlSession): SqlSession & { statements: number } {
  return {
    statements: 0,
    dialect: session.dialect,
    query: (sql, values) => session.query(sql, values),
    execute(sql, values) {
      this.statements += 1;
      return session.execute(sql, values);
    },
  };
}

/** The same database; what it answers is added to `answers`. */
function answeringTo(database: Database, answers: SqlRow[]): Database {
  return new RecordingDatabase(
    database,
    async () => undefined,
    (rows) => answers.push(...rows),
  );
}

describe.each(SERVERS)('the outbox on %s', (_name, variable, service) => {
  let server: EmptyDatabase;
  let database: Database;
  let store: OutboxStore;
  const writer = outboxWriter();
  const rows = async (): Promise<readonly PendingRow[]> =>
    (await store.readPages([{ shard: SHARD, low: 0, start: 0, limit: 20_000, inlineBytes: 1_000 }]))[0]!.rows;

  beforeAll(async () => {
    server = await emptyDatabase(variable, service);
    database = await server.open();
    store = outboxStore(database);
    await migrate(await database.session(), [coreComponent, outboxComponent]);
  });
  afterAll(async () => await server.drop());
  beforeEach(async () => {
    const session = await database.session();
    await session.execute('DELETE FROM txbox_outbox');
    await session.release();
  });

  it('takes many events in one statement, and more than a packet in several, in order', async () => {
    const session = counting(await database.session());
    const few = messages(1_000);
    await writer.insert(session, few);
    expect(session.statements).toBe(1);
    const many = [...messages(6_000), ...messages(12, 900_000)];
    await writer.insert(session, many);
    expect(session.statements).toBeGreaterThan(2);
    expect((await rows()).map((row) => row.id.toString('hex'))).toEqual([...few, ...many].map((message) => message.id.toString('hex')));
  });

  it('leaves large payloads out, in the text for small rows and in the one for large rows', async () => {
    const session = await database.session();
    const mixed = [...messages(3, 100), ...messages(2, 5_000), ...messages(3, 100)];
    await writer.insert(session, mixed);
    const first = await rows();
    expect(first.map((row) => row.payload?.length)).toEqual([100, 100, 100, undefined, undefined, 100, 100, 100]);
    expect(await rows()).toEqual(first);
    const payloads = await store.loadPayloads(first.slice(3, 5));
    expect([...payloads.values()].map((payload) => payload.length)).toEqual([5_000, 5_000]);
    expect(await store.settle(first.slice(3, 5), 'range')).toBe(2);
    expect((await rows()).every((row) => row.payload?.length === 100)).toBe(true);
    expect(await rows()).toHaveLength(6);
    await session.release();
  });

  it('reads the tail of shards together as it reads each of them, and falls back where there is more', async () => {
    const session = await database.session();
    await writer.insert(session, messages(3));
    const all = await rows();
    const from = all[1]!.position;
    const page = (shard: number, low: number, limit: number): PageRequest => ({ shard, low, start: low, limit, inlineBytes: 1_000 });
    const others = [SHARD === 0 ? 1 : 0, SHARD === 15 ? 14 : 15];

    const pages = await store.readPages([page(others[0]!, from - 1, 10), page(SHARD, from, 10)]);
    expect(pages.map(({ shard }) => shard)).toEqual([others[0], SHARD]);
    expect(pages.map(({ rows }) => rows)).toEqual([[], all.slice(1)]);
    // Rows of shards that are not asked for count, and are not shown.
    expect((await store.readPages([page(others[1]!, from, 10)]))[0]!.rows).toEqual([]);
    // Two rows are as many as were expected at most, so there may be more.
    expect((await store.readPages([page(SHARD, from, 2)]))[0]!.rows).toEqual(all.slice(1));
    expect((await store.readPages([page(SHARD, from, 1)]))[0]!.rows).toEqual(all.slice(1, 2));
    await session.release();
  });

  it('reads as many rows as it is asked for beside a backlog of other relays, or of one shard, however large', async () => {
    const session = await database.session();
    await writer.insert(session, messages(6_000));
    const all = await rows();
    const [first, last] = [all[0]!, all.at(-1)!];
    const answers: SqlRow[] = [];
    const watched = outboxStore(answeringTo(database, answers));
    const below = (shard: number, start: number): PageRequest => ({ shard, low: 0, start, limit: 0, inlineBytes: 0 });
    const sweep = [...OTHERS.map((shard) => below(shard, last.position + 1)), below(SHARD, first.position + 2)];
    expect((await watched.readPages(sweep)).map(({ heads }) => heads.length)).toEqual([...OTHERS.map(() => 0), 2]);
    const held = OTHERS.map((shard): PageRequest => ({ shard, low: first.position, start: last.position + 1, limit: 10, inlineBytes: 0 }));
    expect((await watched.readPages(held)).every(({ heads, end }) => heads.length === 0 && end === Number.POSITIVE_INFINITY)).toBe(true);
    expect(answers.length).toBeLessThan(11_000);
    await session.release();
  });

  it('reads no payload again of rows that are known, where another shard is read from further below', async () => {
    const session = await database.session();
    await writer.insert(session, messages(6));
    const all = await rows();
    const [first, fifth] = [all[0]!.position, all[4]!.position];
    const [other] = OTHERS as [number];
    const answers: SqlRow[] = [];
    const watched = outboxStore(answeringTo(database, answers));
    for (const inlineBytes of [1_000, 1, 1_000]) {
      answers.length = 0;
      const [, page] = await watched.readPages([
        { shard: other, low: first, start: first, limit: 10, inlineBytes },
        { shard: SHARD, low: first, start: fifth, limit: 10, inlineBytes },
      ]);
      expect(page!.heads.map(({ position }) => position)).toEqual(all.slice(0, 4).map(({ position }) => position));
      expect(page!.rows.map(({ payload }) => payload?.length)).toEqual(inlineBytes === 1 ? [undefined, undefined] : [10, 10]);
      expect(answers.filter((row) => row[8] !== null && row[8] !== undefined)).toHaveLength(inlineBytes === 1 ? 0 : 2);
    }
    await session.release();
  });

  it('looks at rows that are not committed, near the low mark and far from it', async () => {
    const slow = await database.session();
    await writer.insert(slow, messages(1));
    const [first] = await rows();
    await slow.begin();
    await writer.insert(slow, messages(2));
    const from = first!.position + 1;
    for (const distance of [1_000, 1_000_000]) {
      const look = (shard: number, limit: number) => ({ shard, low: from, upTo: from + distance, limit });
      expect(await store.dirtyPositions([look(SHARD, 1), look((SHARD + 1) % 16, 5), look(SHARD, 5)])).toEqual([
        [from],
        [],
        [from, from + 1],
      ]);
    }
    await slow.rollback();
    await slow.release();
  });

  it('settles a range without touching a row in it that committed late and was never read', async () => {
    const [before, late, after] = [messages(1), messages(1), messages(1)];
    const slow = await database.session();
    const fast = await database.session();
    await writer.insert(fast, before);
    await slow.begin();
    await writer.insert(slow, late);
    await writer.insert(fast, after);
    const read = await rows();
    expect(read).toHaveLength(2);
    await slow.commit();
    expect(await store.settle(read, 'range')).toBe(2);
    expect((await rows()).map((row) => row.id)).toEqual([late[0]!.id]);
    await Promise.all([slow.release(), fast.release()]);
  });

  it('waits for no uncommitted row: in the form each not inside the span, in the form range not beside it', async () => {
    const slow = await database.session();
    const fast = await database.session();
    await writer.insert(fast, messages(1));
    await slow.begin();
    await writer.insert(slow, messages(1));
    await writer.insert(fast, messages(1));
    const read = await rows();
    expect(await store.settle(read, 'each')).toBe(2);

    await writer.insert(fast, messages(1));
    const [before] = await rows();
    expect(await store.settle([before!], 'range')).toBe(1);
    await slow.rollback();
    await Promise.all([slow.release(), fast.release()]);
  });

  it('gives up waiting in the form range after a second, and has deleted nothing', async () => {
    const slow = await database.session();
    const fast = await database.session();
    await writer.insert(fast, messages(1));
    const victim = messages(1);
    await writer.insert(fast, victim);
    await writer.insert(fast, messages(1));
    const read = await rows();
    await slow.begin();
    await slow.execute('UPDATE txbox_outbox SET bytes = bytes WHERE id = ?', [victim[0]!.id]);
    const error = await store.settle(read, 'range').catch((reason: unknown) => reason);
    expect(database.dialect.classify(error)).toBe('lock-timeout');
    expect(await store.settle([read[0]!, read[2]!], 'each')).toBe(2);
    await slow.rollback();
    expect(await rows()).toHaveLength(1);
    await Promise.all([slow.release(), fast.release()]);
  });

  it.each(['range', 'each'] as const)('settles by identity in the form %s: a row at a number that was issued again stays', async (form) => {
    const session = await database.session();
    await writer.insert(session, messages(2));
    const read = await rows();
    await session.execute('DELETE FROM txbox_outbox');
    const [next] = messages(1);
    await session.execute(
      "INSERT INTO txbox_outbox (shard, position, id, topic, type, headers, payload, bytes, created_at) VALUES (?, ?, ?, 't', 't', '', '', 0, UTC_TIMESTAMP(6))",
      [SHARD, read[0]!.position, next!.id],
    );
    expect(await store.settle(read, form)).toBe(0);
    expect((await rows()).map((row) => row.id)).toEqual([next!.id]);
    await session.release();
  });

  it('reads by the clustered key whatever the table holds', async () => {
    const session = await database.session();
    await writer.insert(session, messages(2_000));
    await session.query('ANALYZE TABLE txbox_outbox');
    const explain = async (sql: string) => (await session.query(`EXPLAIN FORMAT=TRADITIONAL ${sql}`)).map((row) => row.map(String));
    const [plan] = await explain(
      `SELECT position, payload FROM txbox_outbox WHERE shard = ${SHARD} AND position >= 0 ORDER BY position LIMIT 500`,
    );
    expect(plan).toContain('PRIMARY');
    expect(plan!.join()).not.toContain('filesort');
    const large = await explain(
      `SELECT o.position, p.payload FROM txbox_outbox o LEFT JOIN txbox_outbox p ON p.shard = o.shard AND p.position = o.position AND o.bytes <= 1000 WHERE o.shard = ${SHARD} AND o.position >= 0 ORDER BY o.position LIMIT 500`,
    );
    expect(large[0]).toContain('PRIMARY');
    expect(large.join()).not.toMatch(/filesort|temporary/);
    expect(large[1]).toEqual(expect.arrayContaining(['eq_ref', 'PRIMARY']));
    await session.release();
  });

  it.each([1, 2, 5, 50, 1_000])('settles %d rows by the clustered key, whatever else the table holds', async (count) => {
    const session = await database.session();
    const plans: string[] = [];
    const recording = new RecordingDatabase(database, async (own, sql, values) => {
      if (!sql.startsWith('DELETE')) return;
      for (const row of await own.query(`EXPLAIN FORMAT=TRADITIONAL ${sql}`, values)) {
        // MySQL has two columns more: partitions, filtered.
        const [table, type, key, length] = row.length > 10 ? [row[2], row[4], row[6], row[7]] : [row[2], row[3], row[5], row[6]];
        if (table === 'o') plans.push(`${type} ${key} ${length}`);
      }
    });
    for (const more of [0, 1, 300]) {
      for (const form of ['range', 'each'] as const) {
        await session.execute('DELETE FROM txbox_outbox');
        await writer.insert(session, [...messages(more), ...messages(count), ...messages(more)]);
        if (more > 1) await session.query('ANALYZE TABLE txbox_outbox');
        const some = (await rows()).slice(more, more + count);
        expect(await outboxStore(recording).settle(some, form)).toBe(count);
      }
    }
    // Ten bytes: shard and position.
    expect(plans.filter((plan) => !/^(range|eq_ref|const) PRIMARY 10$/.test(plan))).toEqual([]);
    expect(plans).toHaveLength(6);
    await session.release();
  });
});
