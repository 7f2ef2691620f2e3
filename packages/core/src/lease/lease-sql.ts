import type { Database, SqlSession, SqlValue } from '../sql/session.ts';
import { tableNames } from '../sql/table-names.ts';
import type { HeldSlot, LeaseRecord, LeaseSlot, LeaseStore } from './lease-store.ts';

/** Leases in the table `txbox_lease`. With a `Database`, each call uses a session of its own for its length. */
export function leaseStore(database: Database | SqlSession, tablePrefix?: string): LeaseStore {
  return new SqlLeaseStore(database, tableNames(tablePrefix).lease);
}

class SqlLeaseStore implements LeaseStore {
  readonly #database: Database | SqlSession;
  readonly #table: string;

  constructor(database: Database | SqlSession, table: string) {
    this.#database = database;
    this.#table = table;
  }

  ensure(scope: string, slots: number): Promise<void> {
    return this.#with(async (session) => {
      const [row] = await session.query(`SELECT COUNT(*) FROM ${this.#table} WHERE scope = ? AND slot < ?`, [scope, slots]);
      // The INSERT waits for locks of owners who renew; so it is left out when nothing is missing.
      if (Number(row?.[0]) === slots) return;
      const rows = Array.from({ length: slots }, (_, slot) => [scope, slot]);
      await session.execute(
        `${session.dialect.insertIgnore} INTO ${this.#table} (scope, slot, epoch) VALUES ${rows.map(() => '(?, ?, 0)').join(', ')}`,
        rows.flat(),
      );
    });
  }

  list(scope: string, ttlMs: number): Promise<LeaseRecord[]> {
    return this.#with(async (session) => {
      const rows = await session.query(
        `SELECT slot, owner, epoch, wanted_by, CASE WHEN ${expired(session)} THEN 1 ELSE 0 END FROM ${this.#table} WHERE scope = ? ORDER BY slot`,
        [2 * ttlMs, scope],
      );
      return rows.map(([slot, owner, epoch, wantedBy, isExpired]) => ({
        scope,
        slot: Number(slot),
        owner: owner as Buffer | null,
        epoch: Number(epoch),
        expired: Number(isExpired) === 1,
        wantedBy: wantedBy as Buffer | null,
      }));
    });
  }

  take(scope: string, slots: readonly number[], owner: Buffer, ttlMs: number): Promise<HeldSlot[]> {
    if (slots.length === 0) return Promise.resolve([]);
    const named = `scope = ? AND slot IN (${slots.map(() => '?').join(', ')})`;
    return this.#with(async (session) => {
      await session.execute(
        `UPDATE ${this.#table} SET owner = ?, epoch = epoch + 1, expires_at = ${session.dialect.nowPlusMs}, wanted_by = NULL
         WHERE ${named} AND (owner = ? OR ${expired(session)})`,
        [owner, ttlMs, scope, ...slots, owner, 2 * ttlMs],
      );
      // Nobody else takes them before they expire; what has expired meanwhile and was taken is not ours any more.
      const rows = await session.query(`SELECT slot, epoch FROM ${this.#table} WHERE ${named} AND owner = ? ORDER BY slot`, [
        scope,
        ...slots,
        owner,
      ]);
      return rows.map(([slot, epoch]) => ({ slot: Number(slot), epoch: Number(epoch) }));
    });
  }

  renew(scope: string, held: readonly HeldSlot[], owner: Buffer, ttlMs: number): Promise<number[]> {
    if (held.length === 0) return Promise.resolve([]);
    return this.#with(async (session) => {
      const mine = `scope = ? AND owner = ? AND (${held.map(() => '(slot = ? AND epoch = ?)').join(' OR ')})`;
      const values: SqlValue[] = [scope, owner, ...held.flatMap(({ slot, epoch }) => [slot, epoch])];
      await session.execute(`UPDATE ${this.#table} SET expires_at = ${session.dialect.nowPlusMs} WHERE ${mine}`, [ttlMs, ...values]);
      const rows = await session.query(`SELECT slot FROM ${this.#table} WHERE ${mine} ORDER BY slot`, values);
      return rows.map(([slot]) => Number(slot));
    });
  }

  release({ scope, slot }: LeaseSlot, owner: Buffer, epoch: number): Promise<void> {
    return this.#with(async (session) => {
      await session.execute(
        `UPDATE ${this.#table} SET owner = NULL, expires_at = NULL WHERE scope = ? AND slot = ? AND owner = ? AND epoch = ?`,
        [scope, slot, owner, epoch],
      );
    });
  }

  want({ scope, slot }: LeaseSlot, wantedBy: Buffer | null): Promise<void> {
    return this.#with(async (session) => {
      await session.execute(`UPDATE ${this.#table} SET wanted_by = ? WHERE scope = ? AND slot = ?`, [wantedBy, scope, slot]);
    });
  }

  async #with<T>(work: (session: SqlSession) => Promise<T>): Promise<T> {
    if (!('session' in this.#database)) return work(this.#database);
    const session = await this.#database.session();
    try {
      return await work(session);
    } finally {
      await session.release();
    }
  }
}

/** Free, past its time, or (P-T7) further in the future than any clock can have put it; one placeholder: 2 × TTL. */
function expired({ dialect }: SqlSession): string {
  return `owner IS NULL OR expires_at <= ${dialect.now} OR expires_at > ${dialect.nowPlusMs}`;
}
