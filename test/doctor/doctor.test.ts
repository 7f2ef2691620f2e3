// A relay says what would break a promise here, and does not start (P-R14): on servers that were set up so, and on sound ones.
import { randomBytes } from 'node:crypto';
import { kafkajs } from '@txbox/kafka/kafkajs';
import { createRelay, REFUSALS, type RefusalCode } from '@txbox/relay';
import { Kafka, logLevel } from 'kafkajs';
import { createConnection } from 'mysql2/promise';
import { describe, expect, it, onTestFinished } from 'vitest';
import { backendUrl } from '../conformance/backend-url.ts';
import { BROKERS, bareAdmin, newTopic } from '../faults/kafka-cluster.ts';
import { type ServiceDatabase, serviceDatabase } from '../relay/service-database.ts';
import { runDoctor } from './run-doctor.ts';

const SOUND = [
  ['MariaDB 10.11', 'TXBOX_TEST_MARIADB_URL', 'mariadb'],
  ['MySQL 8.0', 'TXBOX_TEST_MYSQL80_URL', 'mysql80'],
  ['MySQL 9', 'TXBOX_TEST_MYSQL9_URL', 'mysql9'],
] as const;
const CARELESS = [
  ['MariaDB 10.11', 'TXBOX_TEST_MARIADB_CARELESS_URL', 'mariadb-careless'],
  ['MySQL 9', 'TXBOX_TEST_MYSQL9_CARELESS_URL', 'mysql9-careless'],
] as const;
const CARELESS_BROKERS = (): string[] => backendUrl('TXBOX_TEST_KAFKA_CARELESS_BROKERS', 'kafka-careless').split(',');

const codesOf = ({ findings }: Awaited<ReturnType<typeof runDoctor>>['diagnosis'], verdict: string): string[] =>
  [...new Set(findings.filter((finding) => finding.verdict === verdict).map(({ code }) => code))].toSorted();

async function refusalsOf(
  database: ServiceDatabase,
  brokers: string[],
  accept: readonly RefusalCode[] = [],
  topics: readonly string[] = [],
): Promise<string[]> {
  const relay = createRelay({ database: { url: database.url }, publisher: kafkajs({ brokers }), accept, topics, wake: false });
  onTestFinished(() => relay.stop());
  try {
    await relay.start();
    return [];
  } catch (error) {
    const { code, details } = error as { code: string; details: { refusals: { code: string }[] } };
    expect(code).toBe('START_REFUSED');
    return [...new Set(details.refusals.map((refusal) => refusal.code))].toSorted();
  }
}

describe.each(SOUND)('a sound %s', (_name, variable, service) => {
  it('is not refused, and the doctor says so with times and least rights', async () => {
    const database = await serviceDatabase(variable, service);
    const topic = await newTopic(await bareAdmin(), 2);
    expect(await refusalsOf(database, BROKERS, [], [topic])).toEqual([]);
    const { code, diagnosis } = await runDoctor(database.url, BROKERS, { topics: [topic] });
    expect(code).toBe(0);
    expect(codesOf(diagnosis, 'refused')).toEqual([]);
    expect(codesOf(diagnosis, 'failed')).toEqual([]);
    expect(codesOf(diagnosis, 'warning')).toEqual(['REPLICATION_ONE']);
    expect(diagnosis.times.map(({ ms }) => ms)).toContain(10_000);
    expect(diagnosis.leastRights.flatMap(({ grants }) => grants).join('\n')).toMatch(/GRANT .*DELETE.* ON .*txbox_outbox/);
  });

  it('refuses an account that lacks a right; the least rights that the doctor prints are enough', async () => {
    const database = await serviceDatabase(variable, service);
    const url = new URL(database.url);
    const name = url.pathname.slice(1);
    const user = `lacks_${randomBytes(4).toString('hex')}`;
    const admin = await createConnection(database.url);
    onTestFinished(async () => {
      await admin.query(`DROP USER '${user}'@'%'`);
      await admin.end();
    });
    await admin.query(`CREATE USER '${user}'@'%' IDENTIFIED BY 'secret'`);
    [url.username, url.password] = [user, 'secret'];
    const outsider = (await runDoctor(url.href, BROKERS, {})).diagnosis;
    expect(codesOf(outsider, 'failed')).toEqual(['DATABASE_UNAVAILABLE']);
    expect(outsider.leastRights.flatMap(({ grants }) => grants)).toContain(`GRANT SELECT ON \`${name}\`.\`txbox_meta\` TO <relay>;`);
    await admin.query(`GRANT SELECT ON ${name}.txbox_meta TO '${user}'@'%'`);
    const poor = { ...database, url: url.href };
    expect(await refusalsOf(poor, BROKERS)).toEqual(['RIGHTS_MISSING']);
    const { diagnosis } = await runDoctor(url.href, BROKERS, {});
    expect(codesOf(diagnosis, 'refused')).toEqual(['RIGHTS_MISSING']);
    expect(codesOf(diagnosis, 'failed')).toEqual([]);
    await admin.query(`REVOKE SELECT ON ${name}.txbox_meta FROM '${user}'@'%'`);
    const [relay] = diagnosis.leastRights.filter(({ who }) => who.includes('relay'));
    for (const grant of relay?.grants ?? []) await admin.query(grant.replace(/TO .*$/, `TO '${user}'@'%'`).replace(/;$/, ''));
    expect(await refusalsOf(poor, BROKERS)).toEqual([]);
  });

  it('refuses tables of another engine', async () => {
    const database = await serviceDatabase(variable, service);
    await database.rows('ALTER TABLE txbox_topic ENGINE = MyISAM');
    expect(await refusalsOf(database, BROKERS)).toEqual(['NOT_INNODB']);
  });
});

describe.each(CARELESS)('a careless %s', (_name, variable, service) => {
  it('is refused for all that it loses and lets pass, at once; what is accepted by name is not', async () => {
    const database = await serviceDatabase(variable, service);
    const wrong = ['BINLOG_NOT_SYNCED', 'BINLOG_STATEMENT', 'COMMIT_NOT_FLUSHED', 'SQL_MODE_NOT_STRICT'] as const;
    const found = await refusalsOf(database, BROKERS);
    // A server without a binary log has nothing to say of one.
    const [binlog] = await database.rows('SELECT @@log_bin AS logs');
    expect(found).toEqual(binlog?.['logs'] === 0 ? ['COMMIT_NOT_FLUSHED', 'SQL_MODE_NOT_STRICT'] : wrong);
    const one = found[0] as RefusalCode;
    expect(await refusalsOf(database, BROKERS, [one])).toEqual(found.slice(1));
    const { code, diagnosis } = await runDoctor(database.url, BROKERS, { accept: [one] });
    expect(code).toBe(1);
    expect(codesOf(diagnosis, 'refused')).toEqual(found.slice(1));
    expect(codesOf(diagnosis, 'accepted')).toEqual([one]);
    expect(REFUSALS[one].severity).toBe('refuse');
  });

  it('is refused while it takes no writes', async () => {
    const database = await serviceDatabase(variable, service);
    const admin = await createConnection(database.url);
    const limited = new URL(database.url);
    const user = `reads_${randomBytes(4).toString('hex')}`;
    await admin.query(`CREATE USER '${user}'@'%' IDENTIFIED BY 'secret'`);
    await admin.query(`GRANT ALL ON ${limited.pathname.slice(1)}.* TO '${user}'@'%'`);
    onTestFinished(async () => {
      await admin.query('SET GLOBAL read_only = OFF');
      await admin.query(`DROP USER '${user}'@'%'`);
      await admin.end();
    });
    [limited.username, limited.password] = [user, 'secret'];
    await admin.query('SET GLOBAL read_only = ON');
    expect(await refusalsOf({ ...database, url: limited.href }, BROKERS)).toContain('READ_ONLY');
  });
});

describe('brokers and topics', () => {
  const [, variable, service] = SOUND[0];

  it('a configured topic that is missing is refused; so is a broker that makes topics by itself and may lose records', async () => {
    const database = await serviceDatabase(variable, service);
    expect(await refusalsOf(database, BROKERS, [], ['no-such-topic'])).toEqual(['TOPIC_MISSING']);
    const brokers = CARELESS_BROKERS();
    const admin = new Kafka({ brokers, clientId: 'doctor', logLevel: logLevel.NOTHING }).admin();
    await admin.connect();
    const topic = `doctor-${randomBytes(6).toString('hex')}`;
    await admin.createTopics({ topics: [{ topic, numPartitions: 1, configEntries: [{ name: 'max.message.bytes', value: '10000' }] }] });
    onTestFinished(async () => {
      await admin.deleteTopics({ topics: [topic] });
      await admin.disconnect();
    });
    expect(await refusalsOf(database, brokers, [], [topic])).toEqual(['TOPIC_AUTO_CREATION', 'UNCLEAN_ELECTION']);
    const { diagnosis } = await runDoctor(database.url, brokers, { topics: [topic] });
    expect(codesOf(diagnosis, 'warning')).toEqual(['MESSAGE_SIZE', 'REPLICATION_ONE']);
    expect(await admin.listTopics()).not.toContain('no-such-topic');
  });

  it('a topic that was given more partitions than its keys are spread over is a warning, and no reason not to start', async () => {
    const database = await serviceDatabase(variable, service);
    const topic = await newTopic(await bareAdmin(), 2);
    await database.rows('INSERT INTO txbox_topic (topic, partitions, generation) VALUES (?, 1, 1)', [topic]);
    const { code, diagnosis } = await runDoctor(database.url, BROKERS, { accept: ['TOPIC_AUTO_CREATION'] });
    expect(diagnosis.findings).toContainEqual(
      expect.objectContaining({ code: 'PARTITIONS_DIFFER', verdict: 'warning', value: '1 pinned, 2 at the broker' }),
    );
    expect(code).toBe(0);
  });

  it('what is away or not installed is a failed check of the doctor, and no crash', async () => {
    const database = await serviceDatabase(variable, service, { migrated: false });
    const { code, diagnosis } = await runDoctor(database.url, ['127.0.0.1:1'], {});
    expect(code).toBe(1);
    expect(codesOf(diagnosis, 'failed')).toEqual(['BROKER_UNAVAILABLE', 'SCHEMA_MISSING']);
    const nobody = await runDoctor('mysql://nobody:hidden@127.0.0.1:1/none', BROKERS, {});
    expect(codesOf(nobody.diagnosis, 'failed')).toEqual(['DATABASE_UNAVAILABLE']);
    expect(JSON.stringify(nobody.diagnosis)).not.toContain('hidden');
  });
});
