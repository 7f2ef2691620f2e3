import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { extname, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { TxboxError } from '@txbox/core';

const NAMES = ['ts', 'mts', 'js', 'mjs', 'json'].map((ending) => `txbox.config.${ending}`);
const ENDINGS = new Set(['.ts', '.mts', '.js', '.mjs', '.json']);

/** A configuration as it was read. */
export interface LoadedConfig {
  readonly path: string;
  readonly value: Readonly<Record<string, unknown>>;
}

/**
 * Reads the named file, or the first `txbox.config.*` of the folder. Throws `CONFIG_NOT_FOUND`, `CONFIG_UNREADABLE`
 * (no permission, syntax error, throws while loading) or `CONFIG_INVALID` (no object in it).
 */
export async function loadConfigFile(named: string | undefined, folder: string): Promise<LoadedConfig> {
  const path = named === undefined ? findConfigFile(folder) : resolve(folder, named);
  if (!existsSync(path)) {
    throw new TxboxError('CONFIG_NOT_FOUND', `There is no configuration file at ${path}. Give another path with --config, or create it.`, {
      details: { path },
    });
  }
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
  return { path, value: value as Readonly<Record<string, unknown>> };
}

function findConfigFile(folder: string): string {
  const path = NAMES.map((name) => resolve(folder, name)).find(existsSync);
  if (path !== undefined) return path;
  throw new TxboxError(
    'CONFIG_NOT_FOUND',
    `No configuration file in ${folder}: looked for ${NAMES.join(', ')}. Create one or name it with --config <file>.`,
    { details: { folder } },
  );
}

async function read(path: string): Promise<unknown> {
  try {
    if (extname(path) === '.json') return JSON.parse(await readFile(path, 'utf8')) as unknown;
    const module = (await import(pathToFileURL(path).href)) as { default?: unknown };
    return module.default;
  } catch (error) {
    throw new TxboxError('CONFIG_UNREADABLE', `${path} could not be loaded: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
      details: { path },
    });
  }
}

function describe(value: unknown): string {
  if (value === undefined) return 'no default export';
  if (value === null) return 'null';
  return Array.isArray(value) ? 'an array' : typeof value;
}
