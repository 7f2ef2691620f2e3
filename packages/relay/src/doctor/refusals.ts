/**
 * The closed list of what a relay refuses to start with, or warns of (P-R14). A code is stable and documented in
 * `docs/doctor.md`; a test compares both lists. Each may be accepted by name: `createRelay({ accept: ['REPLICA'] })`.
 */
export const REFUSALS = {
  // The database server
  READ_ONLY: { severity: 'refuse' },
  REPLICA: { severity: 'refuse' },
  SPLITTING_PROXY: { severity: 'refuse' },
  MULTI_PRIMARY: { severity: 'refuse' },
  GALERA: { severity: 'refuse' },
  SHARDED: { severity: 'refuse' },
  NOT_INNODB: { severity: 'refuse' },
  SQL_MODE_NOT_STRICT: { severity: 'refuse' },
  BINLOG_STATEMENT: { severity: 'refuse' },
  COMMIT_NOT_FLUSHED: { severity: 'refuse' },
  BINLOG_NOT_SYNCED: { severity: 'refuse' },
  RIGHTS_MISSING: { severity: 'refuse' },
  CLOCK_DIFFERS: { severity: 'warn' },
  // The broker and its topics
  ACKS_NOT_ALL: { severity: 'refuse' },
  TOPIC_MISSING: { severity: 'refuse' },
  TOPIC_NOT_AUTHORIZED: { severity: 'refuse' },
  TOPIC_GONE: { severity: 'warn' },
  MIN_INSYNC_REPLICAS: { severity: 'refuse' },
  UNCLEAN_ELECTION: { severity: 'refuse' },
  TOPIC_AUTO_CREATION: { severity: 'refuse' },
  REPLICATION_ONE: { severity: 'warn' },
  MESSAGE_SIZE: { severity: 'warn' },
  PARTITIONS_DIFFER: { severity: 'warn' },
  NOT_CHECKED: { severity: 'warn' },
  // The relay's own settings
  SKIP_BREAKS_ORDER: { severity: 'refuse' },
  TIMES_TIGHT: { severity: 'warn' },
} as const;

/** A reason for which a relay does not start, or warns, unless it is listed in `accept`. */
export type RefusalCode = keyof typeof REFUSALS;
