import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AddOptions, EventDefinition, MessageId, PayloadInputOf } from '@txbox/core';
import type { Publisher } from '@txbox/core/spi';
import { embedded, embeddedAdmin, embeddedSource } from '@txbox/embedded';
import { createInbox as createMysql2Inbox } from '@txbox/inbox/mysql2';
import { createInbox as createSqliteInbox } from '@txbox/inbox/sqlite';
import { kafkajs, kafkajsSource } from '@txbox/kafka/kafkajs';
import { createOutbox as createMysql2Outbox } from '@txbox/outbox/mysql2';
import { createOutbox as createSqliteOutbox } from '@txbox/outbox/sqlite';
import Database from 'better-sqlite3';
import { Kafka, logLevel } from 'kafkajs';
import { createConnection, createPool } from 'mysql2/promise';
import { backendUrl } from '../conformance/backend-url.ts';
import { type LoggedRecord, readTopic } from './topic-reader.ts';

/** Adds an event to the open transaction. */
type OutboxAdd = <E extends EventDefinition>(event: E, payload: PayloadInputOf<E>, options?: AddOptions) => MessageId;

/** A service's database with its outbox, a broker with one topic, and a consumer's database. */
export interface TestStack {
  readonly topic: string;
  readonly databaseUrl: string;
  /** One transaction of the service, with one outbox for all of them. */
  transaction(work: (add: OutboxAdd) => void): Promise<void>;
  readonly publisher: () => Publisher;
  readonly inbox: (group: string) => ReturnType<typeof createMysql2Inbox> | ReturnType<typeof createSqliteInbox>;
  /** The whole topic, lane by lane, without the framework's own source. */
  readLog(): Promise<LoggedRecord[]>;
  dispose(): Promise<void>;
}

/** SQLite files and the embedded broker. */
export async function embeddedStack(partitions: number): Promise<TestStack> {
  const folder = await mkdtemp(join(tmpdir(), 'txbox-e2e-'));
  const path = join(folder, 'broker.db');
  const admin = embeddedAdmin({ path });
  await admin.createTopic('documents', { partitions });
  const service = new Database(join(folder, 'service.db'));
  const consumer = new Database(join(folder, 'consumer.db'));
  const outbox = createSqliteOutbox({ database: service });
  await outbox.migrate();
  return {
    topic: 'documents',
    databaseUrl: `sqlite:${join(folder, 'service.db')}`,
    transaction: (work) => outbox.transaction(async () => work((event, payload, options) => outbox.add(event, payload, options))),
    publisher: () => embedded({ path }),
    inbox: (group) => createSqliteInbox({ database: consumer, group, source: embeddedSource({ path }) }),
    readLog: () => admin.readAll('documents'),
    dispose: async () => {
      await outbox.close();
      await admin.close();
      service.close();
      consumer.close();
      await rm(folder, { recursive: true });
    },
  };
}

/** Databases on a real server, a topic on a real broker. */
export async function kafkaStack(urlVariable: string, service: string, partitions: number): Promise<TestStack> {
  const server = new URL(backendUrl(urlVariable, service));
  const brokers = backendUrl('TXBOX_TEST_KAFKA_BROKERS', 'kafka').split(',');
  const run = `txbox_e2e_${randomBytes(6).toString('hex')}`;
  const connection = await createConnection(server.href);
  const names = [`${run}_service`, `${run}_consumer`] as const;
  for (const name of names) await connection.query(`CREATE DATABASE ${name}`);
  const urlOf = (name: string): string => Object.assign(new URL(server.href), { pathname: `/${name}` }).href;
  const pools = names.map((name) => createPool({ uri: urlOf(name), connectionLimit: 10 }));
  const [servicePool, consumerPool] = pools;
  if (!servicePool || !consumerPool) throw new Error('two pools were made');

  const topic = `${run}.documents`;
  const admin = new Kafka({ brokers, logLevel: logLevel.NOTHING }).admin();
  await admin.connect();
  await admin.createTopics({ topics: [{ topic, numPartitions: partitions, replicationFactor: 1 }], waitForLeaders: true });
  const outbox = createMysql2Outbox({ pool: servicePool });
  await outbox.migrate();
  return {
    topic,
    databaseUrl: urlOf(names[0]),
    transaction: (work) => outbox.transaction(async () => work((event, payload, options) => outbox.add(event, payload, options))),
    publisher: () => kafkajs({ brokers }),
    inbox: (group) => createMysql2Inbox({ pool: consumerPool, group: `${run}.${group}`, source: kafkajsSource({ brokers }) }),
    readLog: () => readTopic(brokers, topic),
    dispose: async () => {
      await outbox.close();
      for (const pool of pools) await pool.end();
      for (const name of names) await connection.query(`DROP DATABASE ${name}`);
      await connection.end();
      await admin.deleteTopics({ topics: [topic] });
      await admin.disconnect();
    },
  };
}
