import { isTxboxError, type SqlSession, type TableNames, tableNames } from '@txbox/core/spi';
import type { ResolvedRelayOptions } from '../relay-options.ts';

/** Which tables a relay uses. */
export type TablesInUse = Pick<ResolvedRelayOptions, 'tablePrefix' | 'archive'>;

/** What may be granted on a table. */
type Right = 'SELECT' | 'INSERT' | 'UPDATE' | 'DELETE';

/** A right that the account lacks. */
export interface MissingRight {
  readonly right: Right;
  /** Without quotes. */
  readonly table: string;
}

/** A user of the framework and the rights that it needs at least. */
export interface LeastRights {
  readonly who: string;
  readonly grants: readonly string[];
}

interface TableRights {
  readonly table: keyof TableNames;
  readonly rights: readonly Right[];
  /** A column, for probes of INSERT and UPDATE. */
  readonly column: string;
}

/** Parking, which needs parked keys, dead letters and their audit, is part of publishing. */
const RELAY: readonly TableRights[] = [
  { table: 'meta', rights: ['SELECT'], column: 'settings' },
  { table: 'outbox', rights: ['SELECT', 'INSERT', 'DELETE'], column: 'sequence' },
  { table: 'lease', rights: ['SELECT', 'INSERT', 'UPDATE'], column: 'owner' },
  { table: 'relay', rights: ['SELECT', 'INSERT', 'UPDATE', 'DELETE'], column: 'wake_port' },
  { table: 'relayReport', rights: ['SELECT', 'INSERT', 'UPDATE', 'DELETE'], column: 'report' },
  { table: 'topic', rights: ['SELECT', 'INSERT'], column: 'switch_offsets' },
  { table: 'parkedKey', rights: ['SELECT', 'INSERT', 'UPDATE', 'DELETE'], column: 'reason' },
  { table: 'deadLetter', rights: ['SELECT', 'INSERT', 'UPDATE', 'DELETE'], column: 'reason' },
  { table: 'audit', rights: ['SELECT', 'INSERT'], column: 'details' },
];

const ARCHIVE: TableRights = { table: 'archive', rights: ['SELECT', 'INSERT', 'DELETE'], column: 'sequence' };

/** Beside the rights on its own tables. */
const SERVICE: readonly Omit<TableRights, 'column'>[] = [
  { table: 'meta', rights: ['SELECT'] },
  { table: 'outbox', rights: ['INSERT'] },
  { table: 'sequence', rights: ['SELECT', 'INSERT', 'UPDATE'] },
  { table: 'idempotency', rights: ['SELECT', 'INSERT', 'UPDATE', 'DELETE'] },
  { table: 'lease', rights: ['SELECT'] },
  { table: 'relay', rights: ['SELECT'] },
];

/** MySQL 8.0 before 8.0.22 refuses locking reads to those who have rights on single tables only. */
const NEEDS_LOCK_TABLES = /^8\.0\.(?:1?\d|2[01])(?!\d)/;

/** The least rights of a relay and of a service, as statements; `version` is the server's. */
export function leastRights(inUse: TablesInUse, database: string, version: string): LeastRights[] {
  const tables = tableNames(inUse.tablePrefix);
  const on = quoted(database);
  const grantsOf = (user: string, all: readonly Omit<TableRights, 'column'>[]): string[] => [
    ...all.map(({ table, rights }) => `GRANT ${rights.join(', ')} ON ${on}.${tables[table]} TO ${user};`),
    ...(NEEDS_LOCK_TABLES.test(version) ? [`GRANT LOCK TABLES ON ${on}.* TO ${user};`] : []),
  ];
  return [
    { who: 'relay', grants: grantsOf('<relay>', rightsOf(inUse)) },
    { who: 'service (idempotency keys, strict order and wake-ups included)', grants: grantsOf('<service>', SERVICE) },
  ];
}

/** Tables of the relay, without quotes. */
export function relayTables(inUse: TablesInUse): string[] {
  const tables = tableNames(inUse.tablePrefix);
  return rightsOf(inUse).map(({ table }) => bare(tables[table]));
}

/**
 * Which rights of a relay the session's account lacks. Asked by statements that find nothing to do, because what SHOW
 * GRANTS says of roles, patterns and revoked parts is for servers to understand: they check rights before anything else.
 */
export async function missingRights(session: SqlSession, inUse: TablesInUse): Promise<MissingRight[]> {
  const tables = tableNames(inUse.tablePrefix);
  const having = (right: Right): TableRights[] => rightsOf(inUse).filter(({ rights }) => rights.includes(right));
  const missing: MissingRight[] = [];
  for (const right of ['SELECT', 'UPDATE', 'DELETE', 'INSERT'] as const) {
    const all = having(right);
    // All tables at once; where that is denied, or fails for another reason (a table of a later schema is missing), each by itself.
    if (right !== 'INSERT' && (await ask(session, PROBES[right](all, tables))) === 'granted') continue;
    for (const one of all) {
      if ((await ask(session, PROBES[right]([one], tables))) === 'denied') missing.push({ right, table: bare(tables[one.table]) });
    }
  }
  return missing;
}

const PROBES: Readonly<Record<Right, (all: readonly TableRights[], tables: TableNames) => string>> = {
  SELECT: (all, tables) => `SELECT 1 FROM ${namesOf(all, tables)} LIMIT 0`,
  UPDATE: (all, tables) =>
    `UPDATE ${namesOf(all, tables)} SET ${all.map(({ table, column }) => `${tables[table]}.${column} = NULL`).join(', ')} WHERE 1 = 0`,
  DELETE: (all, tables) => {
    const [only, ...others] = all;
    if (only && others.length === 0) return `DELETE FROM ${tables[only.table]} WHERE 1 = 0`;
    return `DELETE ${namesOf(all, tables)} FROM ${namesOf(all, tables)} WHERE 1 = 0`;
  },
  INSERT: ([one], tables) => {
    const { table, column } = one as TableRights;
    return `INSERT INTO ${tables[table]} (${column}) SELECT nothing FROM (SELECT NULL AS nothing) AS empty WHERE 1 = 0`;
  },
};

function namesOf(all: readonly TableRights[], tables: TableNames): string {
  return all.map(({ table }) => tables[table]).join(', ');
}

async function ask(session: SqlSession, probe: string): Promise<'granted' | 'denied' | 'unclear'> {
  try {
    await session.query(probe);
    return 'granted';
  } catch (error) {
    if (session.dialect.classify(error) === 'connection-lost') throw error;
    return isTxboxError(error, 'RIGHTS_MISSING') ? 'denied' : 'unclear';
  }
}

function rightsOf({ archive }: TablesInUse): readonly TableRights[] {
  return archive === false ? RELAY : [...RELAY, ARCHIVE];
}

function bare(table: string): string {
  return table.slice(1, -1);
}

function quoted(name: string): string {
  return `\`${name.replaceAll('`', '``')}\``;
}
