import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Command, CommandContext, CommandOutput } from '@txbox/core/spi';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { makePublisher } from '../src/config-options.ts';
import { findInstalled, type Installed } from '../src/installed.ts';
import { runProgram } from '../src/program.ts';

let installed: Installed;
beforeAll(async () => {
  installed = await findInstalled();
});

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'txbox-program-'));
  writeFileSync(join(folder, 'txbox.config.json'), '{ "database": { "url": "sqlite:a.db" } }');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

async function run(
  args: readonly string[],
  command: Partial<Command> = {},
  variables: Readonly<Record<string, string>> = {},
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
    installed: { ...installed, commands: [fake], groups: { relay: 'Publishes.' } },
    variables,
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
    await expect(run(['replay'])).rejects.toThrow('replay comes with @txbox/relay: npm install @txbox/relay');
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

  it('reports what is wrong in file, environment and flags at once, each with its origin', async () => {
    const wrong = {
      databse: {},
      database: { url: '' },
      publisher: { kind: 'kafkajs', broker: ['x'] },
      relay: { pollMinMs: 5_000 },
      http: true,
    };
    writeFileSync(join(folder, 'wrong.json'), JSON.stringify(wrong));
    const variables = { TXBOX_RELAY__LEASE_TTL: '5', TXBOX_RELAY__MAX_ROWS: 'many' };
    await expect(run(['relay', 'start', '--config', 'wrong.json', '--set', 'relay.pageRows=0'], {}, variables)).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      details: {
        problems: [
          'unknown variable TXBOX_RELAY__LEASE_TTL, did you mean TXBOX_RELAY__LEASE_TTL_MS? (environment)',
          expect.stringMatching(/^unknown section databse, did you mean database\?.*\(file wrong\.json\)$/),
          expect.stringMatching(/^database\.url .*environment variable.*\(file wrong\.json\)$/),
          expect.stringMatching(/^publisher: unknown option broker, did you mean brokers\?.*\(file wrong\.json\)$/),
          'publisher.brokers is required (file wrong.json)',
          'relay.pageRows must be a whole number between 1 and 10000, got 0 (flag --set)',
          'relay.maxRows must be a whole number of at least 32, got "many" (environment TXBOX_RELAY__MAX_ROWS)',
          'http must be an object of options or false, got true (file wrong.json)',
        ],
      },
    });
  });

  it('names a rule between options with the origin of each', async () => {
    const words = ['relay', 'start', '--set', 'relay.pollMinMs=2000'];
    await expect(run(words, {})).rejects.toMatchObject({
      code: 'OPTIONS_INVALID',
      message: expect.stringContaining('pollMinMs (2000) must be at most pollMaxMs (1000) (pollMinMs: flag --set, pollMaxMs: default)'),
    });
  });

  it('says where to set what a command needs and nobody has configured', async () => {
    writeFileSync(join(folder, 'txbox.config.json'), '{}');
    await expect(run(['relay', 'start'], { usesDatabase: true, usesPublisher: true })).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      details: {
        problems: [
          'database.url is required: set it in txbox.config.json, or by the variable TXBOX_DATABASE__URL',
          'publisher.kind is required: set it in txbox.config.json, or by the variable TXBOX_PUBLISHER__KIND',
        ],
      },
    });
  });

  it('a flag of a command that sets an option has its rule, and wins', async () => {
    const options = { 'grace-ms': { type: 'string', setting: 'sidecar.graceMs', description: 'Grace.' } } as const;
    const variables = { TXBOX_SIDECAR__GRACE_MS: '1', TXBOX_SIDECAR__START_TIMEOUT_MS: '2' };
    const { context } = await run(['relay', 'start', '--grace-ms', '3'], { options }, variables);
    expect(context?.config).toMatchObject({ sidecar: { graceMs: 3, startTimeoutMs: 2 } });
    await expect(run(['relay', 'start', '--grace-ms', 'long'], { options }, variables)).rejects.toMatchObject({
      code: 'OPTIONS_INVALID',
      message: expect.stringContaining('sidecar.graceMs must be a whole number of at least 0, got "long" (flag --grace-ms)'),
    });
  });

  it('names a configuration file that is not there', async () => {
    await expect(run(['relay', 'start', '--config', 'gone.json'])).rejects.toMatchObject({ code: 'CONFIG_NOT_FOUND' });
  });
});

describe('publisher of a configuration', () => {
  it('takes an instance as it is', () => {
    const publisher = { publish: async () => undefined };
    expect(makePublisher(publisher, installed.publishers)).toBe(publisher);
  });

  it.each([
    ['nothing', undefined],
    ['an unknown kind', { kind: 'carrier-pigeon' }],
    ['an inherited name as kind', { kind: 'constructor' }],
    ['no kind', {}],
  ])('refuses %s, naming the kinds there are', (_what, value) => {
    expect(() => makePublisher(value, installed.publishers)).toThrow(
      expect.objectContaining({ code: 'CONFIG_INVALID', message: expect.stringContaining('"kafkajs"') }),
    );
  });

  it('makes one from data', async () => {
    const publisher = makePublisher({ kind: 'embedded', path: join(folder, 'broker.db') }, installed.publishers);
    expect(publisher.name).toBe('embedded');
    await publisher.close();
  });

  it('names the package that a kind needs, where somebody publishes', () => {
    expect(() => makePublisher({ kind: 'kafkajs', brokers: ['b:1'] }, [])).toThrow('npm install @txbox/kafka');
  });
});
