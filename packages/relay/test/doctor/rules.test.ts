// Each rule trips on what it is about, and passes what is sound. Facts are doubles here: of servers, too, that no test can start.
import type { PublisherInspection, TopicInspection } from '@txbox/core/spi';
import { expect, it } from 'vitest';
import { examine } from '../../src/doctor/check.ts';
import type { DatabaseFacts } from '../../src/doctor/database-facts.ts';
import { DATABASE_RULES } from '../../src/doctor/database-rules.ts';
import { judge } from '../../src/doctor/finding.ts';
import { type PartitionCounts, PUBLISHING_RULES } from '../../src/doctor/publisher-rules.ts';
import type { RefusalCode } from '../../src/doctor/refusals.ts';
import { SETTINGS_RULES, type TimeFacts } from '../../src/doctor/settings-rules.ts';

const SOUND = new Map([
  ['auto_increment_increment', '1'],
  ['binlog_format', 'ROW'],
  ['group_replication_group_name', ''],
  ['innodb_flush_log_at_trx_commit', '1'],
  ['innodb_read_only', 'OFF'],
  ['log_bin', 'ON'],
  ['read_only', 'OFF'],
  ['sql_mode', 'STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION'],
  ['super_read_only', 'OFF'],
  ['sync_binlog', '1'],
  ['version', '8.4.0'],
  ['version_comment', 'MySQL Community Server - GPL'],
]);

function facts(variables: Readonly<Record<string, string>> = {}, others: Partial<DatabaseFacts> = {}): DatabaseFacts {
  return {
    variables: new Map([...SOUND, ...Object.entries(variables)]),
    engines: new Map([['txbox_outbox', 'InnoDB']]),
    replicates: false,
    readBy: ['one'],
    writtenBy: 'one',
    writeRefusal: undefined,
    sets: [],
    missingRights: [],
    clock: { aheadMs: 3, uncertainMs: 1 },
    lockWaitMs: 1_000,
    database: 'orders',
    ...others,
  };
}

const wrong = (found: DatabaseFacts): RefusalCode[] => examine(DATABASE_RULES, found).flatMap(({ code, ok }) => (ok ? [] : [code]));

it.each<[what: string, found: DatabaseFacts, codes: RefusalCode[]]>([
  ['a sound server', facts(), []],
  ['MariaDB that flushes at prepare and commit', facts({ version: '10.11.6-MariaDB', innodb_flush_log_at_trx_commit: '3' }), []],
  ['no binary log', facts({ log_bin: 'OFF', sync_binlog: '0', binlog_format: 'STATEMENT' }), []],
  [
    'group replication with one primary',
    facts({ group_replication_group_name: 'a', group_replication_single_primary_mode: 'ON', auto_increment_increment: '7' }),
    [],
  ],
  [
    'what this account may not know',
    facts({}, { replicates: undefined, missingRights: undefined, engines: new Map(), readBy: [], writtenBy: undefined }),
    [],
  ],
  ['a read-only server', facts({ read_only: 'ON' }), ['READ_ONLY']],
  ['a server that refuses a write', facts({}, { writeRefusal: 'read only', writtenBy: undefined }), ['READ_ONLY']],
  ['a replica', facts({}, { replicates: true }), ['REPLICA']],
  ['a proxy that reads elsewhere', facts({}, { readBy: ['two'] }), ['SPLITTING_PROXY']],
  ['a proxy that reads from several', facts({}, { readBy: ['one', 'two'] }), ['SPLITTING_PROXY']],
  [
    'a group with several primaries',
    facts({ group_replication_group_name: 'a', group_replication_single_primary_mode: 'OFF' }),
    ['MULTI_PRIMARY'],
  ],
  ['numbers in steps', facts({ auto_increment_increment: '2' }), ['MULTI_PRIMARY']],
  ['a node of Galera', facts({ wsrep_on: 'ON' }), ['GALERA']],
  ['sharded TDSQL', facts({}, { sets: ['set_1', 'set_2'] }), ['SHARDED']],
  ['TDSQL that is not sharded', facts({}, { sets: ['set_1'] }), []],
  ['a table of another engine', facts({}, { engines: new Map([['txbox_outbox', 'MyISAM']]) }), ['NOT_INNODB']],
  ['a lenient mode', facts({ sql_mode: '' }), ['SQL_MODE_NOT_STRICT']],
  ['statements in the binary log', facts({ binlog_format: 'STATEMENT' }), ['BINLOG_STATEMENT']],
  ['commits that are not flushed', facts({ innodb_flush_log_at_trx_commit: '2' }), ['COMMIT_NOT_FLUSHED']],
  ['3 on MySQL', facts({ innodb_flush_log_at_trx_commit: '3' }), ['COMMIT_NOT_FLUSHED']],
  ['a binary log that is not synced', facts({ sync_binlog: '0' }), ['BINLOG_NOT_SYNCED']],
  ['a right that is missing', facts({}, { missingRights: [{ right: 'DELETE', table: 'txbox_outbox' }] }), ['RIGHTS_MISSING']],
  ['a clock that is late', facts({}, { clock: { aheadMs: -5_000, uncertainMs: 1 } }), ['CLOCK_DIFFERS']],
  ['a clock about which too little is known', facts({}, { clock: { aheadMs: -5_000, uncertainMs: 4_000 } }), []],
])('%s', (_what, found, codes) => {
  expect(wrong(found)).toEqual(codes);
});

const TOPIC: TopicInspection = {
  ...{ topic: 'orders', state: 'there', replicas: 3, minInSyncReplicas: 2, uncleanElection: false, maxBatchBytes: 2_000_000 },
};

const counted = (change: Partial<PartitionCounts>): Partial<PublisherInspection> & { readonly counts: readonly PartitionCounts[] } => ({
  counts: [{ topic: 'orders', pinned: 6, broker: 6, switching: false, ...change }],
});

function brokerWrong(change: Partial<PublisherInspection>, topic: Partial<TopicInspection> = {}, configured = ['orders']): RefusalCode[] {
  const inspection = { acks: -1, givesUpAfterMs: 1, createsTopics: false, topics: [{ ...TOPIC, ...topic }], unchecked: [], ...change };
  const found = { ...inspection, configured: new Set(configured), maxRecordBytes: 1_000_000, batchBytes: 500_000 };
  return examine(PUBLISHING_RULES, found).flatMap(({ code, ok }) => (ok ? [] : [code]));
}

it.each<[what: string, found: RefusalCode[], codes: RefusalCode[]]>([
  ['a sound broker', brokerWrong({}), []],
  ['what could not be seen', brokerWrong({ unchecked: [{ what: 'topic orders', reason: 'denied' }] }), ['NOT_CHECKED']],
  ['a publisher that does not wait for all replicas', brokerWrong({ acks: 1 }), ['ACKS_NOT_ALL']],
  ['a broker that makes topics', brokerWrong({ createsTopics: true }), ['TOPIC_AUTO_CREATION']],
  ['a configured topic that is missing', brokerWrong({ topics: [{ topic: 'orders', state: 'missing' }] }), ['TOPIC_MISSING']],
  ['one of former days that is missing', brokerWrong({ topics: [{ topic: 'orders', state: 'missing' }] }, {}, []), ['TOPIC_GONE']],
  ['a topic that is not ours', brokerWrong({ topics: [{ topic: 'orders', state: 'not-authorized' }] }), ['TOPIC_NOT_AUTHORIZED']],
  ['several replicas of which one is enough', brokerWrong({}, { minInSyncReplicas: 1 }), ['MIN_INSYNC_REPLICAS']],
  ['one replica', brokerWrong({}, { replicas: 1, minInSyncReplicas: 1 }), ['REPLICATION_ONE']],
  ['a leader that may lack records', brokerWrong({}, { uncleanElection: true }), ['UNCLEAN_ELECTION']],
  ['more partitions than keys are spread over', brokerWrong(counted({ broker: 12 })), ['PARTITIONS_DIFFER']],
  ['fewer of them', brokerWrong(counted({ broker: 3 })), ['PARTITIONS_DIFFER']],
  ['a topic on its way to more', brokerWrong(counted({ switching: true })), ['PARTITIONS_DIFFER']],
  ['as many', brokerWrong(counted({})), []],
  ['a topic that takes less than the publisher lets pass', brokerWrong({}, { maxBatchBytes: 1_000_000 }), ['MESSAGE_SIZE']],
])('%s', (_what, found, codes) => {
  expect(found).toEqual(codes);
});

it('times that do not fit each other are a warning, and skipping is refused', () => {
  const time: TimeFacts = {
    ...{ leaseTtlMs: 10_000, pollMaxMs: 1_000, retry: { baseMs: 100, capMs: 10_000 }, onPermanentFailure: 'park-key' },
    ...{ graceMs: 10_000, lockWaitMs: 1_000, givesUpAfterMs: 100_000, refusedFactor: 10 },
  };
  const verdicts = (change: Partial<TimeFacts>, accept: readonly RefusalCode[] = []): string[] =>
    judge(examine(SETTINGS_RULES, { ...time, ...change }), accept).flatMap(({ code, verdict }) =>
      verdict === 'ok' ? [] : [`${code} ${verdict}`],
    );
  expect(verdicts({})).toEqual([]);
  expect(verdicts({ lockWaitMs: 4_000 })).toEqual(['TIMES_TIGHT warning']);
  expect(verdicts({ pollMaxMs: 20_000 })).toEqual(['TIMES_TIGHT warning']);
  expect(verdicts({ retry: { baseMs: 100, capMs: 400_000 } })).toEqual(['TIMES_TIGHT warning']);
  expect(verdicts({ onPermanentFailure: 'skip-message' })).toEqual(['SKIP_BREAKS_ORDER refused']);
  expect(verdicts({ onPermanentFailure: 'skip-message' }, ['SKIP_BREAKS_ORDER'])).toEqual(['SKIP_BREAKS_ORDER accepted']);
});
