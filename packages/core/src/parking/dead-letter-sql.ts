import { isUtf8 } from 'node:buffer';
import { newMessageIdBytes } from '../contract/message-id.ts';
import type { Database, OwnedSession, SqlRow, SqlValue } from '../sql/session.ts';
import { type TableNames, tableNames } from '../sql/table-names.ts';
import { recordAudit } from './audit-sql.ts';
import type { AuditNote, DeadLetter, DeadLetterFilter, DeadLetterHead, DeadLetterStore, OnRedriven, ParkedCount } from './dead-letter.ts';
import { gapMarkerHeaders } from './parked-key.ts';
import { inTransaction, lockParkedKey, unparkIfEmpty } from './parking-sql.ts';

/** The dead letters of a scope in the table `txbox_dead_letter`. Each call uses a session of its own for its length. */
export function deadLetterStore(database: Database, scope: string, tablePrefix?: string, onRedriven?: OnRedriven): DeadLetterStore {
  return new SqlDeadLetterStore(database, scope, tableNames(tablePrefix), onRedriven);
}

const HEAD_COLUMNS = [
  ...['place', 'message_id', 'parked_key_id', 'topic', 'message_key', 'type', 'sequence', 'bytes'],
  ...['original_partition', 'original_published_at', 'attempts', 'reason', 'created_at'],
];
const WHOLE_COLUMNS = ['aggregate_type', 'aggregate_id', 'headers', 'payload'];

class SqlDeadLetterStore implements DeadLetterStore {
  readonly #database: Database;
  readonly #scope: string;
  readonly #tables: TableNames;
  readonly #onRedriven: OnRedriven | undefined;

  constructor(database: Database, scope: string, tables: TableNames, onRedriven: OnRedriven | undefined) {
    this.#database = database;
    this.#scope = scope;
    this.#tables = tables;
    this.#onRedriven = onRedriven;
  }

  count(): Promise<ParkedCount> {
    const { parkedKey, deadLetter } = this.#tables;
    return this.#with(async (session) => {
      const [row] = await session.query(
        `SELECT (SELECT COUNT(*) FROM ${parkedKey} WHERE scope = ?), (SELECT COUNT(*) FROM ${deadLetter} WHERE scope = ?)`,
        [this.#scope, this.#scope],
      );
      return { keys: Number(row?.[0]), deadLetters: Number(row?.[1]) };
    });
  }

  list(filter: DeadLetterFilter, after: number, limit: number): Promise<DeadLetterHead[]> {
    const { where, values } = conditionsOf(filter);
    return this.#with(async (session) => {
      const [columns, from] = this.#selected(session, []);
      const sql = `SELECT ${columns} FROM ${from} WHERE d.scope = ? AND d.place > ?${where} ORDER BY d.place LIMIT ?`;
      return (await session.query(sql, [this.#scope, after, ...values, limit])).map(headOf);
    });
  }

  front(parkedKeyId: Buffer, limit: number, bytes: number): Promise<DeadLetter[]> {
    return this.#with(async (session) => {
      const sizes = await session.query(
        `SELECT bytes FROM ${this.#tables.deadLetter} WHERE scope = ? AND parked_key_id = ? ORDER BY place LIMIT ?`,
        [this.#scope, parkedKeyId, limit],
      );
      let sum = 0;
      const beyond = sizes.findIndex(([size], index) => {
        sum += Number(size);
        return index > 0 && sum > bytes;
      });
      return await this.#whole(session, 'd.parked_key_id = ?', [parkedKeyId], beyond < 0 ? limit : beyond);
    });
  }

  async find(id: Buffer): Promise<DeadLetter | undefined> {
    return (await this.#with((session) => this.#whole(session, 'd.message_id = ?', [id], 1)))[0];
  }

  async beginSending(letters: readonly DeadLetterHead[]): Promise<void> {
    const [first] = letters;
    if (!first) return;
    const { parkedKey, deadLetter } = this.#tables;
    await this.#with((session) =>
      inTransaction(session, async () => {
        const { now } = session.dialect;
        await session.execute(`UPDATE ${parkedKey} SET due_at = ${now} WHERE scope = ? AND id = ?`, [this.#scope, first.parkedKeyId]);
        await session.execute(
          `UPDATE ${deadLetter} SET original_published_at = ${now}
           WHERE scope = ? AND original_published_at IS NULL AND message_id IN (${letters.map(() => '?').join(', ')})`,
          [this.#scope, ...letters.map(({ id }) => id)],
        );
      }),
    );
  }

  async refused({ id, publishedAt }: DeadLetterHead, reason: string): Promise<void> {
    await this.#with((session) =>
      session.execute(
        `UPDATE ${this.#tables.deadLetter} SET attempts = attempts + 1, reason = ?, original_published_at = ? WHERE scope = ? AND message_id = ?`,
        [reason, publishedAt, this.#scope, id],
      ),
    );
  }

  remove(letters: readonly DeadLetterHead[], note: AuditNote): Promise<number> {
    return this.#decide(letters[0]?.parkedKeyId, async (session) => {
      if (note.action === 'redrive') {
        await this.#onRedriven?.(
          session,
          letters.map(({ id }) => id),
        );
      }
      let removed = 0;
      for (const letter of letters) {
        const { affectedRows } = await session.execute(`DELETE FROM ${this.#tables.deadLetter} WHERE scope = ? AND message_id = ?`, [
          this.#scope,
          letter.id,
        ]);
        if (affectedRows === 0) continue;
        removed += 1;
        await this.#note(session, letter, note);
      }
      return removed;
    });
  }

  async takeOut(letter: DeadLetterHead, note: AuditNote): Promise<boolean> {
    const { deadLetter, parkedKey } = this.#tables;
    const alone = note.action === 'skip';
    if (!alone && letter.sequence === null) return (await this.remove([letter], note)) > 0;
    const found = await this.#decide(letter.parkedKeyId, async (session) => {
      const [whole] = await this.#whole(session, 'd.message_id = ? AND d.parked_key_id = ?', [letter.id, letter.parkedKeyId], 1);
      if (!whole) return 0;
      const named = [this.#scope, letter.id];
      if (whole.sequence !== null) {
        const headers = gapMarkerHeaders(whole.sequence);
        await session.execute(
          `UPDATE ${deadLetter} SET message_id = ?, type = NULL, aggregate_type = NULL, aggregate_id = NULL, sequence = NULL,
             headers = ?, payload = ?, bytes = ?, attempts = 0, reason = ? WHERE scope = ? AND message_id = ?`,
          [
            newMessageIdBytes(),
            headers,
            Buffer.alloc(0),
            headers.length + (whole.key?.length ?? 0),
            `gap marker for number ${whole.sequence}`,
            ...named,
          ],
        );
        if (alone) await this.#insert(session, whole);
      } else {
        await session.execute(`UPDATE ${deadLetter} SET parked_key_id = ? WHERE scope = ? AND message_id = ?`, [letter.id, ...named]);
      }
      if (alone) {
        // Without a key, so that no message waits behind it.
        await session.execute(
          `${session.dialect.insertIgnore} INTO ${parkedKey} (scope, id, topic, state, attempts, since, epoch)
           VALUES (?, ?, ?, 'dead', ?, ${session.dialect.now}, 0)`,
          [this.#scope, letter.id, letter.topic, letter.attempts],
        );
      }
      await this.#note(session, letter, note);
      return 1;
    });
    return found > 0;
  }

  async #insert(session: OwnedSession, letter: DeadLetter): Promise<void> {
    const { key, type, sequence, bytes, partition, publishedAt, attempts, reason, parkedAt } = letter;
    await session.execute(
      `INSERT INTO ${this.#tables.deadLetter} (scope, parked_key_id, message_id, topic, message_key, type, aggregate_type, aggregate_id,
         sequence, headers, payload, bytes, original_partition, original_published_at, attempts, reason, created_at)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      [
        ...[this.#scope, letter.id, letter.id, letter.topic, key, type, letter.aggregateType, letter.aggregateId],
        ...[sequence, letter.headers, letter.payload, bytes, partition, publishedAt, attempts, reason, parkedAt],
      ],
    );
  }

  /** One transaction under the lock of the key's row, which goes when no dead letter of it is left. */
  #decide(parkedKeyId: Buffer | undefined, work: (session: OwnedSession) => Promise<number>): Promise<number> {
    if (!parkedKeyId) return Promise.resolve(0);
    return this.#with((session) =>
      inTransaction(session, async () => {
        await lockParkedKey(session, this.#tables, this.#scope, parkedKeyId);
        const done = await work(session);
        await unparkIfEmpty(session, this.#tables, this.#scope, parkedKeyId);
        return done;
      }),
    );
  }

  async #note(session: OwnedSession, letter: DeadLetterHead, { action, actor }: AuditNote): Promise<void> {
    const { topic, key, reason, attempts, parkedAt } = letter;
    const named = key === null ? { key } : isUtf8(key) ? { key: key.toString() } : { keyBase64: key.toString('base64') };
    const details = { topic, ...named, reason, attempts, parkedAt };
    await recordAudit(session, this.#tables, { scope: this.#scope, action, actor, messageId: letter.id, details });
  }

  async #whole(session: OwnedSession, where: string, values: readonly SqlValue[], limit: number): Promise<DeadLetter[]> {
    const [columns, from] = this.#selected(session, WHOLE_COLUMNS);
    const sql = `SELECT ${columns} FROM ${from} WHERE d.scope = ? AND ${where} ORDER BY d.place LIMIT ?`;
    return (await session.query(sql, [this.#scope, ...values, limit])).map((row) => {
      const [aggregateType, aggregateId, headers, payload] = row.slice(15) as [string | null, string | null, Buffer, Buffer | null];
      return { ...headOf(row), aggregateType, aggregateId, headers, payload: payload ?? Buffer.alloc(0) };
    });
  }

  #selected({ dialect }: OwnedSession, more: readonly string[]): [columns: string, from: string] {
    const { deadLetter, parkedKey } = this.#tables;
    const columns = [...HEAD_COLUMNS.map((name) => `d.${name}`), dialect.msSince('d.created_at'), dialect.msSince('k.due_at')];
    const from = `${deadLetter} d LEFT JOIN ${parkedKey} k ON k.scope = d.scope AND k.id = d.parked_key_id`;
    return [[...columns, ...more.map((name) => `d.${name}`)].join(', '), from];
  }

  async #with<T>(work: (session: OwnedSession) => Promise<T>): Promise<T> {
    const session = await this.#database.session();
    try {
      return await work(session);
    } finally {
      await session.release();
    }
  }
}

function headOf(row: SqlRow): DeadLetterHead {
  const numberOrNull = (value: SqlRow[number]): number | null => (value === null ? null : Number(value));
  return {
    place: Number(row[0]),
    id: row[1] as Buffer,
    parkedKeyId: row[2] as Buffer,
    topic: row[3] as string,
    key: row[4] as Buffer | null,
    type: row[5] as string | null,
    sequence: numberOrNull(row[6] as SqlRow[number]),
    bytes: Number(row[7]),
    partition: numberOrNull(row[8] as SqlRow[number]),
    publishedAt: row[9] as string | null,
    attempts: Number(row[10]),
    reason: row[11] as string | null,
    parkedAt: row[12] as string,
    ageMs: Number(row[13]),
    quietMs: Math.min(Number(row[13]), row[14] === null ? Number.POSITIVE_INFINITY : Number(row[14])),
  };
}

const LIKE_SPECIAL = /[|%_]/g;

function conditionsOf({ id, parkedKeyId, topic, key, type, reason, since, until }: DeadLetterFilter): {
  where: string;
  values: SqlValue[];
} {
  const conditions: readonly (readonly [string, SqlValue | undefined])[] = [
    ['d.message_id = ?', id],
    ['d.parked_key_id = ?', parkedKeyId],
    ['d.topic = ?', topic],
    ['d.message_key = ?', key],
    ['d.type = ?', type],
    ["d.reason LIKE ? ESCAPE '|'", reason === undefined ? undefined : `%${reason.replace(LIKE_SPECIAL, '|$&')}%`],
    ['d.created_at >= ?', since],
    ['d.created_at < ?', until],
  ];
  const given = conditions.filter(([, value]) => value !== undefined);
  return { where: given.map(([text]) => ` AND ${text}`).join(''), values: given.map(([, value]) => value as SqlValue) };
}
