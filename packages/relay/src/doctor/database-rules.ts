import type { Rule } from './check.ts';
import type { DatabaseFacts } from './database-facts.ts';

/** Clocks that are kept by NTP differ by milliseconds. */
const CLOCK_TOLERANCE_MS = 2_000;

type DatabaseRule = Rule<DatabaseFacts>;

/** A variable that servers without the feature do not have. */
function variable(
  name: string,
  isOk: (value: string) => boolean,
): (facts: DatabaseFacts) => { readonly what: string; readonly value: string; readonly ok: boolean }[] {
  return ({ variables }) => {
    const value = variables.get(name);
    return value === undefined ? [] : [{ what: name, value: value === '' ? '(empty)' : value, ok: isOk(value) }];
  };
}

const isOff = (value: string): boolean => /^(?:OFF|0|NO)$/i.test(value);
const isOn = (value: string | undefined): boolean => value !== undefined && !isOff(value);

const readOnly: DatabaseRule = {
  code: 'READ_ONLY',
  rule: 'The server takes writes: a relay deletes what it has published and renews leases.',
  wayOut: 'Give the address of the primary, or SET GLOBAL read_only = OFF when this is the primary.',
  examine: (facts) => [
    ...['read_only', 'super_read_only', 'innodb_read_only'].flatMap((name) => variable(name, isOff)(facts)),
    ...(facts.writeRefusal === undefined ? [] : [{ what: 'a write', value: `refused: ${facts.writeRefusal}`, ok: false }]),
  ],
};

const replica: DatabaseRule = {
  code: 'REPLICA',
  rule: 'The server applies no changes of another one: on a replica the outbox is behind, and what the relay deletes there stays on the primary.',
  wayOut: 'Give the address of the primary. After a fail-over end the old replication (RESET REPLICA ALL; RESET SLAVE ALL).',
  examine: ({ replicates }) =>
    replicates === undefined ? [] : [{ what: 'replication from another server', value: replicates ? 'runs' : 'none', ok: !replicates }],
};

const splittingProxy: DatabaseRule = {
  code: 'SPLITTING_PROXY',
  rule: 'Reads and writes reach the same server: a replica behind a proxy shows the outbox late and in another order.',
  wayOut: "Give the primary's own address, or a port or account of the proxy that does not split reads from writes.",
  examine: ({ readBy, writtenBy }) => {
    const servers = new Set([...readBy, ...(writtenBy === undefined ? [] : [writtenBy])]);
    if (servers.size === 0) return [];
    const value = servers.size === 1 ? [...servers].join() : `reads: ${readBy.join(' and ')}; a write: ${writtenBy ?? 'none'}`;
    return [{ what: 'the server of reads and of a write', value, ok: servers.size === 1 }];
  },
};

const multiPrimary: DatabaseRule = {
  code: 'MULTI_PRIMARY',
  rule: 'One server numbers the events: with several, positions do not follow the order of commits.',
  wayOut: 'Write to one primary only: group_replication_single_primary_mode = ON, auto_increment_increment = 1.',
  examine: (facts) => {
    const mode = isOn(facts.variables.get('group_replication_group_name') || 'OFF')
      ? variable('group_replication_single_primary_mode', isOn)(facts)
      : [];
    // Group replication on MySQL 5.7 sets the increment with a single primary, too.
    const single = mode.length > 0 && mode.every(({ ok }) => ok);
    return [...mode, ...variable('auto_increment_increment', (value) => single || value === '1')(facts)];
  },
};

const galera: DatabaseRule = {
  code: 'GALERA',
  rule: 'The server is no node of a Galera cluster: each node numbers for itself, and a commit may fail after it looked done.',
  wayOut: 'Use a server with usual replication. When every service and relay writes to one and the same node, accept it.',
  examine: variable('wsrep_on', isOff),
};

const sharded: DatabaseRule = {
  code: 'SHARDED',
  rule: 'The outbox lies on one server: parts of a sharded TDSQL number for themselves.',
  wayOut: 'Keep the service and its outbox in an instance that is not sharded.',
  examine: ({ sets, variables }) =>
    sets.length === 0 ? [] : [{ what: variables.get('version_comment') ?? 'TDSQL', value: `${sets.length} sets`, ok: sets.length === 1 }],
};

const notInnodb: DatabaseRule = {
  code: 'NOT_INNODB',
  rule: 'All tables of the framework are InnoDB: others know no transactions.',
  wayOut: 'ALTER TABLE … ENGINE = InnoDB, while services and relays stand still.',
  examine: ({ engines }) => {
    if (engines.size === 0) return [];
    const others = [...engines].filter(([, engine]) => !/^innodb$/i.test(engine));
    const value = others.length === 0 ? 'InnoDB' : others.map(([table, engine]) => `${table}: ${engine}`).join(', ');
    return [{ what: 'storage engine', value, ok: others.length === 0 }];
  },
};

const strictMode: DatabaseRule = {
  code: 'SQL_MODE_NOT_STRICT',
  rule: 'The global sql_mode has STRICT_TRANS_TABLES: without it the server cuts off what does not fit, and a service commits broken events.',
  wayOut: "SET GLOBAL sql_mode = CONCAT(@@GLOBAL.sql_mode, ',STRICT_TRANS_TABLES'), and in the server's configuration.",
  examine: variable('sql_mode', (value) => /\b(?:STRICT_TRANS_TABLES|STRICT_ALL_TABLES|TRADITIONAL)\b/.test(value)),
};

const binlogStatement: DatabaseRule = {
  code: 'BINLOG_STATEMENT',
  rule: 'binlog_format is ROW or MIXED: with STATEMENT the server refuses writes at READ COMMITTED, which every relay uses.',
  wayOut: "SET GLOBAL binlog_format = 'ROW', and in the server's configuration; sessions that are open keep theirs.",
  examine: (facts) =>
    isOn(facts.variables.get('log_bin')) ? variable('binlog_format', (value) => !/^STATEMENT$/i.test(value))(facts) : [],
};

const commitNotFlushed: DatabaseRule = {
  code: 'COMMIT_NOT_FLUSHED',
  rule: 'innodb_flush_log_at_trx_commit is 1: else the last second of commits is lost with the machine, although its events may be published.',
  wayOut: "SET GLOBAL innodb_flush_log_at_trx_commit = 1, and in the server's configuration.",
  examine: (facts) => {
    // MariaDB's 3 flushes at prepare and at commit.
    const enough = /mariadb/i.test(facts.variables.get('version') ?? '') ? ['1', '3'] : ['1'];
    return variable('innodb_flush_log_at_trx_commit', (value) => enough.includes(value))(facts);
  },
};

const binlogNotSynced: DatabaseRule = {
  code: 'BINLOG_NOT_SYNCED',
  rule: 'sync_binlog is 1 where there is a binary log: else replicas may lack, or have alone, what was committed when the machine died.',
  wayOut: "SET GLOBAL sync_binlog = 1, and in the server's configuration.",
  examine: (facts) => (isOn(facts.variables.get('log_bin')) ? variable('sync_binlog', (value) => value === '1')(facts) : []),
};

const rightsMissing: DatabaseRule = {
  code: 'RIGHTS_MISSING',
  rule: 'The account may read and write the tables as publishing and parking need it.',
  wayOut: 'Grant them: txbox relay doctor prints the least rights as statements.',
  examine: ({ missingRights }) => {
    if (!missingRights) return [];
    const tables = Map.groupBy(missingRights, ({ table }) => table);
    const value = [...tables].map(([table, rights]) => `${rights.map(({ right }) => right).join(', ')} on ${table}`).join('; ');
    return [{ what: "the account's rights", value: value === '' ? 'enough' : `without ${value}`, ok: missingRights.length === 0 }];
  },
};

const clockDiffers: DatabaseRule = {
  code: 'CLOCK_DIFFERS',
  rule: `The clocks of this process and of the database differ by less than ${CLOCK_TOLERANCE_MS} ms: ages of events and times of headers are told by both.`,
  wayOut: 'Keep both by NTP. Leases go by the database alone and are not affected.',
  examine: ({ clock: { aheadMs, uncertainMs } }) => {
    const value = `${Math.round(Math.abs(aheadMs))} ms ${aheadMs < 0 ? 'behind' : 'ahead'}, ± ${Math.ceil(uncertainMs)} ms`;
    return [{ what: "the database's clock", value, ok: Math.abs(aheadMs) - uncertainMs < CLOCK_TOLERANCE_MS }];
  },
};

/** What is to be said of a database server. */
export const DATABASE_RULES: readonly DatabaseRule[] = [
  readOnly,
  replica,
  splittingProxy,
  multiPrimary,
  galera,
  sharded,
  notInnodb,
  strictMode,
  binlogStatement,
  commitNotFlushed,
  binlogNotSynced,
  rightsMissing,
  clockDiffers,
];
