// What is published is kept on request, once and in order, for as long as was said, and can be published again.
import { setTimeout as sleep } from 'node:timers/promises';
import { headerOf } from '@txbox/core/spi';
import { describe, expect, it, vi } from 'vitest';
import { type LoggedRecord, readTopic } from '../e2e/topic-reader.ts';
import { BROKERS, bareAdmin, newTopic } from '../faults/kafka-cluster.ts';
import { Counters } from './counter.ts';
import { addNotes, type Note, PATIENCE, startRelay } from './note.ts';
import { TxboxCommands } from './relay-command.ts';
import { RelayProcess } from './relay-process.ts';
import { SERVERS, type ServiceDatabase, serviceDatabase } from './service-database.ts';

const ARCHIVE = { retentionMs: 3_600_000 };
const LEASE_TTL_MS = 1_500;
const FULL = process.env['TXBOX_TEST_FULL'] === '1';
describe.each(SERVERS.slice(0, FULL ? undefined : 1))('the archive on %s', (_name, variable, service) => {
  it('has every event once, each key in order, though a relay that was paused comes back and another is killed', async () => {
    const database = await serviceDatabase(variable, service);
    const counters = await Counters.create(database, await newTopic(await bareAdmin(), 6), 20);
    const one = await RelayProcess.start(database.url, LEASE_TTL_MS, ARCHIVE);
    let other = await RelayProcess.start(database.url, LEASE_TTL_MS, ARCHIVE);
    const writing = counters.raise({ seed: 5, writers: 6, transactions: 300, counters: 20, slow: 0.02, rolledBack: 0.1 });
    await counters.until(60);
    one.pause();
    await sleep(2 * LEASE_TTL_MS);
    one.resume();
    await counters.until(180);
    await other.kill();
    other = await RelayProcess.start(database.url, LEASE_TTL_MS, ARCHIVE);
    await writing;
    await vi.waitFor(async () => expect(await database.pending()).toBe(0), PATIENCE);
    expect(await Promise.all([one.stop(), other.stop()])).toEqual([0, 0]);
    const { wrong, committed } = await counters.verdict();
    expect(wrong).toEqual([]);
    const kept = (await database.rows('SELECT payload FROM txbox_archive ORDER BY place')).map(
      (row) => JSON.parse(String(row['payload'])) as { counter: string; attempt: string },
    );
    expect(kept).toHaveLength(committed);
    const raises = await database.rows('SELECT counter, attempt FROM raises ORDER BY counter, version');
    const byCounter = (all: readonly { counter: string; attempt: string }[]): string[] =>
      [...Map.groupBy(all, ({ counter }) => counter)].map(([counter, of]) => `${counter}: ${of.map(({ attempt }) => attempt)}`).sort();
    expect(byCounter(kept)).toEqual(byCounter(raises as never));
  });

  it('forgets what is older than its retention, and nothing else', async () => {
    const { database, texts } = await archived(variable, service, 30);
    await backdate(database, texts.slice(0, 10), 61 * 60_000);
    await backdate(database, texts.slice(10, 20), 59 * 60_000);
    await startRelay(database, { archive: ARCHIVE });
    await vi.waitFor(async () => expect((await keptTexts(database)).sort()).toEqual(texts.slice(10).sort()), PATIENCE);
  });

  it('is published again by key and time, after a look: in order, with the first time of publishing and a mark', async () => {
    const { database, topic, texts } = await archived(variable, service, 60);
    await backdate(database, texts.slice(0, 30), 2 * 3_600_000);
    const looked = await txbox(database, 'replay', '--from', '3h', '--to', '1h', '--topic', topic);
    expect(looked).toMatchObject({ code: 0, json: { dryRun: true, events: 30, topics: [{ topic, events: 30 }] } });
    expect(await again(topic)).toEqual([]);
    const done = await txbox(database, 'replay', '--from', '3h', '--to', '1h', '--key', 'k1', '--yes', '--actor', 'ann');
    expect(done).toMatchObject({ code: 0, json: { dryRun: false, events: 10, sent: 10, ended: 'complete' } });
    const records = await again(topic);
    expect(records.map(textOf)).toEqual(texts.slice(0, 30).filter((text) => text.startsWith('k1 ')));
    expect(new Set(records.map(({ headers }) => String(headerOf(headers, 'txbox-replay'))))).toEqual(new Set([done.json['replayId']]));
    for (const { headers, key } of records) {
      const age = Date.now() - Date.parse(String(headerOf(headers, 'txbox-published-at')));
      expect(age).toBeGreaterThanOrEqual(2 * 3_600_000 - 60_000);
      expect(age).toBeLessThan(3 * 3_600_000);
      expect([String(key), headerOf(headers, 'txbox-id')?.length]).toEqual(['k1', 16]);
    }
    // A replay is no publication: nothing is kept a second time.
    expect(Number((await database.rows('SELECT COUNT(*) AS n FROM txbox_archive'))[0]?.['n'])).toBe(60);
    const audit = await database.rows('SELECT action, actor, details FROM txbox_audit ORDER BY id');
    expect(audit.map(({ action, actor }) => [action, actor])).toEqual([
      ['replay', 'ann'],
      ['replay-ended', 'ann'],
    ]);
    expect(JSON.parse(audit[0]?.['details'] as string)).toMatchObject({ filter: { key: 'k1' }, events: 10 });
    expect(JSON.parse(audit[1]?.['details'] as string)).toMatchObject({ sent: 10, ended: 'complete' });
  });
});

describe('a replay', () => {
  const [, variable, service] = SERVERS[0];

  it('that is killed is gone on with where it said: every event again at least once, each key in order', async () => {
    const { database, topic, texts } = await archived(variable, service, 300);
    const commands = await TxboxCommands.create(database.url);
    const killed = commands.spawn('replay', '--all', '--yes', '--rate', '40');
    await killed.says('--after');
    const place = async (): Promise<string> => /(?<=--after )\d+/.exec(killed.stderr)?.[0] ?? '';
    await vi.waitFor(async () => expect((await again(topic)).length).toBeGreaterThan(10), PATIENCE);
    await killed.kill();
    const before = (await again(topic)).length;
    expect(before).toBeLessThan(300);
    const rest = await txbox(database, 'replay', '--all', '--yes', '--rate', '10000', '--after', await place());
    expect(rest).toMatchObject({ code: 0, json: { ended: 'complete' } });
    const sent = (await again(topic)).map(textOf);
    for (const key of ['k0', 'k1', 'k2']) {
      const ofKey = (all: readonly string[]): string[] => [...new Set(all.filter((text) => text.startsWith(`${key} `)))];
      expect(ofKey(sent)).toEqual(ofKey(texts));
    }
    expect(rest.json['sent']).toBeLessThan(300);
  });

  it('ends in order at SIGINT, and says where to go on', async () => {
    const { database, topic } = await archived(variable, service, 300);
    const commands = await TxboxCommands.create(database.url);
    const ended = commands.spawn('replay', '--topic', topic, '--yes', '--rate', '40', '--json');
    await ended.says('--after');
    ended.signal('SIGINT');
    expect(await ended.end()).toBe(1);
    const { sent, after, ended: how } = JSON.parse(ended.stdout) as { sent: number; after: number; ended: string };
    expect(how).toBe('interrupted');
    expect(await again(topic)).toHaveLength(sent);
    const rest = await txbox(database, 'replay', '--topic', topic, '--after', String(after));
    expect(rest.json).toMatchObject({ dryRun: true, events: 300 - sent });
  });

  it('says what is wrong with what it was told, all at once, and sends nothing without being told what', async () => {
    const commands = await TxboxCommands.create('mysql://nobody@127.0.0.1:1/nowhere');
    const wrong = await commands.json('replay', '--from', '1h', '--to', '2h', '--id', '7', '--rate', '0', '--after', '-1');
    for (const name of ['--from must lie before --to', '--id', '--rate', '--after']) expect(wrong.stderr).toContain(name);
    const { code, stderr } = await commands.json('replay', '--yes');
    expect([code, stderr]).toEqual([1, expect.stringContaining('--all')]);
  });
});

/** Notes of three keys, published and archived. */
async function archived(
  variable: string,
  service: string,
  count: number,
): Promise<{ database: ServiceDatabase; topic: string; texts: string[] }> {
  const database = await serviceDatabase(variable, service);
  const topic = await newTopic(await bareAdmin(), 2);
  const notes = Array.from({ length: count }, (_, n) => ({ key: `k${n % 3}`, text: `k${n % 3} ${n}` }));
  const relay = await startRelay(database, { archive: ARCHIVE });
  await addNotes(database, topic, ...notes);
  await relay.whenIdle();
  await relay.stop();
  return { database, topic, texts: notes.map(({ text }) => text) };
}

async function backdate(database: ServiceDatabase, texts: readonly string[], ageMs: number): Promise<void> {
  const names = await kept(database);
  const ids = names.filter(({ text }) => texts.includes(text)).map(({ id }) => id);
  expect(ids).toHaveLength(texts.length);
  const seconds = ageMs / 1_000;
  await database.rows(
    `UPDATE txbox_archive SET published_at = UTC_TIMESTAMP(6) - INTERVAL ${seconds} SECOND WHERE id IN (${ids.map(() => '?').join(', ')})`,
    ids,
  );
}

async function kept(database: ServiceDatabase): Promise<{ id: Buffer; text: string }[]> {
  const rows = await database.rows('SELECT id, payload FROM txbox_archive ORDER BY place');
  return rows.map(({ id, payload }) => ({ id: id as Buffer, text: (JSON.parse(String(payload)) as Note).text }));
}

async function keptTexts(database: ServiceDatabase): Promise<string[]> {
  return (await kept(database)).map(({ text }) => text);
}

/** What replays have sent. */
async function again(topic: string): Promise<LoggedRecord[]> {
  return (await readTopic(BROKERS, topic)).filter(({ headers }) => headerOf(headers, 'txbox-replay') !== undefined);
}

function textOf({ value }: LoggedRecord): string {
  return (JSON.parse(String(value)) as Note).text;
}

async function txbox(
  database: ServiceDatabase,
  ...words: readonly string[]
): Promise<{ code: unknown; json: Record<string, unknown>; stderr: string }> {
  const commands = await TxboxCommands.create(database.url);
  return await commands.json(...words);
}
