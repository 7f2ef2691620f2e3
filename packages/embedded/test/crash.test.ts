import { embeddedAdmin, embeddedSource } from '@txbox/embedded';
import { afterEach, describe, expect, it } from 'vitest';
import { type Child, killChildren, startChild } from './fixture/child.ts';
import { newPath } from './fixture/log-folder.ts';

afterEach(killChildren);

describe('a publisher that is killed', () => {
  it('loses nothing that was acknowledged and tears no request, whenever it dies', async () => {
    const path = await newPath();
    const admin = embeddedAdmin({ path });
    await admin.createTopic('t', { partitions: 1 });
    const acknowledged: number[] = [];
    for (const [round, acks] of [1, 40, 7, 120].entries()) {
      const child = startChild('publishing-child.ts', path, 't', String(1_000 * round));
      await child.printed(acks);
      await child.kill();
      acknowledged.push(...child.lines.map(Number));
    }
    const read = (await admin.readAll('t')).map((delivery) => delivery.value?.toString() ?? '');
    const requests = [...Map.groupBy(read, (value) => value.split(':')[0])];
    for (const [request, values] of requests) expect(values).toEqual(Array.from({ length: 10 }, (_, index) => `${request}:${index}`));
    const stored = requests.map(([request]) => Number(request));
    expect(stored).toEqual(stored.toSorted((a, b) => a - b));
    expect(acknowledged.filter((request) => !stored.includes(request))).toEqual([]);
    // At most one request a round was stored without its acknowledgement.
    expect(stored.length - acknowledged.length).toBeLessThanOrEqual(4);
    await admin.close();
  });

  it('does not stop others that write at the same time', async () => {
    const path = await newPath();
    const admin = embeddedAdmin({ path });
    await admin.createTopic('t', { partitions: 1 });
    const [killed, living] = [startChild('publishing-child.ts', path, 't', '0'), startChild('publishing-child.ts', path, 't', '1000000')];
    await Promise.all([killed.printed(30), living.printed(30)]);
    await killed.kill();
    await living.printed(living.lines.length + 50);
    await living.kill();
    const stored = new Set((await admin.readAll('t')).map((delivery) => Number(delivery.value?.toString().split(':')[0])));
    expect([...killed.lines, ...living.lines].filter((line) => !stored.has(Number(line)))).toEqual([]);
    await admin.close();
  });
});

describe('a consumer that is killed', () => {
  it('skips nothing and repeats nothing that it check-pointed', async () => {
    const path = await newPath();
    const admin = embeddedAdmin({ path });
    await admin.createTopic('t', { partitions: 1 });
    const publishing = startChild('publishing-child.ts', path, 't', '0');
    await publishing.printed(60);
    await publishing.kill();
    const total = (await admin.readAll('t')).length;
    const children: Child[] = [];
    for (const lines of [3, 50, 400, 'all'] as const) {
      const child = startChild('consuming-child.ts', path, 't', 'g');
      children.push(child);
      // How many are left is not known: a child may die between a checkpoint and its line.
      await (lines === 'all' ? child.printedLine(`done 0 ${total - 1}`) : child.printed(lines));
      await child.kill();
    }
    const got = numbersOf(children, 'got');
    expect(new Set(got)).toEqual(new Set(Array(total).keys()));
    for (const [index, child] of children.entries()) {
      const done = Math.max(-1, ...numbersOf(children.slice(0, index), 'done'));
      expect(Math.min(...numbersOf([child], 'got'))).toBeGreaterThan(done);
    }
    await admin.close();
  });

  it('gives its lanes to the others at once, not after its session', async () => {
    const path = await newPath();
    const admin = embeddedAdmin({ path });
    await admin.createTopic('t', { partitions: 2 });
    const publishing = startChild('publishing-child.ts', path, 't', '0');
    const killed = startChild('consuming-child.ts', path, 't', 'g');
    await Promise.all([publishing.printed(5), killed.printed(5)]);
    const source = embeddedSource({ path, sessionTimeoutMs: 600_000 });
    const lanes = new Set<number>();
    const taken = Promise.withResolvers<void>();
    await source.subscribe({
      group: 'g',
      topics: ['t'],
      batchSize: 10,
      onBatch: async (batch) => {
        lanes.add(batch.partition);
        await batch.checkpoint(batch.deliveries.at(-1)?.offset ?? 0n);
        if (lanes.has(0)) taken.resolve();
      },
    });
    // Lane 0 is the one with records: the killed member holds it, or the survivor has it already.
    await killed.kill();
    await taken.promise;
    await publishing.kill();
    await source.close();
    await admin.close();
  });
});

function numbersOf(children: readonly Child[], word: 'got' | 'done'): number[] {
  return children.flatMap((child) => child.lines.filter((line) => line.startsWith(`${word} `)).map((line) => Number(line.split(' ')[2])));
}
