import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { findConfigFile, loadConfigFile } from '../src/config-file.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'txbox-config-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** As every command does. */
const load = async (named: string | undefined): Promise<unknown> => await loadConfigFile(findConfigFile(named, folder, false) ?? '');

const put = (name: string, text: string): void => writeFileSync(join(folder, name), text);

describe('configuration file', () => {
  it('reads JSON', async () => {
    put('txbox.config.json', '{ "database": { "url": "sqlite:a.db" } }');
    expect(await load(undefined)).toEqual({ database: { url: 'sqlite:a.db' } });
  });

  it('reads the default export of a module in TypeScript', async () => {
    put('own.ts', 'const url: string = "sqlite:b.db"; export default { database: { url } };');
    expect(await load('own.ts')).toEqual({ database: { url: 'sqlite:b.db' } });
  });

  it('says which names it looked for when there is none', async () => {
    await expect(load(undefined)).rejects.toMatchObject({
      code: 'CONFIG_NOT_FOUND',
      message: expect.stringContaining('txbox.config.json'),
    });
  });

  it('names a path that is not there', async () => {
    await expect(load('gone.json')).rejects.toMatchObject({
      code: 'CONFIG_NOT_FOUND',
      message: expect.stringContaining('gone.json'),
    });
  });

  it.each([
    ['broken JSON', 'broken.json', '{ "database": '],
    ['a module that throws', 'throws.mjs', 'throw new Error("no such secret"); export default {};'],
    ['another ending', 'config.yaml', 'database: x'],
  ])('refuses %s as unreadable', async (_what, name, text) => {
    put(name, text);
    await expect(load(name)).rejects.toMatchObject({ code: 'CONFIG_UNREADABLE', message: expect.stringContaining(name) });
  });

  it('shows nothing of a broken JSON file, which may hold secrets', async () => {
    put('secret.json', '{ "password": hunter2 }');
    const error = await load('secret.json').catch((thrown: Error) => thrown);
    expect(String(error)).toContain('Unexpected token');
    expect(String(error)).not.toContain('unter');
  });

  it('refuses a folder, and a file without permission when not root', async () => {
    await expect(load('.')).rejects.toMatchObject({ code: 'CONFIG_UNREADABLE' });
    put('closed.json', '{}');
    chmodSync(join(folder, 'closed.json'), 0);
    if (process.getuid?.() !== 0) await expect(load('closed.json')).rejects.toMatchObject({ code: 'CONFIG_UNREADABLE' });
  });

  it.each([
    ['a list', 'list.json', '[]'],
    ['null', 'null.json', 'null'],
    ['a module without default export', 'none.mjs', 'export const database = {};'],
  ])('refuses %s as invalid', async (_what, name, text) => {
    put(name, text);
    await expect(load(name)).rejects.toMatchObject({ code: 'CONFIG_INVALID', message: expect.stringContaining(name) });
  });
});
