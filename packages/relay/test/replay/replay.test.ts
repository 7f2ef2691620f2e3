// A replay keeps the archive's order and its rate, whatever the broker says and wherever it ends.
import { bucketOf, encodeHeaders, type MessageId, newMessageIdBytes, type PublishRequest, TxboxError } from '@txbox/core/spi';
import { MemoryArchive, MemoryLog, MemoryOutbox, type PublishFaults } from '@txbox/testing';
import { beforeEach, expect, it } from 'vitest';
import { type ReplayOutcome, type ReplayPlan, type ReplayProgress, replay } from '../../src/replay/replay.ts';

const TOPIC = 'orders';
const PARTITIONS = 3;
const REPLAY_ID = '0190a0b0-0000-7000-8000-000000000000' as MessageId;

let now: number;
let archive: MemoryArchive;
let log: MemoryLog;
let ended: AbortController;
let progress: ReplayProgress[];

beforeEach(() => {
  now = Date.parse('2026-11-25T10:00:00.123Z');
  archive = new MemoryArchive(() => now);
  log = new MemoryLog();
  log.createTopic(TOPIC, PARTITIONS);
  ended = new AbortController();
  progress = [];
});

function keep(key: string | null, text: string, { topic = TOPIC, bytes = text.length, sequence = null as number | null } = {}): Buffer {
  const id = newMessageIdBytes();
  const headers = encodeHeaders([['txbox-id', id]]);
  archive.add({
    id,
    topic,
    key: key === null ? null : Buffer.from(key),
    type: 'noted',
    sequence,
    headers,
    payload: Buffer.from(text),
    bytes,
  });
  return id;
}

async function run(faults: PublishFaults = {}, parts: Partial<ReplayPlan> = {}): Promise<ReplayOutcome> {
  const clock = {
    now: () => now,
    monotonic: () => now,
    sleep: (ms: number) => {
      now += ms;
      return Promise.resolve();
    },
  };
  return await replay({
    archive,
    publisher: log.publisher({ faults }),
    pins: new MemoryOutbox(),
    clock,
    random: () => 1,
    filter: {},
    span: await archive.span({}),
    messagesPerSecond: 500,
    replayId: REPLAY_ID,
    signal: ended.signal,
    onProgress: (step) => progress.push(step),
    ...parts,
  });
}

function published(topic: string = TOPIC): string[] {
  return log.readAll(topic).map(({ value }) => String(value));
}

/** First occurrences. */
function ofKey(key: string): string[] {
  return [...new Set(published().filter((text) => text.startsWith(`${key}:`)))];
}

function transient(): TxboxError {
  return new TxboxError('PUBLISH_UNKNOWN', 'no answer');
}

it('sends what matches to the partition of its key, with the original time and the mark of the replay', async () => {
  const id = keep('a', 'a:1', { sequence: 5 });
  const keyless = keep(null, 'none');
  keep('b', 'b:1', { topic: 'elsewhere' });
  now += 60_000;
  expect(await run({}, { filter: { topic: TOPIC } })).toEqual({ sent: 2, after: 3, ended: 'complete' });
  const [first] = log.readAll(TOPIC).filter(({ key }) => key !== null);
  expect(first?.partition).toBe(bucketOf(Buffer.from('a'), PARTITIONS));
  expect(first?.headers.map(([name, value]) => [name, name === 'txbox-id' ? value : String(value)])).toEqual([
    ['txbox-id', id],
    ['txbox-sequence', '5'],
    ['txbox-published-at', '2026-11-25T10:00:00.123Z'],
    ['txbox-replay', REPLAY_ID],
  ]);
  expect(log.readAll(TOPIC).find(({ key }) => key === null)?.partition).toBe(bucketOf(keyless, PARTITIONS));
});

it('sends never more than the rate and a quarter of a second allow, also after a pause', async () => {
  for (let n = 0; n < 400; n++) keep(`k${n % 7}`, `k${n % 7}:${n}`);
  const begun = now;
  const at: number[] = [];
  let slow = true;
  await run(
    {
      before: ({ records }: PublishRequest) => {
        at.push(...records.map(() => now));
        // A broker that takes its time is no reason to hurry afterwards.
        if (at.length > 200 && slow) now += 5_000;
        if (at.length > 200) slow = false;
      },
    },
    { messagesPerSecond: 100 },
  );
  expect(at).toHaveLength(400);
  for (const [index, from] of at.entries()) {
    const within = (ms: number): number => at.slice(index).filter((time) => time < from + ms).length;
    expect(within(1_000)).toBeLessThanOrEqual(125);
    expect(within(2_000)).toBeLessThanOrEqual(225);
  }
  expect(now - begun).toBeGreaterThanOrEqual(3_750);
});

it('sends one event a second when asked to', async () => {
  for (let n = 0; n < 4; n++) keep('a', `a:${n}`);
  const at: number[] = [];
  await run({ before: () => void at.push(now) }, { messagesPerSecond: 1 });
  expect(at.map((time) => time - (at[0] as number))).toEqual([0, 1_000, 2_000, 3_000]);
});

it('repeats what has no answer, a few times, and keeps the order of every key', async () => {
  for (let n = 0; n < 60; n++) keep(`k${n % 4}`, `k${n % 4}:${n}`);
  let calls = 0;
  const lose = (): void => {
    calls += 1;
    if (calls % 3 === 0) throw transient();
  };
  expect(await run({ before: lose, after: lose })).toMatchObject({ sent: 60, ended: 'complete' });
  for (let key = 0; key < 4; key++) expect(ofKey(`k${key}`)).toEqual(Array.from({ length: 15 }, (_, n) => `k${key}:${4 * n + key}`));
});

it('ends when the broker stays away, and a second one goes on where the first ended', async () => {
  for (let n = 0; n < 100; n++) keep(`k${n % 4}`, `k${n % 4}:${n}`);
  const away = bucketOf(Buffer.from('k1'), PARTITIONS);
  const first = await run(
    {
      before: ({ partition }) => {
        if (partition === away && progress.length === 2) throw transient();
      },
    },
    { messagesPerSecond: 40 },
  );
  expect(first).toMatchObject({ ended: 'failed', failure: { code: 'PUBLISH_UNKNOWN', topic: TOPIC } });
  expect(first.after).toBeGreaterThanOrEqual(20);
  expect(first.after).toBeLessThan(30);
  const span = await archive.span({});
  const second = await run({}, { span: { ...span, after: first.after } });
  expect(second).toEqual({ sent: 100 - first.after, after: 100, ended: 'complete' });
  for (let key = 0; key < 4; key++) expect(ofKey(`k${key}`)).toEqual(Array.from({ length: 25 }, (_, n) => `k${key}:${4 * n + key}`));
});

it('sends what stands before a message that is refused, and stops there', async () => {
  for (let n = 0; n < 10; n++) keep('a', `a:${n}`);
  const outcome = await run({
    before: ({ records }) => {
      if (records.some(({ value }) => String(value) === 'a:6')) throw new TxboxError('PUBLISH_REJECTED', 'too large');
    },
  });
  expect(outcome).toMatchObject({ sent: 6, after: 6, ended: 'failed', failure: { code: 'PUBLISH_REJECTED' } });
  expect(published()).toEqual(Array.from({ length: 6 }, (_, n) => `a:${n}`));
});

it('does not try again to send to a topic that is gone', async () => {
  keep('a', 'a:1');
  keep('b', 'b:1', { topic: 'gone' });
  const begun = now;
  expect(await run()).toMatchObject({ sent: 0, after: 0, ended: 'failed', failure: { code: 'TOPIC_MISSING', topic: 'gone' } });
  expect(now).toBe(begun);
});

it('ends in order when it is interrupted: nothing new is sent, and the place to go on is right', async () => {
  for (let n = 0; n < 100; n++) keep('a', `a:${n}`);
  const outcome = await run(
    {
      before: () => {
        if (progress.length === 3) ended.abort();
      },
    },
    { messagesPerSecond: 40 },
  );
  expect(outcome).toEqual({ sent: 40, after: 40, ended: 'interrupted' });
  expect(published()).toHaveLength(40);
});

it('bounds a request by bytes', async () => {
  for (let n = 0; n < 6; n++) keep('a', `a:${n}`, { bytes: 200_000 });
  const sizes: number[] = [];
  expect(await run({ before: ({ records }) => void sizes.push(records.length) })).toMatchObject({ ended: 'complete' });
  expect(sizes).toEqual([2, 2, 2]);
});
