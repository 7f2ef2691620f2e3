import { type Database, type SqlSession, tableNames } from '@txbox/core/spi';
import type { Member, Membership } from '../membership.ts';
import { parseReport, type RelayReport } from '../relay-report.ts';

/** Members whose last sign of life is so many TTLs old are removed by whoever looks. */
const FORGET_AFTER_TTLS = 100;

/** Membership in the table `txbox_relay`, by the database's clock (P-T7). */
export function relayMembership(database: Database, tablePrefix?: string): Membership {
  const { relay: table, relayReport: reports } = tableNames(tablePrefix);
  const using = async <T>(work: (session: SqlSession) => Promise<T>): Promise<T> => {
    const session = await database.session();
    try {
      return await work(session);
    } finally {
      await session.release();
    }
  };
  // An older schema has no room for reports: nothing but tools needs them.
  const reporting = async (session: SqlSession, work: () => Promise<unknown>): Promise<void> => {
    try {
      await work();
    } catch (error) {
      if (session.dialect.classify(error) !== 'missing-table') throw error;
    }
  };
  const report = async (session: SqlSession, id: Buffer, text: string): Promise<void> => {
    const { now } = session.dialect;
    const { affectedRows } = await session.execute(`UPDATE ${reports} SET reported_at = ${now}, report = ? WHERE id = ?`, [text, id]);
    if (affectedRows === 0) await session.execute(`INSERT INTO ${reports} (id, reported_at, report) VALUES (?, ${now}, ?)`, [id, text]);
  };
  return {
    seen: (self, said) =>
      using(async (session) => {
        await reporting(session, () => report(session, self.id, JSON.stringify(said)));
        const { now } = session.dialect;
        const { affectedRows } = await session.execute(`UPDATE ${table} SET seen_at = ${now}, wake_host = ?, wake_port = ? WHERE id = ?`, [
          self.wakeHost,
          self.wakePort,
          self.id,
        ]);
        if (affectedRows > 0) return;
        await session.execute(
          `INSERT INTO ${table} (id, started_at, seen_at, wake_host, wake_port, version) VALUES (?, ${now}, ${now}, ?, ?, ?)`,
          [self.id, self.wakeHost, self.wakePort, self.version],
        );
      }),
    list: (ttlMs) =>
      using(async (session) => {
        const rows = await session.query(
          `SELECT id, wake_host, wake_port, version, started_at, ${session.dialect.msSince('seen_at')} FROM ${table} ORDER BY started_at, id`,
        );
        return rows.map(([id, wakeHost, wakePort, version, startedAt, seenMsAgo]): Member & { alive: boolean } => ({
          id: id as Buffer,
          wakeHost: wakeHost as string | null,
          wakePort: wakePort === null ? null : Number(wakePort),
          version: String(version),
          startedAt: String(startedAt),
          // Far in the future means that the clock moved back, after a fail-over for example (P-T7).
          alive: Number(seenMsAgo) <= ttlMs && Number(seenMsAgo) >= -2 * ttlMs,
        }));
      }),
    forgetOld: (ttlMs) =>
      using(async (session) => {
        const before = -FORGET_AFTER_TTLS * ttlMs;
        await session.execute(`DELETE FROM ${table} WHERE seen_at < ${session.dialect.nowPlusMs}`, [before]);
        await reporting(session, () =>
          session.execute(`DELETE FROM ${reports} WHERE reported_at < ${session.dialect.nowPlusMs}`, [before]),
        );
      }),
    leave: (id) =>
      using(async (session) => {
        await session.execute(`DELETE FROM ${table} WHERE id = ?`, [id]);
        await reporting(session, () => session.execute(`DELETE FROM ${reports} WHERE id = ?`, [id]));
      }),
    reports: () =>
      using(async (session) => {
        const found = new Map<string, RelayReport>();
        await reporting(session, async () => {
          for (const [id, text] of await session.query(`SELECT id, report FROM ${reports}`)) {
            const parsed = parseReport(String(text));
            if (parsed) found.set((id as Buffer).toString('hex'), parsed);
          }
        });
        return found;
      }),
  };
}
