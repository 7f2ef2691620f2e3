import { isTxboxError } from './error.ts';

/**
 * Where the framework's log lines go. A pino logger fits as it is, and so does `console`, or any object with these four
 * methods. `fields` come first and hold structured facts; they never hold secrets or payloads.
 */
export interface Logger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** A logger that writes nothing. */
export const silentLogger: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};

/** The default wherever a logger is optional: warnings and errors, as text on stderr. */
export const defaultLogger: Logger = {
  ...silentLogger,
  warn: (fields, message) => console.warn(lineOf(fields, message, false)),
  error: (fields, message) => console.error(lineOf(fields, message, true)),
};

function lineOf(fields: object, message: string, withStack: boolean): string {
  const { err, ...facts } = fields as Record<string, unknown>;
  const shown = Object.entries(facts)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name}=${typeof value === 'string' ? JSON.stringify(value) : String(value)}`);
  const line = ['txbox:', message, ...shown].join(' ');
  return err === undefined ? line : `${line}\n  ${describe(err, withStack)}`;
}

/** What happened, and where in code that is not the framework's. */
function describe(error: unknown, withStack: boolean): string {
  if (!isTxboxError(error)) return withStack && error instanceof Error ? String(error.stack) : String(error);
  const cause = error.cause === undefined ? '' : `\n  caused by ${describe(error.cause, withStack)}`;
  return `${error.code}: ${error.message}${cause}`;
}
