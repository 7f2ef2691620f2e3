import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Command, CommandContext, CommandOutput } from '@txbox/core/spi';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { buildProgram } from '../src/program.ts';
import { resolvePublisher } from '../src/publisher-data.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'txbox-program-'));
  writeFileSync(join(folder, 'txbox.config.json'), '{ "database": { "url": "sqlite:a.db" } }');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const silent: CommandOutput = { line: () => undefined, json: () => undefined, progress: () => undefined };

async function run(
  args: readonly string[],
  command: Partial<Command> = {},
): Promise<{ context: CommandContext | undefined; code: number }> {
  let context: CommandContext | undefined;
  let code = -1;
  const fake: Command = {
    path: ['relay', 'start'],
    summary: 'Starts.',
    options: { 'dry-run': { type: 'boolean', description: 'Only looks.' }, topic: { type: 'string', description: 'One topic.' } },
    run: async (given) => {
      context = given;
      return 3;
    },
    ...command,
  };
  const environment = {
    installed: { commands: [fake], components: [] },
    output: silent,
    folder,
    version: '1.2.3',
    signal: new AbortController().signal,
    forced: new AbortController().signal,
  };
  const program = buildProgram(environment, (given) => {
    code = given;
  });
  program.exitOverride();
  for (const child of program.commands) {
    child.exitOverride();
    for (const leaf of child.commands) leaf.exitOverride();
  }
  await program.parseAsync(['node', 'txbox', ...args]);
  return { context, code };
}

describe('program', () => {
  it('hands the command its options under their declared names, and the configuration', async () => {
    const { context, code } = await run(['relay', 'start', '--dry-run', '--topic', 'orders']);
    expect(context?.options).toEqual({ 'dry-run': true, topic: 'orders' });
    expect(context?.config).toEqual({ database: { url: 'sqlite:a.db' } });
    expect(code).toBe(3);
  });

  it('refuses an unknown command and an unknown option', async () => {
    await expect(run(['relay', 'jump'])).rejects.toMatchObject({ code: 'commander.unknownCommand' });
    await expect(run(['relay', 'start', '--fast'])).rejects.toMatchObject({ code: 'commander.unknownOption' });
  });

  it('refuses an unknown log level', async () => {
    await expect(run(['relay', 'start', '--log-level', 'loud'])).rejects.toMatchObject({ code: 'OPTIONS_INVALID' });
  });

  it('names a configuration file that is not there', async () => {
    await expect(run(['relay', 'start', '--config', 'gone.json'])).rejects.toMatchObject({ code: 'CONFIG_NOT_FOUND' });
  });
});

describe('publisher of a configuration', () => {
  it('takes an instance as it is', async () => {
    const publisher = { publish: async () => undefined };
    expect(await resolvePublisher(publisher)).toBe(publisher);
  });

  it.each([
    ['nothing', undefined],
    ['an unknown kind', { kind: 'carrier-pigeon' }],
    ['an inherited name as kind', { kind: 'constructor' }],
    ['no kind', {}],
  ])('refuses %s, naming the kinds there are', async (_what, value) => {
    await expect(resolvePublisher(value)).rejects.toMatchObject({ code: 'CONFIG_INVALID', message: expect.stringContaining('"kafkajs"') });
  });

  it('makes one from data', async () => {
    const publisher = await resolvePublisher({ kind: 'embedded', path: join(folder, 'broker.db') });
    expect(publisher.name).toBe('embedded');
    await publisher.close();
  });
});
