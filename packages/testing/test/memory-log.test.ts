import type { WireRecord } from '@txbox/core/spi';
import { MemoryLog } from '@txbox/testing';
import { describe, expect, it } from 'vitest';

const records: WireRecord[] = [{ key: null, value: Buffer.from('v'), headers: [] }];
const request = { topic: 't', partition: 0, records };

function newLog(): MemoryLog {
  const log = new MemoryLog();
  log.createTopic('t', 1);
  return log;
}

describe('MemoryLog', () => {
  it('stores nothing when a fault strikes before, and all when only the acknowledgement is lost', async () => {
    const log = newLog();
    const strike = (): never => {
      throw new Error('fault');
    };
    await expect(log.publisher({ faults: { before: strike } }).publish(request)).rejects.toThrow('fault');
    expect(log.readAll('t')).toEqual([]);
    const losing = log.publisher({ faults: { after: strike } });
    const failure: unknown = await losing.publish(request).catch((error: unknown) => error);
    expect(losing.classify(failure)).toBe('transient');
    expect(log.readAll('t')).toHaveLength(1);
  });

  it('keeps what was published apart from what the publisher does with its buffers afterwards', async () => {
    const log = newLog();
    const value = Buffer.from('before');
    await log.publisher().publish({ ...request, records: [{ key: null, value, headers: [] }] });
    value.write('after!');
    expect(log.readAll('t')[0]?.value?.toString()).toBe('before');
  });

  it('keeps a topic that is created again', async () => {
    const log = newLog();
    await log.publisher().publish(request);
    log.createTopic('t', 4);
    expect(log.readAll('t')).toHaveLength(1);
    expect(await log.publisher().describeTopic('t')).toEqual({ topic: 't', partitions: 1 });
  });
});
