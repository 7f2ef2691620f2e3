import { type Codec, defineEvent, rawCodec } from '@txbox/core';
import type { RowDataPacket } from 'mysql2/promise';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Placed } from './lane.ts';
import { type StartSubject, SUBJECTS, type Subject } from './subject.ts';
import { WireTap } from './wire-tap.ts';

const COUNT = 10_000;
const EVENTS = 'INSERT INTO `txbox_outbox`';
const Raw = defineEvent('raw', { topic: 'orders', key: (bytes: Uint8Array) => bytes.subarray(0, 4), codec: rawCodec as Codec<Uint8Array> });

interface Tapped {
  readonly subject: Subject;
  readonly tap: WireTap;
}

async function startTapped(start: StartSubject): Promise<Tapped> {
  let tap: WireTap | undefined;
  const subject = await start({
    outbox: { wake: false },
    connections: 1,
    url: async (url) => {
      tap = await WireTap.start(url);
      return tap.urlOf(url);
    },
  });
  return { subject, tap: tap as WireTap };
}

describe.each(SUBJECTS)('many events in one transaction with %s', (_name, start) => {
  let subject: Subject;
  let tap: WireTap;
  beforeAll(async () => {
    ({ subject, tap } = await startTapped(start));
    // The first event of a process looks at the schema.
    await subject.outbox.transaction(async (tx) => void tx.add(Placed, { id: 'first' }));
  });
  afterAll(async () => {
    await subject.close();
    await tap[Symbol.asyncDispose]();
  });
  beforeEach(async () => {
    await subject.database.clear();
    tap.statements.length = 0;
    tap.sizes.length = 0;
  });

  const ids = Array.from({ length: COUNT }, (_, n) => `e${n}`);
  const write = (): Promise<void> =>
    subject.outbox.transaction(async (tx) => {
      await subject.place('a');
      for (const id of ids) tx.add(Placed, { id });
    });

  it('10,000 are there with the order, in their order, by two statements that fit the packet', async () => {
    await write();
    expect(await subject.database.orders()).toEqual(['a']);
    expect(await subject.database.events()).toEqual(ids);
    const inserts = tap.statements.flatMap((sql, at) => (sql.startsWith(EVENTS) ? [tap.sizes[at] as number] : []));
    expect(inserts).toHaveLength(2);
    const [[server]] = await subject.database.admin.query<RowDataPacket[]>('SELECT @@max_allowed_packet AS packet');
    for (const bytes of inserts) expect(bytes).toBeLessThan(Math.min(server?.['packet'], 16 * 1024 * 1024));
  });

  it('none is there when a later statement is lost', async () => {
    // The first one passes, and what comes next is lost.
    tap.holdAt({ text: EVENTS, until: async () => tap.cutAt({ text: EVENTS, lose: 'statement' }) });
    await expect(write()).rejects.toMatchObject({ code: 'UNIT_DOOMED' });
    expect(tap.statements.filter((sql) => sql.startsWith(EVENTS))).toHaveLength(2);
    expect([await subject.database.orders(), await subject.database.events()]).toEqual([[], []]);
  });

  it('all run again when a later statement was a deadlock, with retry', async () => {
    tap.holdAt({ text: EVENTS, until: async () => tap.lieAt({ text: EVENTS, instead: 'ROLLBACK', errno: 1213 }) });
    await subject.outbox.transaction({ retry: { maxAttempts: 2 } }, async (tx) => {
      await subject.place(`attempt${tx.attempt}`);
      for (const id of ids) tx.add(Placed, { id });
    });
    expect(await subject.database.orders()).toEqual(['attempt2']);
    expect(await subject.database.events()).toEqual(ids);
  });
});

describe.each(SUBJECTS)('a server with a small max_allowed_packet with %s', (_name, start) => {
  const PACKET = 100_000;
  let subject: Subject;
  let tap: WireTap;
  beforeAll(async () => {
    ({ subject, tap } = await startTapped(start));
    // What a service asks once a process.
    tap.lieAt({ text: 'SELECT @@max_allowed_packet', instead: `SELECT ${PACKET}` });
    await subject.outbox.transaction(async (tx) => void tx.add(Placed, { id: 'first' }));
  });
  afterAll(async () => {
    await subject.close();
    await tap[Symbol.asyncDispose]();
  });
  beforeEach(async () => {
    await subject.database.clear();
    tap.statements.length = 0;
    tap.sizes.length = 0;
  });

  it('gets no statement above it, and all events in their order', async () => {
    const payloads = Array.from({ length: 300 }, (_, n) => Buffer.concat([Buffer.from(String(1000 + n)), Buffer.alloc(n * 10, 0xa7)]));
    await subject.outbox.transaction(async (tx) => {
      for (const payload of payloads) tx.add(Raw, payload);
    });
    expect(await subject.database.events()).toEqual(payloads.map((payload) => payload.subarray(0, 4).toString()));
    const inserts = tap.statements.flatMap((sql, at) => (sql.startsWith(EVENTS) ? [tap.sizes[at] as number] : []));
    expect(inserts.length).toBeGreaterThan(5);
    for (const bytes of inserts) expect(bytes).toBeLessThanOrEqual(PACKET);
  });

  it.each([
    ['executed and its answer lost', () => tap.cutAt({ text: EVENTS, lose: 'answer' }), { code: 'UNIT_DOOMED' }],
    ['a deadlock', () => tap.lieAt({ text: EVENTS, instead: 'ROLLBACK', errno: 1213 }), { code: 'UNIT_DOOMED', cause: { errno: 1213 } }],
    ['refused: the table is full', () => tap.lieAt({ text: EVENTS, instead: 'DO 0', errno: 1114 }), { errno: 1114 }],
  ] as const)('has nothing of them when a later statement is %s', async (_what, spoil, error) => {
    tap.holdAt({ text: EVENTS, until: async () => spoil() });
    await expect(
      subject.outbox.transaction(async (tx) => {
        await subject.place('a');
        for (let n = 0; n < 1_000; n += 1) tx.add(Placed, { id: `e${n}` });
      }),
    ).rejects.toMatchObject(error);
    expect(tap.statements.filter((sql) => sql.startsWith(EVENTS))).toHaveLength(2);
    expect([await subject.database.orders(), await subject.database.events()]).toEqual([[], []]);
  });

  it('refuses an event that no statement can hold, with all that stood before it, and names both numbers', async () => {
    await expect(
      subject.outbox.transaction(async (tx) => {
        await subject.place('a');
        tx.add(Placed, { id: 'a' });
        tx.add(Raw, Buffer.alloc(PACKET / 2));
      }),
    ).rejects.toMatchObject({
      code: 'MESSAGE_TOO_LARGE',
      message: expect.stringContaining('max_allowed_packet'),
      details: { maxAllowedPacket: PACKET },
    });
    expect([await subject.database.orders(), await subject.database.events()]).toEqual([[], []]);
  });
});
