import { defineEvent, rawCodec } from '@txbox/core';
import {
  bucketOf,
  type Dialect,
  type EncodedMessage,
  encodeMessage,
  mysqlDialect,
  type SqlSession,
  type SqlValue,
  sqliteDialect,
} from '@txbox/core/spi';
import { describe, expect, it } from 'vitest';
import { outboxWriter, SHARDS, shardOf } from '../../src/store.ts';

const Blob = defineEvent('blob', {
  topic: 'blobs',
  codec: rawCodec,
  key: (_payload: Uint8Array): string | null => 'k',
  maxBytes: 100_000_000,
});
const messages = (count: number, bytes: number): EncodedMessage[] =>
  Array.from({ length: count }, () => encodeMessage(Blob, Buffer.alloc(bytes)));

const COLUMNS = 11;

/** A session that remembers statements. */
function recorder(dialect: Dialect) {
  const statements: { sql: string; values: readonly SqlValue[] }[] = [];
  const session: SqlSession = {
    dialect,
    query: () => Promise.reject(new Error('the writer reads nothing')),
    execute: (sql, values = []) => {
      statements.push({ sql, values });
      return Promise.resolve({ affectedRows: values.length / COLUMNS });
    },
  };
  const ids = (): string[] =>
    statements.flatMap(({ values }) => values.filter((_, index) => index % COLUMNS === 1)).map((id) => (id as Buffer).toString('hex'));
  return { session, statements, ids };
}

describe('outboxWriter', () => {
  it('sends nothing for nothing, and one statement for a transaction of usual size', async () => {
    const { session, statements } = recorder(mysqlDialect());
    await outboxWriter().insert(session, []);
    expect(statements).toHaveLength(0);
    await outboxWriter('my_').insert(session, messages(1_000, 500));
    expect(statements).toHaveLength(1);
    expect(statements[0]!.sql).toContain('INSERT INTO `my_outbox` (shard, id, ');
  });

  it('splits below the packet of the server, in order', async () => {
    const { session, statements, ids } = recorder(mysqlDialect(1024 * 1024));
    const many = [...messages(50, 100_000), ...messages(20, 10)];
    await outboxWriter().insert(session, many);
    expect(statements.length).toBeGreaterThan(5);
    expect(ids()).toEqual(many.map((message) => message.id.toString('hex')));
    // As the text protocol writes them: binaries as hex literals.
    for (const { sql, values } of statements) {
      const literals = values.map((value) => (Buffer.isBuffer(value) ? 2 * value.length + 3 : String(value).length + 2));
      expect(sql.length + literals.reduce((sum, length) => sum + length, 0)).toBeLessThan(1024 * 1024);
    }
  });

  it('learns the packet from the caller too, and refuses what no statement can hold instead of losing the connection', async () => {
    const { session, statements } = recorder(mysqlDialect());
    await outboxWriter().insert(session, messages(40, 60_000), 1024 * 1024);
    expect(statements.length).toBeGreaterThan(4);
    const packet = 1024 * 1024;
    await expect(outboxWriter().insert(session, messages(1, 600_000), packet)).rejects.toMatchObject({
      code: 'MESSAGE_TOO_LARGE',
      message: expect.stringContaining('max_allowed_packet'),
      details: { type: 'blob', maxAllowedPacket: packet },
    });
    await outboxWriter().insert(session, messages(1, 500_000), packet);
  });

  it('sends a message above the bound alone where the packet is not known: the server may allow it', async () => {
    const { session, statements } = recorder(mysqlDialect());
    await outboxWriter().insert(session, [...messages(1, 10), ...messages(1, 5_000_000), ...messages(1, 10)]);
    expect(statements.map(({ values }) => values.length / COLUMNS)).toEqual([1, 1, 1]);
  });

  it('bounds the rows of a statement, which bounds its time (P-R2), and the placeholders SQLite takes', async () => {
    const mysql = recorder(mysqlDialect(1024 * 1024 * 1024));
    await outboxWriter().insert(mysql.session, messages(10_001, 1));
    expect(mysql.statements.length).toBe(3);
    const sqlite = recorder(sqliteDialect);
    await outboxWriter().insert(sqlite.session, messages(5_000, 1));
    for (const { values } of sqlite.statements) expect(values.length).toBeLessThanOrEqual(32_766);
  });

  it('chooses the shard by the hash of the key, or of the id when there is none (P-T1)', () => {
    const [message] = messages(1, 1);
    expect(shardOf(message!)).toBe(bucketOf(Buffer.from('k'), SHARDS));
    expect(shardOf({ key: null, id: message!.id })).toBe(bucketOf(message!.id, SHARDS));
    expect(shardOf({ key: Buffer.alloc(0), id: message!.id })).toBe(bucketOf(Buffer.alloc(0), SHARDS));
  });
});
