import { describe, expect, it } from 'vitest';
import { Lifecycle } from '../../src/spi.ts';

function recorder(start: (signal: AbortSignal) => Promise<void> = async () => undefined) {
  const calls: string[] = [];
  const lifecycle = new Lifecycle({
    name: 'thing',
    start: async (signal) => {
      calls.push('start');
      await start(signal);
    },
    stop: async (graceMs) => {
      calls.push(`stop ${graceMs}`);
    },
  });
  return { lifecycle, calls };
}

describe('Lifecycle', () => {
  it('starts and stops once, whatever is called how often', async () => {
    const { lifecycle, calls } = recorder();
    expect(lifecycle.start()).toBe(lifecycle.start());
    await lifecycle.start();
    expect(lifecycle.state).toBe('running');
    expect(lifecycle.stop(50)).toBe(lifecycle.stop());
    await lifecycle.stop();
    expect(lifecycle.state).toBe('stopped');
    expect(calls).toEqual(['start', 'stop 50']);
    await expect(lifecycle.start()).rejects.toMatchObject({ code: 'STOPPED' });
  });

  it('does nothing when stopped before it was started', async () => {
    const { lifecycle, calls } = recorder();
    await lifecycle.stop();
    await expect(lifecycle.start()).rejects.toMatchObject({ code: 'STOPPED' });
    expect(calls).toEqual([]);
  });

  it('aborts a start that is stopped, and cleans up after it', async () => {
    const { lifecycle, calls } = recorder((signal) => new Promise((resolve) => signal.addEventListener('abort', () => resolve())));
    const started = lifecycle.start();
    await Promise.all([expect(started).rejects.toMatchObject({ code: 'STOPPED' }), lifecycle.stop(5)]);
    expect(calls).toEqual(['start', 'stop 5']);
    expect(lifecycle.state).toBe('stopped');
  });

  it('cleans up after a failed start, which may be tried again', async () => {
    let fails = true;
    const { lifecycle, calls } = recorder(async () => {
      if (fails) throw new Error('broker away');
    });
    await expect(lifecycle.start()).rejects.toThrow('broker away');
    expect(lifecycle.state).toBe('idle');
    fails = false;
    await lifecycle.start();
    expect(calls).toEqual(['start', 'stop 0', 'start']);
    await lifecycle.stop();
  });
});
