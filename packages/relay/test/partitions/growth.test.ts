import { type PartitionBounds, TxboxError } from '@txbox/core/spi';
import type { TopicPin } from '@txbox/outbox/store';
import { MemoryOutbox } from '@txbox/testing';
import { beforeEach, expect, it } from 'vitest';
import { type GrowthPlan, type GrowthStep, type GrowthWish, PartitionGrowth } from '../../src/partitions/growth.ts';

const TOPIC = 'notes';
const SETTLE_MS = 40_000;

let now: number;
let outbox: MemoryOutbox;
let steps: GrowthStep[];
/** The broker. */
let brokerPartitions: number;
let highs: bigint[];
let lows: bigint[];
let stored: Map<string, bigint[]>;
/** Called at each pause. */
let meanwhile: () => void;

beforeEach(async () => {
  now = 1_000_000;
  outbox = new MemoryOutbox({ now: () => now });
  steps = [];
  brokerPartitions = 2;
  highs = [10n, 20n];
  lows = [0n, 0n];
  stored = new Map([['billing', [10n, 20n]]]);
  meanwhile = () => undefined;
  await outbox.pin(TOPIC, 2);
});

function growth(parts: Partial<GrowthPlan> = {}): PartitionGrowth {
  const sleep = (ms: number): Promise<void> => {
    now += ms;
    meanwhile();
    return Promise.resolve();
  };
  return new PartitionGrowth({
    pins: outbox,
    publisher: { name: 'fake', describeTopic: (topic) => Promise.resolve({ topic, partitions: brokerPartitions }) },
    admin: {
      createPartitions: (_topic, count) => {
        brokerPartitions = count;
        return Promise.resolve();
      },
      boundsOf: () => {
        const bounds = (partition: number): PartitionBounds => ({ low: lows[partition] ?? 0n, high: highs[partition] ?? 0n });
        return Promise.resolve(new Map(Array.from({ length: brokerPartitions }, (_, partition) => [partition, bounds(partition)])));
      },
      storedOffsets: (group) => Promise.resolve(new Map((stored.get(group) ?? []).map((offset, partition) => [partition, offset]))),
    },
    clock: { now: () => now, monotonic: () => now, sleep },
    actor: 'somebody',
    settleMs: SETTLE_MS,
    signal: new AbortController().signal,
    onProgress: (step) => steps.push(step),
    ...parts,
  });
}

async function grow(wish: Partial<GrowthWish> = {}, parts: Partial<GrowthPlan> = {}): Promise<TopicPin> {
  const one = growth(parts);
  return await one.run(await one.look({ topic: TOPIC, partitions: 6, groups: ['billing'], create: true, ...wish }));
}

const pinNow = async (): Promise<TopicPin | undefined> => (await outbox.pins())[0];

it('creates what the broker lacks, holds the topic for its time, and ends with the next generation', async () => {
  const begun = now;
  expect(await grow()).toEqual({ topic: TOPIC, partitions: 6, generation: 2, switching: null });
  expect(brokerPartitions).toBe(6);
  expect(now - begun).toBeGreaterThanOrEqual(SETTLE_MS);
  expect([...new Set(steps.map(({ step }) => step))]).toEqual(['creating', 'settling']);
});

it('takes the ends of the old partitions only when nobody can be sending to them any more', async () => {
  meanwhile = () => {
    // Somebody still sends by the old count.
    if (now < 1_000_000 + SETTLE_MS) highs = highs.map((high) => high + 1n);
    else stored.set('billing', [...highs]);
  };
  const settled: bigint[][] = [];
  const change = outbox.changePin.bind(outbox);
  outbox.changePin = (known, next) => {
    if (next.switching?.offsets) settled.push([...next.switching.offsets]);
    return change(known, next);
  };
  await grow();
  expect(settled).toEqual([highs]);
});

it('waits for every group, wherever each of them stands', async () => {
  stored.set('billing', [10n, 17n]).set('mails', [3n, 20n]);
  let looks = 0;
  meanwhile = () => {
    if (steps.at(-1)?.step !== 'consuming') return;
    looks += 1;
    if (looks === 2) stored.set('billing', [10n, 20n]);
    if (looks === 4) stored.set('mails', [10n, 20n]);
  };
  await grow({ groups: ['billing', 'mails'] });
  const behind = steps.flatMap((step) =>
    step.step === 'consuming' ? [step.behind.map(({ group, messages }) => [group, Number(messages)])] : [],
  );
  expect(behind).toEqual([
    [
      ['billing', 3],
      ['mails', 7],
    ],
    [
      ['billing', 3],
      ['mails', 7],
    ],
    [['mails', 7]],
    [['mails', 7]],
  ]);
});

it('does not wait for what the broker has deleted, nor for a group of an empty topic', async () => {
  lows = [10n, 15n];
  stored.set('billing', [2n, 15n]);
  meanwhile = () => {
    lows = [10n, 20n];
  };
  expect(await grow()).toMatchObject({ partitions: 6 });
  expect(await grow({ partitions: 8, groups: ['unheard-of'] }, {}).catch((error: unknown) => error)).toMatchObject({ partitions: 8 });
});

it('refuses with all problems at once, and changes nothing', async () => {
  const before = await pinNow();
  const refusal = await growth()
    .look({ topic: TOPIC, partitions: 2, groups: ['billing', 'mails'], create: false })
    .catch((error: unknown) => error);
  expect(refusal).toMatchObject({ code: 'GROW_REFUSED' });
  expect((refusal as TxboxError).details['problems']).toEqual([
    '--to must be more than the 2 partitions that its keys are spread over now',
    'group mails has stored no offset for it: its name is wrong, or it does not read the topic',
  ]);
  await expect(growth().look({ topic: TOPIC, partitions: 6, groups: [], create: false })).rejects.toThrow(
    /the broker has 2 partitions.*--create/,
  );
  await expect(growth().look({ topic: TOPIC, create: false })).rejects.toThrow(/--to must say.*--groups must name/);
  await expect(growth().look({ topic: 'unknown', partitions: 6, groups: [], create: false })).rejects.toThrow(/no count is pinned/);
  expect(await pinNow()).toEqual(before);
});

it('goes on wherever it was killed, with what was noted', async () => {
  // Dies at each change of the pin, right before and right after it.
  const change = outbox.changePin.bind(outbox);
  for (let killed = 0; killed < 40; killed++) {
    let calls = 0;
    outbox.changePin = async (known, next) => {
      if (calls++ === 0 && killed % 2 === 0) throw new Error('killed');
      const done = await change(known, next);
      if (killed % 2 === 1) throw new Error('killed');
      return done;
    };
    const one = growth();
    const end = await one
      .look(killed < 2 ? { topic: TOPIC, partitions: 6, groups: ['billing'], create: true } : { topic: TOPIC, create: false })
      .then((look) => one.run(look))
      .catch((error: unknown) => error);
    expect(end).not.toMatchObject({ partitions: 6 });
    if ((await pinNow())?.partitions === 6) break;
  }
  expect(await pinNow()).toEqual({ topic: TOPIC, partitions: 6, generation: 2, switching: null });
});

it('two at once grow it once', async () => {
  const ends = await Promise.all([grow(), grow()]);
  expect(ends.map(({ generation }) => generation)).toEqual([2, 2]);
  expect(await pinNow()).toMatchObject({ partitions: 6, generation: 2 });
});

it('refuses another wish while one is under way, and can be given up', async () => {
  const end = new AbortController();
  meanwhile = () => end.abort();
  expect(await grow({}, { signal: end.signal })).toMatchObject({ partitions: 2, switching: { partitions: 6 } });
  await expect(growth().look({ topic: TOPIC, partitions: 8, groups: ['mails'], create: true })).rejects.toThrow(
    /on its way to 6.*waits for group billing/,
  );
  expect(await growth().cancel(TOPIC)).toEqual({ topic: TOPIC, partitions: 2, generation: 1, switching: null });
  await expect(growth().cancel(TOPIC)).rejects.toMatchObject({ code: 'GROW_REFUSED' });
});

it('tries again while broker or database is away', async () => {
  let failures = 2;
  const database = outbox.databaseTime.bind(outbox);
  outbox.databaseTime = () => (failures-- > 0 ? Promise.reject(new TxboxError('DATABASE_UNAVAILABLE', 'away')) : database());
  expect(await grow()).toMatchObject({ partitions: 6 });
  expect(steps.filter(({ step }) => step === 'away')).toHaveLength(2);
});

it('guesses no end of a partition that the broker does not tell of for a while', async () => {
  const all = highs;
  let asked = 0;
  const admin = {
    createPartitions: () => Promise.resolve(),
    boundsOf: () => {
      asked += 1;
      const told = asked < 4 ? all.slice(0, 1) : all;
      return Promise.resolve(new Map(told.map((high, partition) => [partition, { low: 0n, high }])));
    },
    storedOffsets: () => Promise.resolve(new Map([[0, 10n]])),
  };
  brokerPartitions = 6;
  const ended = new AbortController();
  meanwhile = () => {
    if (steps.some(({ step }) => step === 'consuming')) ended.abort();
  };
  const pin = await grow({}, { admin, signal: ended.signal });
  expect(steps).toContainEqual(expect.objectContaining({ step: 'away', code: 'BROKER_UNAVAILABLE' }));
  expect(pin).toMatchObject({ partitions: 2, switching: { offsets: [10n, 20n] } });
});
