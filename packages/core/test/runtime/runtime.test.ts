import { describe, expect, it } from 'vitest';
import { backoffMs, decodeWake, encodeWake, isTxboxError, onLocalWake, TxboxError, wakeLocally } from '../../src/spi.ts';

describe('backoffMs', () => {
  it('grows from base to cap, never 0, with full jitter', () => {
    const policy = { baseMs: 100, capMs: 1_000 };
    expect([1, 2, 3, 4, 5, 1_000].map((attempt) => backoffMs(policy, attempt, () => 1))).toEqual([100, 200, 400, 800, 1_000, 1_000]);
    expect(backoffMs(policy, 3, () => 0)).toBe(1);
    expect(backoffMs(policy, 3, () => 0.5)).toBe(200);
  });
});

describe('wake-ups', () => {
  it('travel as datagrams; hostile bytes are none', () => {
    expect(decodeWake(encodeWake([0, 5, 15]))).toEqual([0, 5, 15]);
    for (const bytes of ['', 'TXW1', 'TXW2\0', 'x'.repeat(2_000), `TXW1${'x'.repeat(65)}`])
      expect(decodeWake(Buffer.from(bytes))).toBeUndefined();
  });

  it('reach the listeners of the process until these leave', () => {
    const heard: (readonly number[])[] = [];
    const leave = onLocalWake((shards) => heard.push(shards));
    wakeLocally([3]);
    leave();
    wakeLocally([4]);
    expect(heard).toEqual([[3]]);
  });
});

describe('TxboxError', () => {
  it('is recognised by brand and code, not by class', () => {
    const error = new TxboxError('KEY_INVALID', 'text', { cause: new Error('inner') });
    expect(isTxboxError(error)).toBe(true);
    expect(isTxboxError(error, 'KEY_INVALID')).toBe(true);
    expect(isTxboxError(error, 'HEADER_INVALID')).toBe(false);
    expect([new Error('x'), null, 'x', { code: 'KEY_INVALID' }].map((other) => isTxboxError(other))).toEqual([false, false, false, false]);
    expect(error.docs).toBe('docs/errors.md#key_invalid');
    expect(error.retryable).toBe(false);
  });
});
