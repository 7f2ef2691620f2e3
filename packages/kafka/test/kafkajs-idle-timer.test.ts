import { createRequire } from 'node:module';
import { describe, expect, it, vi } from 'vitest';
import { type RequestQueuePrototype, stopIdleTimer } from '../src/kafkajs-idle-timer.ts';

const { version } = createRequire(import.meta.url)('kafkajs/package.json') as { version: string };

function queue(): {
  prototype: RequestQueuePrototype;
  scheduled: () => number;
  schedule: (pending: number, throttledUntil: number) => void;
} {
  let count = 0;
  class Queue {
    pending: unknown[] = [];
    throttledUntil = -1;

    scheduleCheckPendingRequests(): void {
      count += 1;
    }
  }
  return {
    prototype: Queue.prototype as unknown as RequestQueuePrototype,
    scheduled: () => count,
    schedule: (pending, throttledUntil) => {
      const one = new Queue();
      one.pending = Array(pending).fill({});
      one.throttledUntil = throttledUntil;
      one.scheduleCheckPendingRequests();
    },
  };
}

describe('the timer of an idle connection', () => {
  it('is set only while requests wait or the broker throttles', () => {
    const { prototype, scheduled, schedule } = queue();
    expect(stopIdleTimer('2.2.4', () => prototype)).toBe(true);
    schedule(0, -1);
    expect(scheduled()).toBe(0);
    schedule(1, -1);
    schedule(0, Date.now() + 60_000);
    expect(scheduled()).toBe(2);
  });

  it('is repaired once', () => {
    const { prototype, scheduled, schedule } = queue();
    stopIdleTimer('2.2.4', () => prototype);
    const repaired = prototype.scheduleCheckPendingRequests;
    expect(stopIdleTimer('2.2.4', () => prototype)).toBe(true);
    expect(prototype.scheduleCheckPendingRequests).toBe(repaired);
    schedule(1, -1);
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
});
