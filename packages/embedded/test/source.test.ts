import { embedded, embeddedAdmin, embeddedSource } from '@txbox/embedded';
import { describe, expect, it } from 'vitest';
import { newPath } from './fixture/log-folder.ts';

describe('embeddedSource', () => {
  it('names every bad option in one error', () => {
    const bad = { path: 'log.db', sessionTimeoutMs: 1, pollMs: 0, group: 'x' } as unknown as Parameters<typeof embeddedSource>[0];
    expect(() => embeddedSource(bad)).toThrow(
      expect.objectContaining({ code: 'OPTIONS_INVALID', message: expect.stringMatching(/group.*sessionTimeoutMs.*pollMs/s) as string }),
    );
    expect(() => embeddedSource({ path: 'log.db', sessionTimeoutMs: 600, pollMs: 500 })).toThrow(
      expect.objectContaining({ code: 'OPTIONS_INVALID' }),
    );
  });

  it('keeps the cluster id of its file, and another file has another', async () => {
    const [one, two] = [await newPath(), await newPath()];
    const ids = [];
    for (const path of [one, one, two]) {
      const source = embeddedSource({ path });
      ids.push(await source.clusterId());
      await source.close();
    }
    expect(ids[0]).toBe(ids[1]);
    expect(ids[0]).not.toBe(ids[2]);
  });

  it('begins at the start of a topic that was deleted and created again', async () => {
    const path = await newPath();
    const admin = embeddedAdmin({ path });
    const publisher = embedded({ path });
    const source = embeddedSource({ path });
    const values: (string | undefined)[] = [];
    let arrived = Promise.withResolvers<void>();
    const publish = async (value: string): Promise<void> => {
      arrived = Promise.withResolvers<void>();
      await publisher.publish({ topic: 't', partition: 0, records: [{ key: null, value: Buffer.from(value), headers: [] }] });
      await arrived.promise;
    };
    await admin.createTopic('t', { partitions: 1 });
    await source.subscribe({
      group: 'g',
      topics: ['t'],
      batchSize: 10,
      onBatch: async (batch) => {
        await batch.checkpoint(batch.deliveries.at(-1)?.offset ?? 0n);
        values.push(...batch.deliveries.map((delivery) => delivery.value?.toString()));
        arrived.resolve();
      },
    });
    await publish('old 0');
    await publish('old 1');
    await admin.deleteTopic('t');
    await admin.createTopic('t', { partitions: 1 });
    await publish('new 0');
    expect(values).toEqual(['old 0', 'old 1', 'new 0']);
    await source.close();
    await publisher.close();
    await admin.close();
  });
});
