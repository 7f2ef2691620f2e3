import { type SqlSession, type SqlValue, tableNames } from '@txbox/core/spi';
import type { OutboxSequences, SequenceRequest } from '../outbox-store.ts';

/** Bounds the placeholders of a statement. */
const MAX_KEYS = 1_000;

/** Numbers from the table behind a prefix (P-W6). */
export function outboxSequences(tablePrefix?: string): OutboxSequences {
  const table = tableNames(tablePrefix).sequence;
  return {
    next: async (session, requests) => {
      const order = [...requests.keys()].toSorted((one, other) => compare(requests[one], requests[other]));
      const last: number[] = [];
      for (let at = 0; at < order.length; at += MAX_KEYS) {
        const chunk = order.slice(at, at + MAX_KEYS);
        const asked = chunk.map((index) => requests[index] as SequenceRequest);
        await session.execute(...raise(session, table, asked));
        const found = new Map<string, number>();
        for (const [topic, key, value] of await session.query(...look(table, asked))) {
          found.set(nameOf({ topic: topic as string, key: key as Buffer }), Number(value));
        }
        for (const [place, index] of chunk.entries()) last[index] = found.get(nameOf(asked[place] as SequenceRequest)) as number;
      }
      return last;
    },
    nextNow: (session, request) => {
      session.executeNow?.(...raise(session, table, [request]));
      const [row] = session.queryNow?.(...look(table, [request])) ?? [];
      return Number(row?.[2]);
    },
  };
}

type Statement = readonly [sql: string, values: SqlValue[]];

function raise({ dialect }: SqlSession, table: string, requests: readonly SequenceRequest[]): Statement {
  const update =
    dialect.name === 'mysql'
      ? 'ON DUPLICATE KEY UPDATE value = value + VALUES(value)'
      : 'ON CONFLICT (topic, message_key) DO UPDATE SET value = value + excluded.value';
  const rows = Array(requests.length).fill('(?, ?, ?)').join(', ');
  const values = requests.flatMap(({ topic, key, count }) => [topic, key, count]);
  return [`INSERT INTO ${table} (topic, message_key, value) VALUES ${rows} ${update}`, values];
}

/** Sees its own transaction's values, whatever its snapshot shows of others. */
function look(table: string, requests: readonly SequenceRequest[]): Statement {
  const which = Array(requests.length).fill('(topic = ? AND message_key = ?)').join(' OR ');
  return [`SELECT topic, message_key, value FROM ${table} WHERE ${which}`, requests.flatMap(({ topic, key }) => [topic, key])];
}

function compare(one: SequenceRequest | undefined, other: SequenceRequest | undefined): number {
  if (!one || !other) return 0;
  if (one.topic !== other.topic) return one.topic < other.topic ? -1 : 1;
  return Buffer.compare(one.key, other.key);
}

function nameOf({ topic, key }: Pick<SequenceRequest, 'topic' | 'key'>): string {
  return `${topic} ${key.toString('latin1')}`;
}
