import { type Logger, silentLogger, TxboxError } from '@txbox/core';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { reportFailure, terminalOutput } from '../src/output.ts';

let written: string;
beforeEach(() => {
  written = '';
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
    written += String(text);
    return true;
  });
});
const { isTTY } = process.stderr;
afterEach(() => {
  process.stderr.isTTY = isTTY;
  vi.restoreAllMocks();
});

it('shows progress and errors as plain text on a terminal', () => {
  process.stderr.isTTY = true;
  terminalOutput(silentLogger).progress('relay: running');
  reportFailure(new TxboxError('COMMAND_UNKNOWN', 'No such command.'));
  expect(written).toBe('relay: running\ntxbox: COMMAND_UNKNOWN: No such command.\nSee docs/errors.md#command_unknown\n');
});

it('gives progress to the logger elsewhere, so that the log level counts', () => {
  process.stderr.isTTY = false;
  const said: string[] = [];
  const logger: Logger = { ...silentLogger, info: (_fields, message) => void said.push(message) };
  terminalOutput(logger).progress('relay: running');
  expect(said).toEqual(['relay: running']);
  expect(written).toBe('');
});

it('shows where a foreign error came from', () => {
  process.stderr.isTTY = false;
  reportFailure(new RangeError('too far'));
  expect(JSON.parse(written)).toMatchObject({ level: 'error', message: 'too far', stack: expect.stringContaining('output.test.ts') });
});
