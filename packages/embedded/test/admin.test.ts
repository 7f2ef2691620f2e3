import { embedded, embeddedAdmin } from '@txbox/embedded';
import { describe, expect, it } from 'vitest';
import { newPath } from './fixture/log-folder.ts';

const record = (value: string): { key: null; value: Buffer; headers: [] } => ({ key: null, value: Buffer.from(value), headers: [] });

describe('embeddedAdmin', () => {
  it('creates a topic once, and refuses it with another number of partitions', async () => {
    const path = await newPath();
    const admin = embeddedAdmin({ path });
    await admin.createTopic('orders', { partitions: 3 });
    await admin.createTopic('orders', { partitions: 3 });
    await expect(admin.createTopic('orders', { partitions: 4 })).rejects.toMatchObject({ code: 'OPTIONS_INVALID' });
    await expect(admin.createTopic('no spaces', { partitions: 1 })).rejects.toMatchObject({ code: 'OPTIONS_INVALID' });
    await expect(admin.createTopic('zero', { partitions: 0 })).rejects.toMatchObject({ code: 'OPTIONS_INVALID' });
    expect(await admin.topics()).toEqual([{ topic: 'orders', partitions: 3 }]);
    await admin.close();
  });

  it('deletes a topic with its records: one of the same name begins empty', async () => {
    const path = await newPath();
    const admin = embeddedAdmin({ path });
    const publisher = embedded({ path });
    await admin.createTopic('t', { partitions: 1 });
    await admin.createTopic('kept', { partitions: 1 });
    await publisher.publish({ topic: 't', partition: 0, records: [record('a'), record('b')] });
    await publisher.publish({ topic: 'kept', partition: 0, records: [record('k')] });
    await admin.deleteTopic('t');
    await expect(admin.readAll('t')).rejects.toMatchObject({ code: 'TOPIC_MISSING' });
    await expect(admin.deleteTopic('t')).rejects.toMatchObject({ code: 'TOPIC_MISSING' });
    await admin.createTopic('t', { partitions: 1 });
    expect(await admin.readAll('t')).toEqual([]);
    expect((await admin.readAll('kept')).map((delivery) => delivery.value?.toString())).toEqual(['k']);
    await publisher.close();
    await admin.close();
  });
});
