import type { SqlSession } from '../sql/session.ts';
import type { TableNames } from '../sql/table-names.ts';

/** What somebody decided. */
export interface AuditEntry {
  /** Whose messages it is about. */
  readonly scope: string;
  readonly action: string;
  readonly actor: string;
  /** Sixteen bytes; `null` when it is about several. */
  readonly messageId: Buffer | null;
  /** Stored as JSON. */
  readonly details: object;
}

/** Adds a row to the table `txbox_audit`, in the transaction of the session. */
export async function recordAudit(session: SqlSession, tables: TableNames, entry: AuditEntry): Promise<void> {
  const { scope, action, actor, messageId, details } = entry;
  await session.execute(
    `INSERT INTO ${tables.audit} (scope, action, actor, message_id, details, created_at) VALUES (?, ?, ?, ?, ?, ${session.dialect.now})`,
    [scope, action, actor.slice(0, 255), messageId, JSON.stringify(details)],
  );
}
