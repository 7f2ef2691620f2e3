import { type IdempotencyKey, pruneOlder, type SqlSession, tableNames } from '@txbox/core/spi';
import type { CommittedCall, IdempotencyKeys } from '../outbox-store.ts';

const ID_BYTES = 16;

/** Keys in the table behind a prefix (P-W5). */
export function idempotencyKeys(tablePrefix?: string): IdempotencyKeys {
  const table = tableNames(tablePrefix).idempotency;
  return {
    claim: async (session, key) => {
      const insert = `INSERT INTO ${table} (\`key\`, fingerprint, result, message_ids, created_at) VALUES (?, ?, ?, NULL, ${session.dialect.now})`;
      for (;;) {
        try {
          await session.execute(insert, [bytesOf(key), key.fingerprint, Buffer.alloc(0)]);
          return 'claimed';
        } catch (error) {
          if (session.dialect.classify(error) !== 'duplicate') throw error;
        }
        const committed = await find(session, table, key);
        // Pruned in between: the key is free again.
        if (committed) return committed;
      }
    },
    complete: async (session, key, { result, messageIds }) => {
      const ids = messageIds.length === 0 ? null : Buffer.concat(messageIds);
      await session.execute(`UPDATE ${table} SET result = ?, message_ids = ? WHERE \`key\` = ?`, [result, ids, bytesOf(key)]);
    },
    prune: (session, ageMs, limit) => pruneOlder(session, { table, key: '`key`', time: 'created_at' }, ageMs, limit),
  };
}

async function find(session: SqlSession, table: string, key: IdempotencyKey): Promise<CommittedCall | undefined> {
  // A locking read: the transaction's snapshot may be older than the other's commit.
  const lock = session.dialect.name === 'mysql' ? ' LOCK IN SHARE MODE' : '';
  const [row] = await session.query(`SELECT fingerprint, result, message_ids FROM ${table} WHERE \`key\` = ?${lock}`, [bytesOf(key)]);
  if (!row) return undefined;
  const [fingerprint, result, ids] = row as readonly [Buffer, Buffer | null, Buffer | null];
  const messageIds: Buffer[] = [];
  for (let at = 0; at < (ids?.length ?? 0); at += ID_BYTES) messageIds.push((ids as Buffer).subarray(at, at + ID_BYTES));
  return { fingerprint, result, messageIds };
}

function bytesOf({ key }: IdempotencyKey): Buffer {
  return Buffer.from(key, 'utf8');
}
