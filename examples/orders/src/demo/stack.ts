import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { embeddedAdmin } from '@txbox/embedded';
import { Kafka, logLevel } from 'kafkajs';
import { createConnection } from 'mysql2/promise';
import type { Settings } from '../settings.ts';

const PARTITIONS = 4;
const ROOT = join(import.meta.dirname, '../../../..');

/** Two databases, a broker with the topic in it, and the files that tell the processes about them. */
export interface Stack {
  readonly settings: Settings;
  /** Settings file of the two services. */
  readonly settingsPath: string;
  /** Configuration file of the relay. */
  readonly configPath: string;
  readonly folder: string;
  /** Removes what was made. */
  dispose(): Promise<void>;
}

/** How a stack is asked for. */
export interface StackChoice {
  readonly stack: 'embedded' | 'kafka';
  readonly db: 'sqlite' | 'mariadb' | 'mysql';
  readonly progress: (text: string) => void;
}

/** Makes a fresh stack: SQLite files, or databases and a topic on real servers that the project starts. */
export async function prepareStack(choice: StackChoice): Promise<Stack> {
  const run = `demo_${Date.now().toString(36)}_${randomBytes(3).toString('hex')}`;
  const folder = join(ROOT, '.demo', run);
  await mkdir(folder, { recursive: true });
  const { settings, dispose } = choice.stack === 'embedded' ? await embeddedStack(folder) : await kafkaStack(run, choice);
  const settingsPath = join(folder, 'settings.json');
  const configPath = join(folder, 'txbox.config.json');
  await writeFile(settingsPath, JSON.stringify(settings, null, 2));
  await writeFile(
    configPath,
    JSON.stringify(
      {
        database: { url: settings.ordersDatabase },
        publisher: settings.broker,
        relay: { leaseTtlMs: 1_500 },
        inbox: { database: { url: settings.billingDatabase } },
      },
      null,
      2,
    ),
  );
  return {
    settings,
    settingsPath,
    configPath,
    folder,
    dispose: async () => {
      await dispose();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

interface MadeStack {
  readonly settings: Settings;
  dispose(): Promise<void>;
}

async function embeddedStack(folder: string): Promise<MadeStack> {
  const path = join(folder, 'broker.db');
  const admin = embeddedAdmin({ path });
  await admin.createTopic('orders', { partitions: PARTITIONS });
  await admin.close();
  return {
    settings: {
      ordersDatabase: `sqlite:${join(folder, 'orders.db')}`,
      billingDatabase: `sqlite:${join(folder, 'billing.db')}`,
      broker: { kind: 'embedded', path },
      topic: 'orders',
    },
    dispose: async () => undefined,
  };
}

async function kafkaStack(run: string, choice: StackChoice): Promise<MadeStack> {
  const database = choice.db === 'mysql' ? 'mysql9' : 'mariadb';
  const urlName = database === 'mysql9' ? 'TXBOX_TEST_MYSQL9_URL' : 'TXBOX_TEST_MARIADB_URL';
  choice.progress(`starting ${database} and kafka (the first time they are downloaded)`);
  const env = await startServices([database, 'kafka'], [urlName, 'TXBOX_TEST_KAFKA_BROKERS']);
  const server = required(env, urlName);
  const brokers = required(env, 'TXBOX_TEST_KAFKA_BROKERS').split(',');
  const names = { orders: `${run}_orders`, billing: `${run}_billing` };
  const connection = await createConnection(server);
  for (const name of Object.values(names)) await connection.query(`CREATE DATABASE ${name} CHARACTER SET utf8mb4`);

  const topic = `${run}.orders`;
  const admin = new Kafka({ brokers, logLevel: logLevel.NOTHING }).admin();
  await admin.connect();
  await admin.createTopics({ topics: [{ topic, numPartitions: PARTITIONS, replicationFactor: 1 }], waitForLeaders: true });
  const urlOf = (name: string): string => {
    const url = new URL(server.replace(/^mysql:/, choice.db === 'mysql' ? 'mysql:' : 'mariadb:'));
    url.pathname = `/${name}`;
    return url.href;
  };
  return {
    settings: { ordersDatabase: urlOf(names.orders), billingDatabase: urlOf(names.billing), broker: { kind: 'kafkajs', brokers }, topic },
    dispose: async () => {
      for (const name of Object.values(names)) await connection.query(`DROP DATABASE IF EXISTS ${name}`);
      await connection.end();
      await admin.deleteTopics({ topics: [topic] });
      await admin.disconnect();
    },
  };
}

/** Servers that the environment already names are used as they are. */
async function startServices(names: readonly string[], wanted: readonly string[]): Promise<ReadonlyMap<string, string>> {
  if (wanted.every((name) => process.env[name])) return new Map();
  const child = spawn(process.execPath, [join(ROOT, 'tools/services.mjs'), 'start', ...names], {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const lines = (await text(child.stdout)).split('\n').filter((line) => line.includes('='));
  if (child.exitCode === null) await once(child, 'exit');
  if (child.exitCode !== 0) throw new Error(`the servers ${names.join(', ')} did not start; the reason stands above`);
  return new Map(lines.map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]));
}

function required(env: ReadonlyMap<string, string>, name: string): string {
  const value = process.env[name] ?? env.get(name);
  if (value === undefined) throw new Error(`the server's address ${name} is not known`);
  return value;
}
