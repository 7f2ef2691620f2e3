import 'reflect-metadata';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { PayloadOf } from '@txbox/core';
import { Handles, type Inbox } from '@txbox/inbox';
import { createInbox, type TypeormHandlerContext } from '@txbox/inbox/typeorm';
import { Transactional } from '@txbox/outbox';
import { createOutbox, type TypeormOutbox } from '@txbox/outbox/typeorm';
import { Column, DataSource, type DataSourceOptions, Entity, PrimaryGeneratedColumn, type Repository } from 'typeorm';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { backendUrl } from '../conformance/backend-url.ts';
import { SERVERS } from './consumer-server.ts';
import { Charged, Paid, recordOf, TopicLog } from './topic-log.ts';

@Entity('charges')
class Charge {
  @PrimaryGeneratedColumn()
  seq!: number;

  @Column({ type: 'varchar', length: 64 })
  value!: string;
}

/** A service of the consumer, written without a thought of the inbox. */
class ChargeService {
  readonly #charges: Repository<Charge>;

  constructor(charges: Repository<Charge>) {
    this.#charges = charges;
  }

  @Transactional()
  async note(value: string): Promise<void> {
    await this.#charges.insert({ value });
  }
}

class Billing {
  broken = false;
  readonly #service: ChargeService;

  constructor(service: ChargeService) {
    this.#service = service;
  }

  @Handles(Paid)
  async charge({ id }: PayloadOf<typeof Paid>, ctx: TypeormHandlerContext): Promise<void> {
    await ctx.manager.insert(Charge, { value: id });
    await this.#service.note(`${id} noted`);
    ctx.add(Charged, { id });
    if (this.broken && id === 'b') throw new Error('broken');
  }
}

/** A DataSource on a database of its own, and what ends both. */
type Opened = readonly [dataSource: DataSource, drop: () => Promise<void>];

async function onServer(variable: string, service: string): Promise<Opened> {
  const url = backendUrl(variable, service).replace(/^mariadb:/, 'mysql:');
  const database = `txbox_inbox_typeorm_${process.pid}_${Date.now()}`;
  const admin = await new DataSource({ type: 'mysql', url }).initialize();
  await admin.query(`CREATE DATABASE ${database}`);
  const options: DataSourceOptions = {
    type: 'mysql',
    url: Object.assign(new URL(url), { pathname: `/${database}` }).href,
    entities: [Charge],
  };
  return [
    await new DataSource({ ...options, synchronize: true }).initialize(),
    async () => {
      await admin.query(`DROP DATABASE ${database}`);
      await admin.destroy();
    },
  ];
}

async function inFile(): Promise<Opened> {
  const folder = await mkdtemp(join(tmpdir(), 'txbox-inbox-typeorm-'));
  const dataSource = new DataSource({ type: 'better-sqlite3', database: join(folder, 'a.db'), entities: [Charge], synchronize: true });
  return [await dataSource.initialize(), () => rm(folder, { recursive: true, force: true })];
}

const BACKENDS: readonly (readonly [name: string, open: () => Promise<Opened>])[] = [
  ...SERVERS.map(([name, variable, service]) => [name, () => onServer(variable, service)] as const),
  ['SQLite', inFile],
];

describe.each(BACKENDS)('inbox of a TypeORM DataSource on %s', (_name, open) => {
  let dataSource: DataSource;
  let drop: () => Promise<void>;
  let outbox: TypeormOutbox;
  let topic: TopicLog;
  let billing: Billing;
  let inbox: Inbox<TypeormHandlerContext>;
  beforeEach(async () => {
    [dataSource, drop] = await open();
    outbox = createOutbox({ dataSource });
    await outbox.migrate();
    topic = new TopicLog(2);
    billing = new Billing(new ChargeService(dataSource.getRepository(Charge)));
    inbox = createInbox({ dataSource, group: 'billing', source: topic.log.source(), handlers: [billing], retry: { baseMs: 5, capMs: 50 } });
    await inbox.migrate();
  });
  afterEach(async () => {
    await inbox.stop({ graceMs: 0 });
    await outbox.close();
    await dataSource.destroy();
    await drop();
  });

  const charges = async (): Promise<string[]> =>
    (await dataSource.getRepository(Charge).find({ order: { seq: 'ASC' } })).map(({ value }) => value);
  const count = async (table: string): Promise<number> => Number((await dataSource.query(`SELECT count(*) AS n FROM ${table}`))[0].n);

  it('joins manager, plain repositories, transactional services and events into the transaction of the message', async () => {
    const records = ['a', 'b', 'c'].map((id) => recordOf(Paid, { id }));
    await topic.publish(0, ...records, ...records);
    await inbox.start();
    await inbox.whenCaughtUp();
    expect(await charges()).toEqual(['a', 'a noted', 'b', 'b noted', 'c', 'c noted']);
    expect(await count('txbox_outbox')).toBe(3);
    expect(await count('txbox_inbox')).toBe(3);
    expect(await inbox.status()).toMatchObject({ applied: 3, duplicates: 3 });
  });

  it('rolls all of it back together when the handler throws, and holds the lane', async () => {
    billing.broken = true;
    const held = new Promise((resolve) => inbox.events.on('held', resolve));
    await inbox.start();
    await topic.publish(0, ...['a', 'b', 'c'].map((id) => recordOf(Paid, { id })));
    expect(await held).toMatchObject({ code: 'HANDLER_FAILED', offset: 1n, reason: 'broken' });
    await topic.publish(1, recordOf(Paid, { id: 'x' }));
    await expect.poll(charges).toEqual(['a', 'a noted', 'x', 'x noted']);
    expect(await count('txbox_outbox')).toBe(2);
    expect(await count('txbox_inbox')).toBe(2);
    billing.broken = false;
    await inbox.whenCaughtUp();
    expect(await charges()).toEqual(['a', 'a noted', 'x', 'x noted', 'b', 'b noted', 'c', 'c noted']);
    expect(await count('txbox_outbox')).toBe(4);
  });
});
