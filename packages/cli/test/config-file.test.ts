import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadConfigFile } from '../src/config-file.ts';
import { checkConfigSections } from '../src/config-sections.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'txbox-config-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const put = (name: string, text: string): void => writeFileSync(join(folder, name), text);

describe('configuration file', () => {
  it('reads JSON', async () => {
    put('txbox.config.json', '{ "database": { "url": "sqlite:a.db" } }');
    expect((await loadConfigFile(undefined, folder)).value).toEqual({ database: { url: 'sqlite:a.db' } });
  });

  it('reads the default export of a module in TypeScript', async () => {
    put('own.ts', 'const url: string = "sqlite:b.db"; export default { database: { url } };');
    expect((await loadConfigFile('own.ts', folder)).value).toEqual({ database: { url: 'sqlite:b.db' } });
  });

  it('says which names it looked for when there is none', async () => {
    await expect(loadConfigFile(undefined, folder)).rejects.toMatchObject({
      code: 'CONFIG_NOT_FOUND',
      message: expect.stringContaining('txbox.config.json'),
    });
  });

  it('names a path that is not there', async () => {
    await expect(loadConfigFile('gone.json', folder)).rejects.toMatchObject({
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
    await expect(loadConfigFile(name, folder)).rejects.toMatchObject({ code: 'CONFIG_UNREADABLE', message: expect.stringContaining(name) });
  });

  it('refuses a folder, and a file without permission when not root', async () => {
    await expect(loadConfigFile('.', folder)).rejects.toMatchObject({ code: 'CONFIG_UNREADABLE' });
    put('closed.json', '{}');
    chmodSync(join(folder, 'closed.json'), 0);
    if (process.getuid?.() !== 0) await expect(loadConfigFile('closed.json', folder)).rejects.toMatchObject({ code: 'CONFIG_UNREADABLE' });
  });

  it.each([
    ['a list', 'list.json', '[]'],
    ['null', 'null.json', 'null'],
    ['a module without default export', 'none.mjs', 'export const database = {};'],
  ])('refuses %s as invalid', async (_what, name, text) => {
    put(name, text);
    await expect(loadConfigFile(name, folder)).rejects.toMatchObject({ code: 'CONFIG_INVALID', message: expect.stringContaining(name) });
  });
});

describe('sections', () => {
  const check = (value: Record<string, unknown>): void => checkConfigSections({ path: 'txbox.config.json', value });

  it('takes what commands read', () => {
    check({ database: { url: 'mysql://u:p@h/d', tablePrefix: 'x_' }, publisher: {}, relay: {}, inbox: { database: { url: 'sqlite:c' } } });
  });

  it('reports every problem at once and no secret', () => {
    const wrong = { databse: {}, database: { url: 'postgres://user:secret@host/d', pool: 3 }, inbox: {} };
    expect(() => check(wrong)).toThrowError(
      expect.objectContaining({
        code: 'CONFIG_INVALID',
        details: expect.objectContaining({
          problems: [
            expect.stringContaining('"databse"'),
            expect.stringContaining('database.pool'),
            expect.stringContaining('database.url'),
            expect.stringContaining('inbox.database'),
          ],
        }),
      }),
    );
    expect(() => check(wrong)).not.toThrowError(/secret/);
  });
});
