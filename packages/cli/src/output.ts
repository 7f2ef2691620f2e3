// The one place of the package that writes to the terminal.
import { isTxboxError, type Logger } from '@txbox/core';
import type { CommandOutput } from '@txbox/core/spi';

/**
 * What a command says. Results go to stdout. Progress goes to stderr: as plain text on a terminal, elsewhere as lines of
 * the log, so that a log collector meets nothing but JSON.
 */
export function terminalOutput(logger: Logger): CommandOutput {
  return {
    line: (text) => process.stdout.write(`${text}\n`),
    json: (value) => process.stdout.write(`${JSON.stringify(value, jsonValue)}\n`),
    progress: (text) => {
      if (process.stderr.isTTY) process.stderr.write(`${text}\n`);
      else logger.info({}, text);
    },
  };
}

/** Says on stderr why the program ends: the code and where to read about it, or the stack of what is no error of ours. */
export function reportFailure(error: unknown): void {
  const ours = isTxboxError(error);
  const message = messageOf(error);
  const stack = error instanceof Error ? error.stack : undefined;
  if (!process.stderr.isTTY) stderrLogger('error').error(ours ? { code: error.code, docs: error.docs } : { stack }, message);
  else if (ours) process.stderr.write(`txbox: ${error.code}: ${message}\nSee ${error.docs}\n`);
  else process.stderr.write(`txbox: ${stack ?? message}\n`);
}

/** What an error says. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** What a write says when nobody reads any more: the reading end of the pipe, or the terminal, is gone. */
const CLOSED = new Set(['EPIPE', 'EIO', 'ERR_STREAM_DESTROYED']);

/**
 * Calls `listener` when stdout or stderr has lost its reader, as after `txbox … | head`. What is written from then on is
 * dropped. Without it Node ends the process with a stack. Other failures, a full disk for example, still do.
 */
export function onOutputClosed(listener: () => void): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (!CLOSED.has(error.code ?? '')) throw error;
      listener();
    });
  }
}

/** Names of log levels, least severe first. */
export const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const;

export type LogLevel = (typeof LOG_LEVELS)[number];

/** A logger that writes one JSON object a line to stderr. */
export function stderrLogger(least: LogLevel): Logger {
  const from = LOG_LEVELS.indexOf(least);
  const writer = (level: LogLevel) => (fields: object, message: string) => {
    if (LOG_LEVELS.indexOf(level) < from) return;
    const line = { time: new Date().toISOString(), level, message, ...fields };
    process.stderr.write(`${JSON.stringify(line, jsonValue)}\n`);
  };
  return { debug: writer('debug'), info: writer('info'), warn: writer('warn'), error: writer('error') };
}

// Errors and bigints have no JSON form of their own.
function jsonValue(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString();
  if (value instanceof Error) return { name: value.name, code: (value as { code?: unknown }).code, message: value.message };
  return value;
}
