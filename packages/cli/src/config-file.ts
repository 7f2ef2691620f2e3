import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { extname, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { isTxboxError, TxboxError } from '@txbox/core';

const NAMES = ['ts', 'mts', 'js', 'mjs', 'json'].map((ending) => `txbox.config.${ending}`);
const ENDINGS = new Set(['.ts', '.mts', '.js', '.mjs', '.json']);

/**
 * The path of the named file, or of the first `txbox.config.*` of the folder; `undefined` when neither is there and `optional`.
 * Throws `CONFIG_NOT_FOUND`.
 */
export function findConfigFile(named: string | undefined, folder: string, optional: boolean): string | undefined {
  const path = named === undefined ? NAMES.map((name) => resolve(folder, name)).find(existsSync) : resolve(folder, named);
  if (named === undefined && path === undefined && optional) return undefined;
  if (path === undefined) {
    throw new TxboxError(
      'CONFIG_NOT_FOUND',
      `No configuration file in ${folder}: looked for ${NAMES.join(', ')}. Create one, name it with --config <file>, or set TXBOX_… variables.`,
      { details: { folder } },
    );
  }
  if (existsSync(path)) return path;
  throw new TxboxError('CONFIG_NOT_FOUND', `There is no configuration file at ${path}. Give another path with --config, or create it.`, {
    details: { path },
  });
}

/**
 * Reads a file. Throws `CONFIG_UNREADABLE` (no permission, syntax error, throws while loading) or `CONFIG_INVALID` (no
 * object in it).
 */
export async function loadConfigFile(path: string): Promise<Readonly<Record<string, unknown>>> {
  if (!ENDINGS.has(extname(path))) {
    throw new TxboxError(
      'CONFIG_UNREADABLE',
      `A configuration file ends in ${[...ENDINGS].join(', ')}, got ${path}. Rename it or choose another with --config.`,
      { details: { path } },
    );
  }
  const value = await read(path);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new TxboxError('CONFIG_INVALID', `${path} must hold one object (in modules: as the default export), got ${describe(value)}.`, {
      details: { path },
    });
  }
  return value as Readonly<Record<string, unknown>>;
}

async function read(path: string): Promise<unknown> {
  try {
    if (extname(path) === '.json') return JSON.parse(await readFile(path, 'utf8')) as unknown;
    const module = (await import(pathToFileURL(path).href)) as { default?: unknown };
    return module.default;
  } catch (error) {
    // An option that is wrong, of a publisher for example, is no matter of reading.
    if (isTxboxError(error))
      throw new TxboxError('CONFIG_INVALID', `${path}: ${error.message}`, { cause: error, details: { ...error.details, path } });
    throw new TxboxError('CONFIG_UNREADABLE', `${path} could not be loaded: ${reasonOf(error, path)}`, { cause: error, details: { path } });
  }
}

const STRIPPED =
  ' Configuration files run with their types stripped: no enum, no namespace, no parameter properties; or write them in JavaScript or JSON.';

// What JSON.parse quotes of a file may be a secret.
const QUOTED = /, (?:\.{3})?".*"(?:\.{3})? is not valid JSON$/s;

/** With the place where Node knows it. */
function reasonOf(error: unknown, path: string): string {
  if (!(error instanceof Error)) return String(error);
  const hint = (error as { code?: unknown }).code === 'ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX' ? `.${STRIPPED}` : '';
  const said = extname(path) === '.json' ? error.message.replace(QUOTED, '') : error.message;
  return `${said}${placeOf(error, path)}${hint}`;
}

function placeOf(error: Error, path: string): string {
  const { stack = '' } = error;
  const own = [path, pathToFileURL(path).href].map((name) => name.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('|');
  const [, line, column] = new RegExp(`(?:${own}):(\\d+)(?::(\\d+))?`).exec(stack) ?? [];
  if (line !== undefined) return ` (line ${line}${column === undefined ? '' : `, column ${column}`})`;
  // Of a module that does not parse Node tells the place only to its own printer.
  return error instanceof SyntaxError && extname(path) !== '.json' ? ` (node --check ${path} shows where)` : '';
}

function describe(value: unknown): string {
  if (value === undefined) return 'no default export';
  if (value === null) return 'null';
  return Array.isArray(value) ? 'an array' : typeof value;
}
