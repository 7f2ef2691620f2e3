import { describe, expect, it } from 'vitest';
import { type Clock, startLoop } from '../../src/spi.ts';

/** A clock whose waits last until the test ends them. */
function manualClock() {
  const waits: { ms: number; end: () => void }[] = [];
  const waiters: (() => void)[] = [];
  const clock: Clock = {
    now: () => 0,
    monotonic: () => 0,
    sleep: (ms, signal) =>
      new Promise((resolve) => {
        waits.push({ ms, end: resolve });
        signal?.addEventListener('abort', () => resolve());
        if (signal?.aborted) resolve();
        for (const waiter of waiters.splice(0)) waiter();
      }),
  };
  const wait = async (count: number): Promise<{ ms: number; end: () => void }> => {
    while (waits.length < count) await new Promise<void>((resolve) => waiters.push(resolve));
    return waits[count - 1]!;
  };
  return { clock, waits, wait };
}

const backoff = { baseMs: 100, capMs: 1_000 };
const failLoudly = (error: unknown): never => {
  throw error;
};

describe('startLoop', () => {
  it('waits as long as a pass says, and runs again at once after 0', async () => {
    const { clock, wait } = manualClock();
    const delays = [0, 0, 500, 700];
    let passes = 0;
    const loop = startLoop({ runOnce: async () => delays[passes++] ?? 1, onError: failLoudly, backoff, clock });
    expect((await wait(1)).ms).toBe(500);
    expect(passes).toBe(3);
    (await wait(1)).end();
    expect((await wait(2)).ms).toBe(700);
    await loop.stop();
    expect(passes).toBe(4);
  });

  it('ends a wait when woken, and remembers a wake that comes during a pass', async () => {
    const { clock, waits, wait } = manualClock();
    let passes = 0;
    const loop = startLoop({
      runOnce: async () => {
        passes += 1;
        if (passes === 2) loop.wake();
        return 60_000;
      },
      onError: failLoudly,
      backoff,
      clock,
    });
    await wait(1);
    loop.wake();
    await wait(2);
    expect(passes).toBe(3);
    expect(waits).toHaveLength(2);
    await loop.stop();
  });

  it('backs off after errors, is not hurried by wakes, and goes on', async () => {
    const { clock, wait } = manualClock();
    const failures: number[] = [];
    let passes = 0;
    const loop = startLoop({
      runOnce: async () => {
        passes += 1;
        if (passes <= 2) throw new Error('no');
        return 60_000;
      },
      onError: (_error, count) => failures.push(count),
      backoff,
      clock,
    });
    const first = await wait(1);
    expect(first.ms).toBeLessThanOrEqual(100);
    loop.wake();
    await new Promise((resolve) => setImmediate(resolve));
    expect(passes).toBe(1);
    first.end();
    (await wait(2)).end();
    expect((await wait(3)).ms).toBe(60_000);
    expect(failures).toEqual([1, 2]);
    await loop.stop();
  });

  it('stops after the pass that runs, in a wait and in a back-off; twice is fine', async () => {
    const { clock, wait } = manualClock();
    let finish = (): void => undefined;
    let stopping: AbortSignal | undefined;
    const loop = startLoop({
      runOnce: (signal) =>
        new Promise((resolve) => {
          stopping = signal;
          finish = () => resolve(1);
        }),
      onError: failLoudly,
      backoff,
      clock,
    });
    let stopped = false;
    const done = Promise.all([loop.stop(), loop.stop()]).then(() => {
      stopped = true;
    });
    expect(stopping?.aborted).toBe(true);
    await new Promise((resolve) => setImmediate(resolve));
    expect(stopped).toBe(false);
    finish();
    await done;

    const failing = startLoop({ runOnce: () => Promise.reject(new Error('no')), onError: () => undefined, backoff, clock });
    await wait(1);
    await failing.stop();
  });

  it('lets others run when passes do no I/O', async () => {
    let passes = 0;
    const loop = startLoop({ runOnce: async () => (++passes > 0 ? 0 : 1), onError: failLoudly, backoff });
    await new Promise((resolve) => setTimeout(resolve, 1));
    await loop.stop();
    expect(passes).toBeGreaterThan(0);
  });
});
