// Every statement that a relay and its operators' tools issue, as they issue it: none searches a table, and none waits for a service's open
// transaction, but the one that may (P-R1, P-R7, P-R9, P-R11).
import { silentLogger } from '@txbox/core';
import {
  coreComponent,
  type Database,
  type DeadLetterHead,
  type DeadLetterStore,
  deadLetterStore,
  encodeHeaders,
  type LeaseStore,
  leaseStore,
  migrate,
  newMessageIdBytes,
  type SqlSession,
  type SqlValue,
} from '@txbox/core/spi';
import {
  type OutboxArchive,
  type OutboxStore,
  outboxArchive,
  outboxComponent,
  outboxStore,
  type PageHead,
  type PageRequest,
  RELAY_SCOPE,
  SHARD_SCOPE,
  SHARDS,
} from '@txbox/outbox/store';
import { createRelay } from '@txbox/relay';
import { MemoryLog } from '@txbox/testing';
import { type Connection, createConnection, type RowDataPacket } from 'mysql2/promise';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { RecordingDatabase } from './recording-database.ts';
import { emptyDatabase, SERVERS } from './server.ts';

const FULL = process.env['TXBOX_TEST_FULL'] === '1';
const SERVERS_HERE = SERVERS.filter(([, , service]) => FULL || service === 'mariadb' || service === 'mysql9');
const ROWS = FULL ? [10, 1_000, 100_000] : [10, 2_000];
/** The shard in which everybody meets. */
const SHARD = 3;
const STEP = 10;
const FIRST = 100;
const TTL_MS = 10_000;
const PATIENCE = { timeout: 20_000, interval: 20 };

/** A whole number for each of so many rows, by what every server knows. */
const digits = `(SELECT 0 d ${Array.from({ length: 9 }, (_, n) => `UNION ALL SELECT ${n + 1}`).join(' ')})`;
const NUMBERS = `(SELECT a.d + 10 * b.d + 100 * c.d + 1000 * e.d + 10000 * f.d AS n FROM ${digits} a, ${digits} b, ${digits} c, ${digits} e, ${digits} f)`;
const MESSAGE = `'topic', CONCAT('key ', n), 'type', X'${encodeHeaders([]).toString('hex')}', 'payload', 20`;
/** Sixteen bytes; MySQL 9 has no MD5 any more. */
const hashed = (text: string): string => `LEFT(UNHEX(SHA2(${text}, 256)), 16)`;
const newId = (salt: string): string => hashed(`CONCAT('${salt}', n)`);

/** A database whose tables hold so many rows each, and a connection to it. */
async function filledDatabase(variable: string, service: string, rows: number): Promise<{ database: Database; bare: Connection }> {
  const server = await emptyDatabase(variable, service);
  onTestFinished(() => server.drop());
  const database = await server.open({ lockWaitTimeoutMs: 1_000 });
  await migrate(await database.session(), [coreComponent, outboxComponent]);
  const bare = await createConnection(server.url);
  onTestFinished(() => bare.end());
  const filled = [
    `txbox_outbox (shard, position, id, topic, message_key, type, headers, payload, bytes, sequence, created_at)
     SELECT IF(n < 10 OR n % 2 = 0, ${SHARD}, n % ${SHARDS}), ${FIRST} + ${STEP} * n, ${newId('outbox')}, ${MESSAGE}, n, UTC_TIMESTAMP(6)`,
    `txbox_archive (id, topic, message_key, type, headers, payload, bytes, created_at, published_at)
     SELECT ${newId('archive')}, ${MESSAGE}, UTC_TIMESTAMP(6), UTC_TIMESTAMP(6) - INTERVAL n SECOND`,
    `txbox_dead_letter (scope, parked_key_id, message_id, topic, message_key, type, headers, payload, bytes, attempts, created_at)
     SELECT '${RELAY_SCOPE}', ${hashed('n % 50')}, ${newId('letter')}, ${MESSAGE}, 1, UTC_TIMESTAMP(6)`,
  ];
  for (const what of filled) await bare.query(`INSERT INTO ${what} FROM ${NUMBERS} numbers WHERE n < ${rows} ORDER BY n`);
  await park(bare, 0, 50);
  await bare.query('ANALYZE TABLE txbox_outbox, txbox_archive, txbox_dead_letter, txbox_parked_key');
  return { database, bare };
}

/** Keys that no row of the outbox has. */
async function park(bare: Connection, from: number, to: number): Promise<void> {
  await bare.query(
    `INSERT INTO txbox_parked_key (scope, id, topic, message_key, state, attempts, since, epoch)
     SELECT '${RELAY_SCOPE}', ${hashed('n')}, 'topic', CONCAT('parked ', n), 'dead', 1, UTC_TIMESTAMP(6), 0 FROM ${NUMBERS} numbers WHERE n >= ${from} AND n < ${to}`,
  );
}

/** What works with the database here. */
interface Stores {
  readonly outbox: OutboxStore;
  readonly archiving: OutboxStore;
  readonly archive: OutboxArchive;
  readonly letters: DeadLetterStore;
  readonly leases: LeaseStore;
  /** So many further rows of the shard, ascending. */
  take(count: number): PageHead[];
  letter(): Promise<DeadLetterHead>;
}

async function storesOn(database: Database): Promise<Stores> {
  const outbox = outboxStore(database);
  const letters = deadLetterStore(database, RELAY_SCOPE);
  const [page] = await outbox.readPages([{ shard: SHARD, low: 0, start: 0, limit: 500, inlineBytes: 1_000 }]);
  const rows = [...(page?.rows ?? [])];
  return {
    outbox,
    archiving: outboxStore(database, { archive: true }),
    archive: outboxArchive(database),
    letters,
    leases: leaseStore(database),
    take: (count) => rows.splice(0, count),
    letter: async () => (await letters.list({}, 0, 1))[0] as DeadLetterHead,
  };
}

const allShards = (one: Omit<PageRequest, 'shard'>): PageRequest[] => Array.from({ length: SHARDS }, (_, shard) => ({ shard, ...one }));
const FAILURE = { reason: 'refused', attempts: 1, partition: 0, mayBePublished: false };
const OWNER = Buffer.alloc(16, 1);
const page = { low: FIRST, start: FIRST, limit: 500, inlineBytes: 1_000 };
const further = { ...page, start: FIRST + 3 * STEP };

/** Everything that is done to the tables that grow, and the leases. */
const WORK: readonly (readonly [string, (stores: Stores) => Promise<unknown>])[] = [
  ['read pages', ({ outbox }) => outbox.readPages(allShards(page))],
  ['read pages from the low mark on', ({ outbox }) => outbox.readPages(allShards(further))],
  ['read pages and heads in a block', ({ outbox }) => outbox.readPages(allShards({ ...further, compactHeads: true }))],
  ['read pages without payloads', ({ outbox }) => outbox.readPages(allShards({ ...page, inlineBytes: 1 }))],
  ['read pages where payloads are left out', ({ outbox }) => outbox.readPages(allShards({ ...page, inlineBytes: 1 }))],
  ['load payloads', ({ outbox, take }) => outbox.loadPayloads(take(1))],
  ['the highest position', ({ outbox }) => outbox.highestPosition()],
  [
    'a dirty look',
    ({ outbox }) => outbox.dirtyPositions(allShards(page).map(({ shard }) => ({ shard, low: FIRST, upTo: 100_000, limit: 100 }))),
  ],
  ['pin a topic', ({ outbox }) => outbox.pin('topic', 4)],
  ['whether all is settled', ({ outbox }) => outbox.isSettledUpTo(FIRST)],
  ['settle each', ({ outbox, take }) => outbox.settle(take(2), 'each')],
  ['archive', ({ archiving, take }) => archiving.settle(take(2), 'each')],
  ['park', ({ outbox, take }) => outbox.park(take(1)[0] as PageHead, FAILURE)],
  ['skip', ({ outbox, take }) => outbox.skip(take(1)[0] as PageHead, FAILURE)],
  [
    'move followers',
    async ({ outbox, take }) => {
      const [row] = take(1) as [PageHead];
      await outbox.park(row, FAILURE);
      await outbox.moveFollowers([row]);
    },
  ],
  ['count dead letters', ({ letters }) => letters.count()],
  ['list dead letters', ({ letters }) => letters.list({ topic: 'topic', since: '2020-01-01 00:00:00.000' }, 5, 100)],
  ['the front of a key', async ({ letters, letter }) => letters.front((await letter()).parkedKeyId, 100, 500_000)],
  ['find a dead letter', async ({ letters, letter }) => letters.find((await letter()).id)],
  ['begin sending', async ({ letters, letter }) => letters.beginSending([await letter()])],
  ['refuse again', async ({ letters, letter }) => letters.refused(await letter(), 'refused again')],
  ['remove a dead letter', async ({ letters, letter }) => letters.remove([await letter()], { action: 'redrive', actor: 'ann' })],
  ['skip a dead letter', async ({ letters, letter }) => letters.takeOut(await letter(), { action: 'skip', actor: 'ann' })],
  ['read the archive', ({ archive }) => archive.read({}, { after: 0, upTo: 1_000 }, 100, 500_000)],
  ['prune the archive', ({ archive }) => archive.prune(20_000, 100)],
  ['make leases', ({ leases }) => leases.ensure(SHARD_SCOPE, SHARDS)],
  ['list leases', ({ leases }) => leases.list(SHARD_SCOPE, TTL_MS)],
  [
    'hold a lease',
    async ({ leases }) => {
      const slot = { scope: SHARD_SCOPE, slot: SHARD };
      const epoch = (await leases.take(SHARD_SCOPE, [SHARD], OWNER, TTL_MS))[0]?.epoch as number;
      await leases.renew(SHARD_SCOPE, [{ slot: SHARD, epoch }], OWNER, TTL_MS);
      await leases.want(slot, OWNER);
      await leases.release(slot, OWNER, epoch);
    },
  ],
  // Last: it may wait, inside its span.
  ['settle a range', ({ outbox, take }) => outbox.settle(take(2), 'range')],
];

/** Small whatever happens: a row a relay, a component, a topic, a shard. */
const SMALL = /^(txbox_relay|txbox_relay_report|txbox_meta|txbox_topic|txbox_lease)$/;
/** Asked at a start, or of the server. */
const OTHERS = /information_schema|performance_schema/;

/** What of a statement's plan must not be, given that the tables hold that many rows. */
async function flawsOf(session: SqlSession, sql: string, values: readonly SqlValue[], rows: number): Promise<string[]> {
  if (!/^\s*(SELECT|\(|UPDATE|DELETE|INSERT INTO \S+ \([^)]*\)\s+SELECT)/.test(sql) || OTHERS.test(sql)) return [];
  // In its own session, because the lookup of a constant row is done, and locks it, also when it is only explained.
  // MySQL 8 prints a tree where another format is the default.
  const plan = await session.query(`EXPLAIN FORMAT=TRADITIONAL ${sql}`, values);
  const locks = !/^\s*(SELECT|\()/.test(sql) || sql.includes('FOR UPDATE');
  return plan.flatMap((row) => {
    // MySQL has two columns more: partitions, filtered.
    const [selected, table, type, key] = row.length > 10 ? [row[1], row[2], row[4], row[6]] : [row[1], row[2], row[3], row[5]];
    const extra = String(row.at(-1));
    if (
      table === null ||
      /^(<.*|v)$/.test(String(table)) ||
      // Who renews most of its few rows may as well read all of them.
      (SMALL.test(String(table)) && !(locks && table === 'txbox_lease' && !sql.includes(') OR (slot ='))) ||
      /^(INSERT|REPLACE)$/i.test(String(selected))
    )
      return [];
    const searches = (type === 'ALL' || type === 'index') && (locks || rows >= 1_000);
    // An alias stands for its table.
    const sorts = /filesort|temporary/.test(extra) && rows >= 1_000 && /^(o|p|txbox_outbox)$/.test(String(table));
    return searches || sorts ? [`${table}: ${type}, key ${key}, ${extra} in ${sql.replace(/\s+/g, ' ').slice(0, 300)}`] : [];
  });
}

describe.each(SERVERS_HERE)('a relay on %s', (_name, variable, service) => {
  it.each(ROWS)('searches no table of %d rows', { timeout: 120_000 }, async (rows) => {
    const { database, bare } = await filledDatabase(variable, service, rows);
    const seen = new Set<string>();
    const flaws: string[] = [];
    const recording = new RecordingDatabase(database, async (session, sql, values) => {
      // The same text with more or fewer names is the same statement.
      const text = sql.replaceAll(/(\?|\(\?(, \?)*\)|SELECT \?, \?|UNION ALL|, )+/g, '…');
      if (seen.has(text)) return;
      seen.add(text);
      flaws.push(...(await flawsOf(session, sql, values, rows)));
    });
    const stores = await storesOn(recording);
    for (const [, work] of WORK) await work(stores);
    await park(bare, 50, 300);
    await stores.outbox.readPages(allShards(further));
    // Its topic is missing, so the rows stay.
    const relay = createRelay({
      database: recording,
      publisher: new MemoryLog().publisher(),
      logger: silentLogger,
      leaseTtlMs: 1_000,
      archive: { retentionMs: 60_000 },
    });
    onTestFinished(() => relay.stop());
    await relay.start();
    await vi.waitFor(() => expect(relay.status().held).toHaveLength(1), PATIENCE);
    await vi.waitFor(() => expect([...seen].filter((text) => /\btxbox_relay\b/.test(text)).length).toBeGreaterThan(3), PATIENCE);
    await relay.stop();
    expect(flaws).toEqual([]);
    // Else the texts were not seen at all.
    for (const verb of ['SELECT', 'UPDATE', 'DELETE', 'INSERT', 'DELETE o FROM'])
      expect([...seen].some((text) => text.startsWith(verb))).toBe(true);
    expect(seen.size).toBeGreaterThan(40);
  });

  it('waits for no open transaction of a service or of another relay, inside or outside of what it works on, but in the one form that may', async () => {
    const { database, bare } = await filledDatabase(variable, service, 40);
    const stores = await storesOn(database);
    // Others hold rows between, below and above all that are worked on, a row among them, and what is beside it in every other table.
    const open = [
      ...[2, 30].map((n) => `DELETE FROM txbox_outbox WHERE shard = ${SHARD} AND position = ${FIRST + STEP * n}`),
      ...[-1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 39].map(
        (n) =>
          `INSERT INTO txbox_outbox (shard, position, id, topic, message_key, type, headers, payload, bytes, created_at)
           VALUES (${SHARD}, ${FIRST + STEP * n + 5}, X'${newMessageIdBytes().toString('hex')}', 'topic', 'new', 'type', '', '', 3, UTC_TIMESTAMP(6))`,
      ),
      `SELECT * FROM txbox_parked_key WHERE scope = '${RELAY_SCOPE}' AND id = ${hashed('7')} FOR UPDATE`,
      `SELECT * FROM txbox_dead_letter WHERE scope = '${RELAY_SCOPE}' AND message_id = ${hashed("'letter7'")} FOR UPDATE`,
      `SELECT * FROM txbox_dead_letter WHERE scope = '${RELAY_SCOPE}' AND parked_key_id = ${hashed('9')} FOR UPDATE`,
    ];
    await stores.leases.ensure(SHARD_SCOPE, SHARDS);
    await bare.query('SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED');
    await bare.beginTransaction();
    for (const sql of open) await bare.query(sql);
    await bare.query(`UPDATE txbox_lease SET expires_at = UTC_TIMESTAMP(6) WHERE scope = '${SHARD_SCOPE}' AND slot = ${SHARD + 1}`);
    const rows = stores.take(100).filter(({ position }) => position !== FIRST + STEP * 2);
    const working: Stores = { ...stores, take: (count) => rows.splice(0, count) };
    const waited: string[] = [];
    for (const [name, work] of WORK) {
      try {
        await work(working);
      } catch (error) {
        if (database.dialect.classify(error) !== 'lock-timeout') throw new Error(name, { cause: error });
        waited.push(name);
      }
    }
    expect(waited).toEqual(['settle a range']);
    await bare.rollback();
  });

  it('settles rows of a shard, however few there are, while others work on rows of other shards that lie between them', async () => {
    const { database, bare } = await filledDatabase(variable, service, 0);
    const outbox = outboxStore(database);
    await bare.query('SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED');
    for (const each of [1, 2, 7, 30]) {
      // In turn, as keys fall; the shard after the one that is settled has rows that nobody works on.
      const values = Array.from(
        { length: SHARDS * each },
        (_, n) => `(${n % SHARDS}, X'${newMessageIdBytes().toString('hex')}', 'topic', 'key', 'type', '', 'payload', 20, UTC_TIMESTAMP(6))`,
      );
      await bare.query(
        `INSERT INTO txbox_outbox (shard, id, topic, message_key, type, headers, payload, bytes, created_at) VALUES ${values.join(', ')}`,
      );
      const pages = await outbox.readPages(allShards({ low: 0, start: 0, limit: 500, inlineBytes: 1_000 }));
      await bare.beginTransaction();
      await bare.query('SELECT id FROM txbox_outbox FORCE INDEX (PRIMARY) WHERE shard = 9 FOR UPDATE');
      await outbox.settle(pages[4]?.rows ?? [], 'range');
      await bare.rollback();
      for (const { rows } of pages) await outbox.settle(rows, 'range');
    }
  });

  if (FULL)
    it('is not slowed down by 180,000 rows that it settled while somebody holds an old snapshot', { timeout: 240_000 }, async () => {
      const { database, bare } = await filledDatabase(variable, service, 0);
      for (const [salt, from] of [
        ['one', 0],
        ['two', 900_000],
      ] as const) {
        await bare.query(
          `INSERT INTO txbox_outbox (shard, position, id, topic, message_key, type, headers, payload, bytes, created_at)
         SELECT n % ${SHARDS}, ${from} + ${FIRST} + ${STEP} * n, ${newId(salt)}, ${MESSAGE}, UTC_TIMESTAMP(6) FROM ${NUMBERS} numbers WHERE n < 90000 ORDER BY n`,
        );
      }
      await bare.query('START TRANSACTION WITH CONSISTENT SNAPSHOT');
      const [[before]] = await bare.query<RowDataPacket[]>('SELECT COUNT(*) AS rows_there FROM txbox_outbox');
      expect(before).toEqual({ rows_there: 180_000 });
      let lastPage: { readonly sql: string; readonly values: readonly SqlValue[] } | undefined;
      const recording = new RecordingDatabase(database, async (_session, sql, values) => {
        if (sql.includes('AS payload')) lastPage = { sql, values };
      });
      const log = new MemoryLog();
      log.createTopic('topic', 8);
      const relay = createRelay({ database: recording, publisher: log.publisher(), logger: silentLogger });
      onTestFinished(() => relay.stop());
      await relay.start();
      await vi.waitFor(() => expect(relay.status().settled).toBe(180_000), { timeout: 120_000, interval: 100 });

      // What the old snapshot still sees in the span of a read is what the read must pass: it cannot be removed.
      const deadIn = async (where: string, values: readonly SqlValue[]): Promise<number> => {
        const [[row]] = await bare.query<RowDataPacket[]>(`SELECT COUNT(*) AS n FROM txbox_outbox WHERE ${where}`, [...values]);
        return Number(row?.['n']);
      };
      expect(await deadIn('position >= 0', [])).toBe(180_000);
      await vi.waitFor(async () => {
        const { sql, values } = lastPage as { sql: string; values: readonly SqlValue[] };
        const common = sql.includes('FORCE INDEX (position)');
        const shards = sql.split('AS page, o.position').length - 1;
        expect(common ? 1 : shards).toBe(common ? sql.split('AS payload').length - 1 : SHARDS);
        // The first value of each part is the most bytes of a payload.
        const spans = common ? values.slice(1, 2) : values.slice(0, 3 * shards).filter((_value, at) => at % 3 > 0);
        const where = common ? 'position >= ?' : Array.from({ length: shards }, () => '(shard = ? AND position >= ?)').join(' OR ');
        expect(await deadIn(where, spans)).toBe(0);
      }, PATIENCE);
      await bare.query('COMMIT');
    });
});
