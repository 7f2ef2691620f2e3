// Dead letters go out in the order of their keys, whatever the broker says and whenever the process dies (P-R11).
import { bucketOf, type DeadLetterHead, decodeHeaders, encodeHeaders, newMessageIdBytes, parkedKeyId, TxboxError } from '@txbox/core/spi';
import { MemoryDeadLetters, MemoryLog, MemoryOutbox, type PublishFaults } from '@txbox/testing';
import { beforeEach, describe, expect, it } from 'vitest';
import { LetterSender } from '../../src/dead-letters/letter-sender.ts';
import { redrive, rehearseRedrive, waitingOnly } from '../../src/dead-letters/redrive.ts';
import { newTakeOut, takeOut } from '../../src/dead-letters/take-out.ts';

const TOPIC = 'orders';
const PARTITIONS = 3;
const WEEK_MS = 7 * 86_400_000;

let now: number;
let letters: MemoryDeadLetters;
let log: MemoryLog;
let ended: AbortController;
let slept: number[];

beforeEach(() => {
  now = Date.parse('2026-11-25T10:00:00Z');
  letters = new MemoryDeadLetters(() => now);
  log = new MemoryLog();
  log.createTopic(TOPIC, PARTITIONS);
  ended = new AbortController();
  slept = [];
});

/** `failed`: it was refused itself; otherwise it waits behind others of its key. */
function park(
  key: string | null,
  text: string,
  { failed = false, publishedAt = null as string | null, sequence = null as number | null, topic = TOPIC } = {},
): Buffer {
  const id = newMessageIdBytes();
  const keyBytes = key === null ? null : Buffer.from(key);
  letters.add({
    id,
    parkedKeyId: parkedKeyId(topic, keyBytes, id),
    topic,
    key: keyBytes,
    type: 'noted',
    aggregateType: null,
    aggregateId: null,
    sequence,
    bytes: text.length,
    partition: null,
    publishedAt,
    attempts: failed ? 2 : 0,
    reason: failed ? 'PUBLISH_REJECTED: too large' : null,
    headers: encodeHeaders([['txbox-id', id]]),
    payload: Buffer.from(text),
  });
  return id;
}

function newSender({ faults = {}, force = false }: { faults?: PublishFaults; force?: boolean } = {}): LetterSender {
  const clock = {
    now: () => now,
    monotonic: () => now,
    sleep: (ms: number) => {
      slept.push(ms);
      now += ms;
      return Promise.resolve();
    },
  };
  const publisher = log.publisher({ faults });
  return new LetterSender({
    letters,
    publisher,
    pins: new MemoryOutbox(),
    clock,
    random: () => 1,
    actor: 'test',
    force,
    signal: ended.signal,
    onSent: () => undefined,
  });
}

function published(topic: string = TOPIC): string[] {
  return log.readAll(topic).map(({ value }) => String(value));
}

function refusing(...texts: readonly string[]): PublishFaults {
  return {
    before({ records }) {
      if (records.some(({ value }) => texts.includes(String(value)))) throw new TxboxError('PUBLISH_REJECTED', 'too large');
    },
  };
}

const left = async (): Promise<string[]> => {
  const heads = await letters.list({}, 0, 1_000);
  const whole = await Promise.all(heads.map(({ id }) => letters.find(id)));
  return whole.map((letter) => String(letter?.payload));
};

describe('redrive', () => {
  it('publishes a key from its front, in order, to its pinned partition, and un-parks it', async () => {
    park('a', 'a1', { failed: true });
    for (let n = 2; n <= 250; n++) park('a', `a${n}`);
    const outcome = await redrive(letters, newSender(), { topic: TOPIC });
    expect(outcome).toEqual({ keys: 1, letters: 250, stopped: [] });
    expect(published()).toEqual(Array.from({ length: 250 }, (_, n) => `a${n + 1}`));
    expect(new Set(log.readAll(TOPIC).map(({ partition }) => partition))).toEqual(new Set([bucketOf(Buffer.from('a'), PARTITIONS)]));
    expect(letters.isParked(parkedKeyId(TOPIC, Buffer.from('a'), Buffer.alloc(16)))).toBe(false);
    expect(letters.audit).toHaveLength(250);
    expect(letters.audit[0]).toMatchObject({ action: 'redrive', actor: 'test' });
  });

  it('takes along what only waits, and stops before a letter that failed and was not asked for', async () => {
    const wanted = park('a', 'a1', { failed: true });
    park('a', 'a2');
    const other = park('a', 'a3', { failed: true });
    park('a', 'a4');
    expect(await redrive(letters, newSender(), { id: wanted })).toMatchObject({ keys: 1, letters: 2, stopped: [] });
    expect(published()).toEqual(['a1', 'a2']);
    expect(await left()).toEqual(['a3', 'a4']);
    expect((await letters.find(other))?.publishedAt).toBeNull();
  });

  it('says what stands before a letter that was asked for', async () => {
    const first = park('a', 'a1', { failed: true });
    const wanted = park('a', 'a2');
    const { letters: sent, stopped } = await redrive(letters, newSender(), { id: wanted });
    expect(sent).toBe(0);
    expect(stopped).toMatchObject([{ why: 'waits', letter: { id: first } }]);
    expect(published()).toEqual([]);
  });

  it('leaves a letter that is refused again with its key, one attempt more, and goes on with other keys', async () => {
    const bad = park('a', 'bad', { failed: true });
    park('a', 'a2');
    park('b', 'b1', { failed: true });
    const { stopped, letters: sent, keys } = await redrive(letters, newSender({ faults: refusing('bad') }), {});
    expect([keys, sent]).toEqual([1, 1]);
    expect(stopped).toMatchObject([{ why: 'refused', letter: { id: bad }, code: 'PUBLISH_REJECTED' }]);
    expect(published()).toEqual(['b1']);
    expect(await left()).toEqual(['bad', 'a2']);
    expect(await letters.find(bad)).toMatchObject({ attempts: 3, reason: 'PUBLISH_REJECTED: too large', publishedAt: null });
  });

  it('finds the refused one among several and publishes what stands before it', async () => {
    park('a', 'a1', { failed: true });
    park('a', 'a2');
    park('a', 'bad');
    park('a', 'a4');
    const { letters: sent, stopped } = await redrive(letters, newSender({ faults: refusing('bad') }), {});
    expect(sent).toBe(2);
    expect(stopped).toMatchObject([{ why: 'refused', letter: { attempts: 0 } }]);
    expect(published()).toEqual(['a1', 'a2']);
    expect(await left()).toEqual(['bad', 'a4']);
  });

  it('tries again what fails for a while, never leaving the front', async () => {
    park('a', 'a1', { failed: true });
    park('a', 'a2');
    let failures = 0;
    const after = (): void => {
      failures += 1;
      if (failures <= 2) throw new TxboxError('PUBLISH_UNKNOWN', 'no answer');
    };
    await redrive(letters, newSender({ faults: { after } }), {});
    expect(published()).toEqual(['a1', 'a2', 'a1', 'a2', 'a1', 'a2']);
    expect(slept).toEqual([200, 400]);
    expect(await left()).toEqual([]);
  });

  it('gives up when the broker stays away, and has lost nothing', async () => {
    park('a', 'a1', { failed: true });
    const before = (): void => {
      throw new TxboxError('BROKER_UNAVAILABLE', 'away');
    };
    await expect(redrive(letters, newSender({ faults: { before } }), {})).rejects.toMatchObject({ code: 'BROKER_UNAVAILABLE' });
    expect(await left()).toEqual(['a1']);
  });

  it('leaves the keys of a topic that is gone, and goes on with others', async () => {
    park('x', 'x1', { failed: true, topic: 'gone' });
    park('a', 'a1', { failed: true });
    const { stopped, letters: sent } = await redrive(letters, newSender(), {});
    expect(sent).toBe(1);
    expect(stopped).toMatchObject([{ why: 'topic', code: 'TOPIC_MISSING' }]);
    expect(await left()).toEqual(['x1']);
  });

  it('says in a header when a message may have been published first, and keeps from consumers what is too old', async () => {
    const at = (ms: number): string => new Date(ms).toISOString().replace('T', ' ').replace('Z', '000');
    park('a', 'a1', { failed: true, publishedAt: at(now - 1_000) });
    park('b', 'b1', { failed: true, publishedAt: at(now - WEEK_MS - 1_000) });
    park('c', 'c1', { failed: true });
    const { stopped, letters: sent } = await redrive(letters, newSender(), {});
    expect(sent).toBe(2);
    expect(stopped).toMatchObject([{ why: 'too-old' }]);
    const headersOf = (text: string): (string | undefined)[] => {
      const headers = log.readAll(TOPIC).find(({ value }) => String(value) === text)?.headers ?? [];
      return headers.filter(([name]) => name === 'txbox-published-at').map(([, value]) => String(value));
    };
    expect(headersOf('a1')).toEqual([new Date(now - 1_000).toISOString()]);
    expect(headersOf('c1')).toEqual([]);
    expect(await redrive(letters, newSender({ force: true }), {})).toMatchObject({ letters: 1, stopped: [] });
    expect(published()).toContain('b1');
  });

  it('keeps the order when it dies anywhere and is run again, and when two do it at once', async () => {
    const texts = Array.from({ length: 40 }, (_, n) => `a${n}`);
    for (const dieAfter of [0, 1, 2, 3, 5, 8]) {
      log = new MemoryLog();
      log.createTopic(TOPIC, PARTITIONS);
      letters = new MemoryDeadLetters(() => now);
      for (const [n, text] of texts.entries()) park('a', text, { failed: n % 7 === 0 });
      let calls = 0;
      const die = (): void => {
        calls += 1;
        if (calls > dieAfter) throw new Error('killed');
      };
      const dying = newSender({ faults: { before: die, after: die } });
      const steps = [redrive(letters, dying, {}).catch(() => undefined), redrive(letters, newSender(), {})];
      await Promise.all(steps);
      await redrive(letters, newSender(), {});
      expect([...new Set(published())]).toEqual(texts);
      expect(await left()).toEqual([]);
    }
  });

  it('ends between two requests when it is told to', async () => {
    park('a', 'a1', { failed: true });
    park('b', 'b1', { failed: true });
    const { stopped, letters: sent } = await redrive(letters, newSender({ faults: { after: () => ended.abort() } }), {});
    expect(sent).toBe(1);
    expect(stopped).toMatchObject([{ why: 'ended' }]);
    expect(await left()).toEqual(['b1']);
  });
});

describe('a rehearsal', () => {
  it('says the same as the redrive, and changes nothing', async () => {
    park('a', 'a1', { failed: true });
    for (let n = 2; n <= 205; n++) park('a', `a${n}`);
    park('b', 'b1', { failed: true });
    const wanted = park('b', 'b2', { failed: true });
    park('c', 'c1', { failed: true });
    for (const filter of [{}, { topic: TOPIC }, { id: wanted }, { key: Buffer.from('a') }, { reason: 'nothing' }]) {
      const before = await left();
      const rehearsed = await rehearseRedrive(letters, filter, false);
      expect(await left()).toEqual(before);
      expect(published()).toEqual([]);
      const copy = letters;
      letters = new MemoryDeadLetters(() => now);
      for (const { id } of await copy.list({}, 0, 1_000))
        letters.add((await copy.find(id)) as NonNullable<Awaited<ReturnType<typeof copy.find>>>);
      const done = await redrive(letters, newSender(), filter);
      expect({ ...rehearsed, stopped: rehearsed.stopped.map(({ why }) => why) }).toEqual({
        ...done,
        stopped: done.stopped.map(({ why }) => why),
      });
      letters = copy;
      log = new MemoryLog();
      log.createTopic(TOPIC, PARTITIONS);
    }
  });
});

describe('discard and skip', () => {
  const QUIET_MS = 70_000;
  let waits: number[];
  beforeEach(() => {
    waits = [];
  });

  async function run(
    action: 'discard' | 'skip',
    { wait = false, dryRun = false, filter = {}, faults = {} as PublishFaults } = {},
  ): Promise<ReturnType<typeof newTakeOut>> {
    const clock = {
      now: () => now,
      monotonic: () => now,
      sleep: (ms: number) => {
        slept.push(ms);
        now += ms;
        return Promise.resolve();
      },
    };
    const note = { action, actor: 'test' };
    const plan = {
      letters,
      sender: newSender({ faults }),
      clock,
      note,
      quietMs: QUIET_MS,
      wait,
      dryRun,
      signal: ended.signal,
      onWait: (ms: number) => waits.push(ms),
    };
    return await takeOut(plan, filter);
  }

  it('discard deletes what matches and publishes what waited behind it', async () => {
    park('a', 'bad', { failed: true });
    park('a', 'a2');
    park('a', 'a3');
    park('b', 'b1', { failed: true });
    now += QUIET_MS;
    expect(await run('discard', { filter: { key: Buffer.from('a'), reason: 'too large' } })).toMatchObject({
      letters: 1,
      released: 2,
      tooYoung: 0,
      stopped: [],
    });
    expect(published()).toEqual(['a2', 'a3']);
    expect(await left()).toEqual(['b1']);
    expect(letters.isParked(parkedKeyId(TOPIC, Buffer.from('a'), Buffer.alloc(16)))).toBe(false);
  });

  it('releases what only waits, not a letter that was refused itself', async () => {
    park('a', 'bad', { failed: true });
    park('a', 'a2');
    park('a', 'worse', { failed: true });
    park('a', 'a4');
    now += QUIET_MS;
    const [first] = await letters.list({}, 0, 1);
    expect(await run('discard', { filter: { id: first?.id as Buffer } })).toMatchObject({ letters: 1, released: 1, stopped: [] });
    expect(published()).toEqual(['a2']);
    expect(await left()).toEqual(['worse', 'a4']);
  });

  it('skip lets the key go on and keeps the letter, which can be redriven alone', async () => {
    const bad = park('a', 'bad', { failed: true });
    park('a', 'a2');
    now += QUIET_MS;
    expect(await run('skip')).toMatchObject({ letters: 2, released: 0 });
    expect(await left()).toEqual(['bad', 'a2']);
    expect(await run('skip')).toMatchObject({ letters: 0 });
    expect(await redrive(letters, newSender(), { id: bad })).toMatchObject({ letters: 1 });
    expect(await left()).toEqual(['a2']);
  });

  it('leaves a letter that somebody may still send, says for how long, and waits when told to', async () => {
    const bad = park('a', 'bad', { failed: true });
    now += QUIET_MS - 5_000;
    expect(await run('discard', { filter: { id: bad } })).toMatchObject({ letters: 0, tooYoung: 1, waitMs: 5_000 });
    expect(await left()).toEqual(['bad']);
    // A redrive that begins to send makes it young again.
    await letters.beginSending([(await letters.find(bad)) as DeadLetterHead]);
    expect(await run('discard', { filter: { id: bad } })).toMatchObject({ letters: 0, tooYoung: 1, waitMs: QUIET_MS });
    expect(await run('discard', { filter: { id: bad }, wait: true })).toMatchObject({ letters: 1, tooYoung: 0 });
    expect(slept.reduce((sum, ms) => sum + ms, 0)).toBe(QUIET_MS);
    expect(waits).toEqual(Array.from({ length: 14 }, (_, told) => QUIET_MS - told * 5_000));
  });

  it('publishes a gap marker in the place of a numbered letter', async () => {
    park('a', 'bad', { failed: true, sequence: 7 });
    park('a', 'a8', { sequence: 8 });
    now += QUIET_MS;
    expect(await run('discard', { filter: { reason: 'too large' } })).toMatchObject({ letters: 1, released: 2 });
    const [marker, follower] = log.readAll(TOPIC);
    expect(marker?.headers.map(([name, value]) => [name, String(value)])).toContainEqual(['txbox-gap', '7']);
    expect([String(marker?.value), String(follower?.value)]).toEqual(['', 'a8']);
    expect(follower?.headers.map(([name, value]) => [name, String(value)])).toContainEqual(['txbox-sequence', '8']);
  });

  it('a dry run changes nothing', async () => {
    park('a', 'bad', { failed: true });
    park('a', 'a2');
    now += QUIET_MS;
    expect(await run('discard', { dryRun: true })).toMatchObject({ letters: 2, released: 0 });
    expect(await left()).toEqual(['bad', 'a2']);
  });

  it('what it could not publish any more goes out with the next redrive', async () => {
    park('a', 'bad', { failed: true });
    park('a', 'a2');
    now += QUIET_MS;
    const before = (): void => {
      throw new Error('killed');
    };
    await expect(run('discard', { filter: { reason: 'too large' }, faults: { before } })).rejects.toThrow('killed');
    expect(await left()).toEqual(['a2']);
    expect(await newSender().sendFront(parkedKeyId(TOPIC, Buffer.from('a'), Buffer.alloc(16)), waitingOnly)).toEqual({ sent: 1 });
  });
});

it('headers that cannot be read are the letter’s own fault', async () => {
  const id = park('a', 'a1', { failed: true });
  const broken = (await letters.find(id)) as NonNullable<Awaited<ReturnType<typeof letters.find>>>;
  await letters.remove([broken], { action: 'redrive', actor: 'test' });
  letters.add({ ...broken, headers: Buffer.from([9, 9, 9]) });
  expect(() => decodeHeaders(Buffer.from([9, 9, 9]))).toThrow();
  expect((await redrive(letters, newSender(), {})).stopped).toMatchObject([{ why: 'refused', code: 'MESSAGE_UNREADABLE' }]);
});
