import { createRequire } from 'node:module';
import { describe, expect, it, vi } from 'vitest';
import { loadKafkajs } from '../src/kafkajs-client.ts';
import { type RequestQueuePrototype, stopIdleTimer } from '../src/kafkajs-idle-timer.ts';

const require = createRequire(import.meta.url);
const { version } = require('kafkajs/package.json') as { version: string };

function queue(): {
  prototype: RequestQueuePrototype;
  scheduled: () => number;
  schedule: (pending: number) => void;
} {
  let count = 0;
  class Queue {
    pending: unknown[] = [];

    scheduleCheckPendingRequests(): void {
      count += 1;
    }
  }
  return {
    prototype: Queue.prototype as unknown as RequestQueuePrototype,
    scheduled: () => count,
    schedule: (pending) => {
      const one = new Queue();
      one.pending = Array(pending).fill({});
      one.scheduleCheckPendingRequests();
    },
  };
}

describe('the timer of an idle connection', () => {
  it('is set only while requests wait', () => {
    const { prototype, scheduled, schedule } = queue();
    expect(stopIdleTimer('2.2.4', () => prototype)).toBe(true);
    schedule(0);
    expect(scheduled()).toBe(0);
    schedule(1);
    expect(scheduled()).toBe(1);
  });

  it('is repaired once', () => {
    const { prototype, scheduled, schedule } = queue();
    stopIdleTimer('2.2.4', () => prototype);
    const repaired = prototype.scheduleCheckPendingRequests;
    expect(stopIdleTimer('2.2.4', () => prototype)).toBe(true);
    expect(prototype.scheduleCheckPendingRequests).toBe(repaired);
    schedule(1);
    expect(scheduled()).toBe(1);
  });

  it('is left alone in every other version', () => {
    const load = vi.fn<() => RequestQueuePrototype>();
    for (const other of ['2.2.3', '2.2.5', '3.0.0', version === '2.2.4' ? '2.2.4-next' : version])
      expect(stopIdleTimer(other, load)).toBe(false);
    expect(load).not.toHaveBeenCalled();
  });

  it('is left alone when its inside looks different', () => {
    expect(stopIdleTimer('2.2.4', () => ({}) as RequestQueuePrototype)).toBe(false);
  });

  it('is left alone for those who opt out, until somebody does not', async () => {
    interface Queue {
      pending: unknown[];
      throttledUntil: number;
      throttleCheckTimeoutId: NodeJS.Timeout | null;
      scheduleCheckPendingRequests(): void;
    }
    const RequestQueue = require('kafkajs/src/network/requestQueue') as new (options: object) => Queue;
    const delays = (prepare: (queue: Queue) => void): (number | undefined)[] => {
      const timers = vi.spyOn(globalThis, 'setTimeout');
      const queue = new RequestQueue({});
      prepare(queue);
      queue.scheduleCheckPendingRequests();
      if (queue.throttleCheckTimeoutId) clearTimeout(queue.throttleCheckTimeoutId);
      const set = timers.mock.calls.map(([, delay]) => delay);
      timers.mockRestore();
      return set;
    };
    await loadKafkajs(false);
    // The defect: less than nothing, which Node warns of and takes for a millisecond.
    const [negative] = delays(() => undefined);
    expect(negative).toBeLessThan(0);
    await loadKafkajs(true);
    expect(delays(() => undefined)).toEqual([]);
    expect(delays(({ pending }) => void pending.push({}))).toEqual([10]);
    const [throttled] = delays((queue) => {
      queue.pending.push({});
      queue.throttledUntil = Date.now() + 60_000;
    });
    expect(throttled).toBeGreaterThan(10);
  });
});
