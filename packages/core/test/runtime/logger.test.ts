import { afterEach, expect, it, vi } from 'vitest';
import { TxboxError } from '../../src/index.ts';
import { defaultLogger } from '../../src/spi.ts';

afterEach(() => vi.restoreAllMocks());

it('writes warnings and errors to stderr with what is needed to act on them, and nothing else', () => {
  const error = vi.spyOn(console, 'error').mockImplementation(() => undefined);
  const warn = vi.spyOn(console, 'warn').mockImplementation(() => undefined);
  defaultLogger.debug({}, 'quiet');
  defaultLogger.info({}, 'quiet');
  defaultLogger.warn({ topic: 'orders', attempts: 3, reason: 'no such topic' }, 'A topic is held.');
  const cause = new Error('boom');
  defaultLogger.error({ partition: 0, err: new TxboxError('HANDLER_FAILED', 'The handler threw.', { cause }) }, 'A message failed.');
  expect(warn.mock.calls).toEqual([['txbox: A topic is held. topic="orders" attempts=3 reason="no such topic"']]);
  expect(error.mock.calls).toEqual([
    [`txbox: A message failed. partition=0\n  HANDLER_FAILED: The handler threw.\n  caused by ${cause.stack}`],
  ]);
});
