import { TxboxError } from '../runtime/error.ts';
import type { TransactionCall } from './run-transaction.ts';
import type { IsolationLevel } from './transaction.ts';
import type { UnitOfWork } from './unit-of-work.ts';

const STRENGTH: Readonly<Record<IsolationLevel, number>> = {
  'READ UNCOMMITTED': 0,
  'READ COMMITTED': 1,
  'REPEATABLE READ': 2,
  SERIALIZABLE: 3,
};

/**
 * Throws `ISOLATION_TOO_WEAK` or `PROPAGATION_REFUSED` for what an open unit cannot give to a call that joins it: clients
 * would drop it silently.
 */
export async function refuseWhatCannotJoin(open: UnitOfWork, call: TransactionCall): Promise<void> {
  const { isolationLevel: asked, readOnly } = call;
  const has = asked === undefined ? undefined : (open.isolationLevel ?? (await levelOfSession(open)));
  if (asked !== undefined && has !== undefined && STRENGTH[asked] > STRENGTH[has]) {
    throw new TxboxError(
      'ISOLATION_TOO_WEAK',
      `${asked} was asked for inside an open transaction at ${has}. Ask for it where the transaction begins, or for one of its own: propagation 'requires-new'.`,
      { details: { asked, open: has } },
    );
  }
  if (call.retry !== undefined) throw refused('retry', 'of which only the whole can be run again');
  if (call.idempotencyKey !== undefined) throw refused('idempotencyKey', 'of which only the whole can be done once');
  if (call.timeoutMs !== undefined) throw refused('timeoutMs', 'which ends as a whole');
  if (readOnly !== undefined && readOnly !== open.readOnly) {
    throw refused(`readOnly: ${readOnly}`, `which ${open.readOnly ? 'only reads' : 'may write'}`);
  }
}

function refused(option: string, because: string): TxboxError {
  return new TxboxError(
    'PROPAGATION_REFUSED',
    `${option} was asked for inside an open transaction, ${because}. Ask for it where the transaction begins, or for one of its own: propagation 'requires-new'.`,
    { details: { option } },
  );
}

/** What a unit has that was begun without a level of its own: the server's or somebody's default. */
async function levelOfSession({ session }: UnitOfWork): Promise<IsolationLevel> {
  // On SQLite every transaction is serializable; what is written there must run on MySQL too.
  if (session.dialect.name === 'sqlite') return 'REPEATABLE READ';
  // Servers have the variable under one name or the other.
  const [row] = await session.query("SHOW VARIABLES WHERE Variable_name IN ('transaction_isolation', 'tx_isolation')");
  const level = String(row?.[1]).replaceAll('-', ' ');
  return level in STRENGTH ? (level as IsolationLevel) : 'REPEATABLE READ';
}
