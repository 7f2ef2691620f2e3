// A message that the broker refuses parks its key alone; operators decide (P-R9 to P-R11).
import { defineEvent } from '@txbox/core';
import { describe, expect, it, vi } from 'vitest';
import { readTopic } from '../e2e/topic-reader.ts';
import { BROKERS, bareAdmin, newTopic } from '../faults/kafka-cluster.ts';
import { addNotes, PATIENCE, startRelay, textsIn } from './note.ts';
import { TxboxCommands } from './relay-command.ts';
import { SERVERS, type ServiceDatabase, serviceDatabase } from './service-database.ts';

const LIMIT = 10_000;
const LARGE = 'x'.repeat(2 * LIMIT);

const lettersIn = async (database: ServiceDatabase): Promise<{ text: string; attempts: number; reason: string | null }[]> =>
  (await database.rows('SELECT payload, attempts, reason FROM txbox_dead_letter ORDER BY place')).map((row) => ({
    text: (JSON.parse(String(row['payload'])) as { text: string }).text,
    attempts: Number(row['attempts']),
    reason: row['reason'] as string | null,
  }));

async function raiseLimit(topic: string): Promise<void> {
  const admin = await bareAdmin();
  await admin.alterConfigs({
    validateOnly: false,
    resources: [{ type: 2, name: topic, configEntries: [{ name: 'max.message.bytes', value: '1000000' }] }],
  });
}

async function txbox(
  database: ServiceDatabase,
  ...words: readonly string[]
): Promise<{ code: unknown; json: Record<string, unknown>; stderr: string }> {
  const commands = await TxboxCommands.create(database.url);
  return await commands.json(...words);
}

describe.each(SERVERS)('a message that the broker refuses, on %s', (_name, variable, service) => {
  it('parks its key: followers wait in order, also those of two relays and of later transactions; all others flow; a redrive mends it', async () => {
    const database = await serviceDatabase(variable, service);
    const topic = await newTopic(await bareAdmin(), 1, { 'max.message.bytes': String(LIMIT) });
    const relays = [await startRelay(database), await startRelay(database)];
    const events: unknown[] = [];
    for (const relay of relays) relay.on('parked', ({ key, reason, keyGoesOn }) => events.push([String(key), reason.code, keyGoesOn]));
    await addNotes(
      database,
      topic,
      { key: 'bad', text: 'bad 1' },
      { key: 'bad', text: LARGE },
      { key: 'good', text: 'good 1' },
      { key: 'bad', text: 'bad 3' },
      { key: 'good', text: 'good 2' },
    );
    await vi.waitFor(async () => expect(await database.pending()).toBe(0), PATIENCE);
    for (const n of [4, 5, 6]) await addNotes(database, topic, { key: 'bad', text: `bad ${n}` }, { key: 'good', text: `good ${n - 1}` });
    await Promise.all(relays.map((relay) => relay.whenIdle()));
    expect(await database.pending()).toBe(0);
    expect(events).toEqual([['bad', 'PUBLISH_REJECTED', false]]);
    expect(await textsIn(topic)).toEqual(['bad 1', 'good 1', 'good 2', 'good 3', 'good 4', 'good 5']);
    expect(relays.flatMap((relay) => relay.status().held)).toEqual([]);
    const letters = await lettersIn(database);
    expect(letters.map(({ text }) => text)).toEqual([LARGE, 'bad 3', 'bad 4', 'bad 5', 'bad 6']);
    expect(letters[0]?.attempts).toBeGreaterThan(0);
    expect(letters[0]?.reason).toMatch(/^PUBLISH_REJECTED: /);

    const list = await txbox(database, 'dead-letters', 'list', '--topic', topic, '--limit', '2');
    expect(list).toMatchObject({ code: 0, json: { keys: 1, deadLetters: 5, letters: [{ key: 'bad', topic }, { attempts: 0 }] } });
    const refused = await txbox(database, 'dead-letters', 'redrive', '--key', 'bad');
    expect(refused).toMatchObject({ code: 1, json: { letters: 0, stopped: [{ why: 'refused', code: 'PUBLISH_REJECTED' }] } });

    await raiseLimit(topic);
    const rehearsed = await txbox(database, 'dead-letters', 'redrive', '--all', '--dry-run');
    expect(rehearsed).toMatchObject({ code: 0, json: { dryRun: true, letters: 5, keys: 1, stopped: [] } });
    const redriven = await txbox(database, 'dead-letters', 'redrive', '--reason', 'PUBLISH_REJECTED', '--actor', 'ann');
    expect(redriven).toMatchObject({ code: 0, json: { letters: 5, keys: 1, stopped: [] } });
    await addNotes(database, topic, { key: 'bad', text: 'bad 7' });
    await Promise.all(relays.map((relay) => relay.whenIdle()));
    expect((await textsIn(topic)).filter((text) => !text.startsWith('good'))).toEqual([
      'bad 1',
      LARGE,
      ...[3, 4, 5, 6, 7].map((n) => `bad ${n}`),
    ]);
    expect(await lettersIn(database)).toEqual([]);
    expect(await database.rows('SELECT COUNT(*) AS n FROM txbox_parked_key')).toEqual([{ n: 0 }]);
    expect(await database.rows('SELECT action, actor, COUNT(*) AS n FROM txbox_audit GROUP BY action, actor')).toEqual([
      { action: 'redrive', actor: 'ann', n: 5 },
    ]);
  });
});

describe('operators', () => {
  const [, variable, service] = SERVERS[0];

  it("skip-message lets the key go on, and a number's place is taken by a gap marker", async () => {
    const database = await serviceDatabase(variable, service);
    const topic = await newTopic(await bareAdmin(), 2, { 'max.message.bytes': String(LIMIT) });
    const Numbered = defineEvent('numbered', { topic, key: () => 'k', strictOrder: true });
    for (const text of ['one', LARGE, 'three']) {
      await database.outbox.transaction(async (tx) => {
        tx.add(Numbered, { text } as never);
      });
    }
    const relay = await startRelay(database, { onPermanentFailure: 'skip-message', accept: ['SKIP_BREAKS_ORDER'] });
    await relay.whenIdle();
    const records = (await readTopic(BROKERS, topic)).map(({ value }) => String(value));
    expect(records.map((value) => (value === '' ? 'marker' : (JSON.parse(value) as { text: string }).text))).toEqual([
      'one',
      'marker',
      'three',
    ]);
    expect((await lettersIn(database)).map(({ text }) => text)).toEqual([LARGE]);
    expect(relay.status()).toMatchObject({ parked: 1, held: [] });
  });

  it('leave a letter that somebody may still send, and discard it later; what waited for it is published, and archived where that is asked for', async () => {
    const database = await serviceDatabase(variable, service);
    const topic = await newTopic(await bareAdmin(), 1, { 'max.message.bytes': String(LIMIT) });
    await addNotes(database, topic, { key: 'bad', text: LARGE }, { key: 'bad', text: 'bad 2' });
    const relay = await startRelay(database);
    await relay.whenIdle();
    const commands = await TxboxCommands.create(database.url, { archive: { retentionMs: 3_600_000 } });
    const early = await commands.json('dead-letters', 'discard', '--topic', topic);
    expect(early).toMatchObject({ code: 1, json: { letters: 0, tooYoung: 2 } });
    expect(early.json['waitMs']).toBeGreaterThan(10_000);
    // As if hours had passed.
    await database.rows('UPDATE txbox_dead_letter SET created_at = created_at - INTERVAL 1 DAY');
    const discarded = await commands.json('dead-letters', 'discard', '--reason', 'PUBLISH_REJECTED', '--actor', 'bob');
    expect(discarded).toMatchObject({ code: 0, json: { letters: 1, released: 1, tooYoung: 0, stopped: [] } });
    expect(await textsIn(topic)).toEqual(['bad 2']);
    expect(await lettersIn(database)).toEqual([]);
    const archived = await database.rows('SELECT topic, payload FROM txbox_archive');
    expect(archived.map((row) => [row['topic'], String(row['payload'])])).toEqual([[topic, expect.stringContaining('bad 2')]]);
    expect(await database.rows('SELECT action, actor, details FROM txbox_audit ORDER BY id')).toEqual([
      { action: 'discard', actor: 'bob', details: expect.stringContaining('"key":"bad"') },
      { action: 'redrive', actor: 'bob', details: expect.stringContaining('"key":"bad"') },
    ]);
  });

  it('are told what is wrong with what they say', async () => {
    // Before any database is asked.
    const commands = await TxboxCommands.create('mysql://nobody@127.0.0.1:1/nowhere');
    const said = async (...words: readonly string[]): Promise<string> => {
      const run = commands.spawn('dead-letters', ...words);
      expect(await run.end()).toBe(1);
      return run.stderr;
    };
    expect(await said('redrive')).toMatch(/--id.*--all.*OPTIONS_INVALID/);
    const wrong = await said(
      'list',
      '--since',
      'yesterday',
      '--id',
      '7',
      '--key',
      'a',
      '--key-base64',
      'QQ==',
      '--of',
      'billing',
      '--limit',
      'x',
    );
    const problems = [
      '--id must be a UUID',
      '--since must be an instant',
      '--key and --key-base64 exclude',
      '--of must be relay',
      '--limit must',
    ];
    for (const problem of problems) expect(wrong).toContain(problem);
    const database = await serviceDatabase(variable, service);
    const missing = await txbox(database, 'dead-letters', 'show', '--id', '01939b4e-0000-7000-8000-000000000000');
    expect(missing.stderr).toMatch(/DEAD_LETTER_MISSING/);
  });
});
