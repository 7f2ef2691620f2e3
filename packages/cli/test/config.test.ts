import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type OptionShape, propertiesOf } from '@txbox/core/spi';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { variableOf } from '../src/config-environment.ts';
import { shapeOfConfig } from '../src/config-options.ts';
import { findInstalled, type Installed } from '../src/installed.ts';
import { runProgram } from '../src/program.ts';

let installed: Installed;
beforeAll(async () => {
  installed = await findInstalled();
});

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'txbox-config-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const put = (config: object, name = 'txbox.config.json'): void => writeFileSync(join(folder, name), JSON.stringify(config));

interface Shown {
  readonly file: string | null;
  readonly options: readonly {
    readonly option: string;
    readonly value: unknown;
    readonly origin: string;
    readonly variable: string | null;
  }[];
  readonly problems: readonly string[];
  readonly missing: readonly string[];
}

/** `txbox config`, with everything that it says. */
async function config(variables: Record<string, string> = {}, ...words: string[]): Promise<{ code: number; said: string; shown: Shown }> {
  const said: string[] = [];
  const objects: unknown[] = [];
  const code = await runProgram(
    {
      installed,
      output: () => ({ line: (text) => void said.push(text), json: (value) => void objects.push(value), progress: () => undefined }),
      folder,
      variables,
      version: '1.2.3',
      signal: new AbortController().signal,
      forced: new AbortController().signal,
    },
    ['config', ...words],
  );
  return { code, said: [...said, JSON.stringify(objects)].join('\n'), shown: objects[0] as Shown };
}

async function shownOption(option: string, variables: Record<string, string> = {}, ...words: string[]): Promise<unknown> {
  const { shown } = await config(variables, '--json', ...words);
  const { value, origin } = shown.options.find((each) => each.option === option) ?? {};
  return [value, origin];
}

describe('the order of flag, environment, file and default', () => {
  const VARIABLE = { TXBOX_RELAY__LEASE_TTL_MS: '3000' };
  const FLAG = ['--set', 'relay.leaseTtlMs=4000'];

  it('is kept for each option by itself, and each value has its origin', async () => {
    put({ relay: { pollMinMs: 10 } });
    expect(await shownOption('relay.leaseTtlMs')).toEqual([10_000, 'default']);
    put({ relay: { leaseTtlMs: 2_000, pollMinMs: 10 } });
    expect(await shownOption('relay.leaseTtlMs')).toEqual([2_000, 'file txbox.config.json']);
    expect(await shownOption('relay.leaseTtlMs', VARIABLE)).toEqual([3_000, 'environment TXBOX_RELAY__LEASE_TTL_MS']);
    expect(await shownOption('relay.leaseTtlMs', VARIABLE, ...FLAG)).toEqual([4_000, 'flag --set']);
    expect(await shownOption('relay.pollMinMs', VARIABLE, ...FLAG)).toEqual([10, 'file txbox.config.json']);
  });

  it('holds inside of options too', async () => {
    put({ relay: { retry: { baseMs: 20 }, archive: { retentionMs: 5 } } });
    const variables = { TXBOX_RELAY__RETRY__CAP_MS: '40', TXBOX_RELAY__ARCHIVE: 'false' };
    expect(await shownOption('relay.retry.baseMs', variables)).toEqual([20, 'file txbox.config.json']);
    expect(await shownOption('relay.retry.capMs', variables)).toEqual([40, 'environment TXBOX_RELAY__RETRY__CAP_MS']);
    expect(await shownOption('relay.archive', variables)).toEqual([false, 'environment TXBOX_RELAY__ARCHIVE']);
    expect(await shownOption('relay.retry.capMs')).toEqual([10_000, 'default']);
  });
});

describe('environment', () => {
  const WHOLE = { TXBOX_DATABASE__URL: 'sqlite:a.db', TXBOX_PUBLISHER__KIND: 'kafkajs', TXBOX_PUBLISHER__BROKERS: 'one:1, two:2' };

  it('is enough by itself', async () => {
    const { code, shown } = await config(WHOLE, '--json');
    expect({ code, problems: shown.problems, file: shown.file }).toEqual({ code: 0, problems: [], file: null });
    expect(await shownOption('publisher.brokers', WHOLE)).toEqual([['one:1', 'two:2'], 'environment TXBOX_PUBLISHER__BROKERS']);
    expect(await shownOption('publisher.requestTimeoutMs', WHOLE)).toEqual([30_000, 'default']);
  });

  it('without it and without a file there is no configuration', async () => {
    await expect(config()).rejects.toMatchObject({ code: 'CONFIG_NOT_FOUND' });
  });

  it('reads a secret from the file that a variable with _FILE names, less its last line end', async () => {
    const url = join(folder, 'url');
    writeFileSync(url, 'sqlite:from-file.db\n');
    const variable = { TXBOX_DATABASE__URL_FILE: url };
    expect(await shownOption('database.url', variable)).toEqual(['sqlite:from-file.db', `environment TXBOX_DATABASE__URL_FILE (${url})`]);
    const { code, shown } = await config(
      { ...variable, TXBOX_DATABASE__URL: 'sqlite:b.db', TXBOX_RELAY__WAKE_FILE: join(folder, 'gone') },
      '--json',
    );
    expect(code).toBe(1);
    expect(shown.problems).toEqual([
      'TXBOX_DATABASE__URL and TXBOX_DATABASE__URL_FILE exclude each other (environment)',
      expect.stringMatching(/^the file of relay\.wake cannot be read: ENOENT \(environment TXBOX_RELAY__WAKE_FILE\)$/),
    ]);
  });

  it('names the file that is read', async () => {
    put({ relay: { pageRows: 7 } }, 'other.json');
    expect(await shownOption('relay.pageRows', { TXBOX_CONFIG: 'other.json' })).toEqual([7, 'file other.json']);
  });

  it('may hold what Kubernetes tells of services, and nothing else unknown', async () => {
    const links = { TXBOX_RELAY_SERVICE_HOST: '10.0.0.1', TXBOX_RELAY_PORT: 'tcp://10.0.0.1:80', TXBOX_RELAY_PORT_80_TCP_ADDR: '10.0.0.1' };
    expect((await config({ ...WHOLE, ...links }, '--json')).shown.problems).toEqual([]);
    const { shown } = await config({ ...WHOLE, TXBOX_RELAY_LEASE_TTL_MS: '1' }, '--json');
    expect(shown.problems).toEqual(['unknown variable TXBOX_RELAY_LEASE_TTL_MS, did you mean TXBOX_RELAY__LEASE_TTL_MS? (environment)']);
  });

  it('has a name of its own for each option', () => {
    const paths = (shape: OptionShape, above: readonly string[]): string[][] =>
      Object.entries(propertiesOf(shape)).flatMap(([name, option]) => [[...above, name], ...paths(option, [...above, name])]);
    const names = paths(shapeOfConfig(installed), []).map(variableOf);
    expect(names).toEqual(
      expect.arrayContaining(['TXBOX_RELAY__LEASE_TTL_MS', 'TXBOX_PUBLISHER__SASL__PASSWORD', 'TXBOX_INBOX__DATABASE__URL']),
    );
    expect(new Set(names).size).toBe(names.length);
  });
});

describe('secrets', () => {
  const SECRET = 'hunter2';
  const KAFKA = { kind: 'kafkajs', brokers: ['b:1'] };

  it.each([
    ['in a URL', { database: { url: `mysql://u:${SECRET}@h/d` } }],
    ['in a URL, with an @ that is not escaped', { database: { url: `mysql://u:a@b@${SECRET}@h/d` } }],
    ['in a URL, with an @ in the name', { database: { url: `mysql://u@azure:${SECRET}@h/d` } }],
    ['as a parameter of a URL', { database: { url: `mysql://u@h/d?password=${SECRET}` } }],
    ['in a URL that is none', { database: { url: `postgres://u:${SECRET}@h/d` } }],
    ['in sasl', { publisher: { ...KAFKA, sasl: { mechanism: 'plain', username: SECRET, password: SECRET } } }],
    ['in sasl, misspelt', { publisher: { ...KAFKA, sasl: { mechanism: 'plain', username: 'u', pasword: SECRET } } }],
    ['in sasl that is none', { publisher: { ...KAFKA, sasl: SECRET } }],
    ['in the options of tls.connect', { publisher: { ...KAFKA, ssl: { key: SECRET, pfx: SECRET } } }],
    ['in an option that does not exist', { database: { url: 'sqlite:a.db', password: SECRET } }],
    ['in a section that does not exist', { kafka: { password: SECRET } }],
    ['in place of a section', { database: `mysql://u:${SECRET}@h/d`, publisher: SECRET }],
  ])('are shown nowhere: %s', async (_where, value) => {
    put(value);
    const { said } = await config();
    expect(said).toContain('txbox.config.json');
    expect(said + (await config({}, '--json')).said).not.toContain(SECRET);
  });

  it.each([
    ['TXBOX_PUBLISHER__SASL', `{ "mechanism": "plain", "password": "${SECRET}" `],
    ['TXBOX_PUBLISHER__SASL__PASSWORD', SECRET],
    ['TXBOX_PUBLISHER__SASL__PASSWORD_FILE', SECRET],
    ['TXBOX_INBOX__DATABASE', `{ "password": "${SECRET}"`],
    ['TXBOX_DATABASE', `{ "url": "mysql://u:${SECRET}@h/d"`],
  ])('are shown nowhere: in %s', async (variable, text) => {
    put({ publisher: KAFKA });
    const { said } = await config({ [variable]: text });
    expect(said).toContain(variable);
    expect(said).not.toContain(SECRET);
  });

  it('what is made in code shows nothing of itself', async () => {
    const code = `class Own { password = '${SECRET}'; publish() {} }; export default { publisher: new Own(), relay: { pageRows: 5 } };`;
    writeFileSync(join(folder, 'txbox.config.mjs'), code);
    const { said } = await config();
    expect(said).toMatch(/publisher +made in code +file txbox\.config\.mjs/);
    expect(said).not.toContain(SECRET);
  });
});

describe('txbox config', () => {
  it('prints a table, and what every other command would refuse, with exit code 1', async () => {
    put({ $schema: './node_modules/@txbox/cli/config.schema.json', relay: { leaseTtlMs: 1 }, http: false });
    const { code, said } = await config({ TXBOX_LOG_LEVEL: 'warn' });
    expect(code).toBe(1);
    expect(said).toMatch(/^option +value +origin/);
    expect(said).toMatch(/^http +false +file txbox\.config\.json$/m);
    expect(said).toMatch(/^logLevel +warn +environment TXBOX_LOG_LEVEL$/m);
    expect(said).toMatch(/^ {2}relay\.leaseTtlMs must be a whole number of at least 300, got 1 \(file txbox\.config\.json\)$/m);
    expect(said).not.toMatch(/http\.port|\$schema/);
  });

  it('says what is missing, which is no error of a command that does not need it', async () => {
    put({ database: { url: 'sqlite:a.db' } });
    const { code, said } = await config({});
    expect(code).toBe(0);
    expect(said).toMatch(/^Missed by the commands that need it:\n {2}publisher\.kind is required: .*TXBOX_PUBLISHER__KIND$/m);
    const { shown } = await config({ TXBOX_PUBLISHER__KIND: 'kafkajs', TXBOX_PUBLISHER__BROKERS: 'a:1' }, '--json');
    expect(shown.missing).toEqual([]);
  });

  it('an option of what is made in code cannot be changed', async () => {
    writeFileSync(join(folder, 'txbox.config.mjs'), 'export default { publisher: { publish() {} } };');
    const { shown } = await config({ TXBOX_PUBLISHER__BROKERS: 'b:1' }, '--json');
    expect(shown.problems).toEqual([
      'publisher is made in code there, and its options with it: describe it as data (environment TXBOX_PUBLISHER__BROKERS)',
    ]);
  });

  it('leaves sections of packages that are not installed alone', async () => {
    const complete = installed;
    installed = { ...installed, sections: installed.sections.filter(({ name }) => name === 'database') };
    try {
      put({ relay: { anything: 1 } });
      const { shown } = await config({ TXBOX_RELAY__LEASE_TTL_MS: '3000' }, '--json');
      expect(shown.problems).toEqual([]);
    } finally {
      installed = complete;
    }
  });
});
