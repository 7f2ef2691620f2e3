import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Command, CommandContext, CommandOutput } from '@txbox/core/spi';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { runProgram } from '../src/program.ts';
import { resolvePublisher } from '../src/publisher-data.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'txbox-program-'));
  writeFileSync(join(folder, 'txbox.config.json'), '{ "database": { "url": "sqlite:a.db" } }');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

async function run(
  args: readonly string[],
  command: Partial<Command> = {},
): Promise<{ context: CommandContext | undefined; code: number; printed: string }> {
  let context: CommandContext | undefined;
  const lines: string[] = [];
  const output: CommandOutput = { line: (text) => void lines.push(text), json: () => undefined, progress: () => undefined };
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
    installed: { commands: [fake], components: [], groups: { relay: 'Publishes.' } },
    output: () => output,
    folder,
    version: '1.2.3',
    signal: new AbortController().signal,
    forced: new AbortController().signal,
  };
  const code = await runProgram(environment, args);
  return { context, code, printed: lines.join('\n') };
}

describe('program', () => {
  it('hands the command its options under their declared names, and the configuration', async () => {
    const { context, code } = await run(['relay', 'start', '--dry-run', '--topic', 'orders']);
    expect(context?.options).toEqual({ 'dry-run': true, topic: 'orders' });
    expect(context?.config).toEqual({ database: { url: 'sqlite:a.db' } });
    expect(code).toBe(3);
  });

  it('refuses an unknown command and an unknown option, naming what there is or where to look', async () => {
    await expect(run(['jump'])).rejects.toMatchObject({ code: 'COMMAND_UNKNOWN', message: expect.stringContaining('There are: relay') });
    await expect(run(['relay', 'jump'])).rejects.toMatchObject({
      code: 'COMMAND_UNKNOWN',
      message: expect.stringMatching(/^txbox relay: .*'jump'.*: start\./),
    });
    await expect(run(['relay', 'start', '--fast'])).rejects.toMatchObject({
      code: 'OPTIONS_INVALID',
      message: expect.stringMatching(/^txbox relay start: .*'--fast'.*--help/),
    });
    await expect(run(['relay', 'start', '--topc', 'x'])).rejects.toThrow('Did you mean --topic?');
    await expect(run(['relay', 'start', '--topic'])).rejects.toMatchObject({ code: 'OPTIONS_INVALID' });
    await expect(run(['relay', 'start', 'now'])).rejects.toMatchObject({ code: 'OPTIONS_INVALID' });
  });

  it('prints help and version; without a command help too, but the exit code says that nothing was done', async () => {
    expect(await run(['relay', 'start', '--help'])).toMatchObject({ code: 0, printed: expect.stringContaining('--dry-run') });
    expect(await run(['--version'])).toMatchObject({ code: 0, printed: '1.2.3' });
    expect(await run(['relay'])).toMatchObject({ code: 1, printed: expect.stringContaining('Starts.') });
    expect(await run([])).toMatchObject({ code: 1, printed: expect.stringMatching(/relay +Publishes\./) });
  });

  it('refuses an unknown log level', async () => {
    await expect(run(['relay', 'start', '--log-level', 'loud'])).rejects.toMatchObject({ code: 'OPTIONS_INVALID' });
  });

  it('reports what is wrong in every section at once', async () => {
    const wrong = { databse: {}, database: { url: '' }, publisher: { kind: 'kafkajs', broker: ['x'] } };
    writeFileSync(join(folder, 'wrong.json'), JSON.stringify(wrong));
    const command = { usesPublisher: true, configProblems: () => ['relay: pollMinMs must be more'] };
    await expect(run(['relay', 'start', '--config', 'wrong.json'], command)).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      details: {
        problems: [
          expect.stringContaining('"databse"'),
          expect.stringMatching(/database\.url.*environment variable/),
          'relay: pollMinMs must be more',
          expect.stringContaining('publisher: unknown option broker'),
          expect.stringContaining('publisher: brokers is required'),
        ],
      },
    });
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
