import { type Logger, silentLogger, TxboxError } from '@txbox/core';
import type { Command, CommandOutput } from '@txbox/core/spi';
import { CommanderError, Command as Program } from 'commander';
import { type ConfigContext, configCommand } from './config-command.ts';
import { makePublisher } from './config-options.ts';
import type { Installed } from './installed.ts';
import { type LogLevel, stderrLogger } from './output.ts';
import { type ConfigFlag, missingOf, refuseProblems, resolveConfig } from './resolve-config.ts';

/** What a run of the program needs from outside. */
export interface ProgramEnvironment {
  readonly installed: Installed;
  /** Where a command says something, given the logger that its options ask for. */
  readonly output: (logger: Logger) => CommandOutput;
  readonly folder: string;
  /** The variables of the process. */
  readonly variables: Readonly<Record<string, string | undefined>>;
  readonly version: string;
  /** Aborted by the first signal: stop gracefully. */
  readonly signal: AbortSignal;
  /** Aborted by the second: stop at once. */
  readonly forced: AbortSignal;
}

/** Runs `txbox` with the words after its name; resolves to the exit code. Rejects with `COMMAND_UNKNOWN`, `OPTIONS_INVALID` and what a command rejects with. */
export async function runProgram(environment: ProgramEnvironment, words: readonly string[]): Promise<number> {
  let code = 0;
  const program = buildProgram(environment, (given) => {
    code = given;
  });
  try {
    await program.parseAsync(words, { from: 'user' });
  } catch (error) {
    // Help and version are printed by then.
    if (error instanceof CommanderError) return error.exitCode;
    throw error;
  }
  return code;
}

function buildProgram(environment: ProgramEnvironment, setExitCode: (code: number) => void): Program {
  const print = (text: string): void => environment.output(silentLogger).line(text.trimEnd());
  const program = new Program('txbox')
    .description('Transactional outbox and inbox for MySQL, MariaDB and Kafka.')
    .version(environment.version)
    // Help is a result, also when it is shown for want of a command; errors are thrown.
    .configureOutput({ writeOut: print, writeErr: print, outputError: () => undefined });
  refuseInOurWords(program);
  for (const command of [...environment.installed.commands, configCommand]) {
    addCommand(program, command, environment, setExitCode);
  }
  return program;
}

/** Which package brings the commands under a word, for those who have not installed it. */
export const BRINGERS: Readonly<Record<string, string>> = {
  relay: '@txbox/relay',
  'dead-letters': '@txbox/relay',
  replay: '@txbox/relay',
  partitions: '@txbox/relay',
};

/** Turns what commander finds wrong with the words of a command into an error with a code. */
function refuseInOurWords(program: Program): Program {
  return program.exitOverride((error) => {
    if (error.exitCode === 0 || error.code === 'commander.help') throw error;
    const [said = '', hint = ''] = error.message
      .replace(/^error: /, '')
      .replace(/\.$/, '')
      .split('\n');
    const text = `${nameOf(program)}: ${said}.${hint === '' ? '' : ` ${hint.slice(1, -1)}`}`;
    if (error.code !== 'commander.unknownCommand') throw new TxboxError('OPTIONS_INVALID', `${text} --help lists the options.`);
    const known = program.commands.map((command) => command.name()).join(', ');
    const [, word = ''] = /unknown command '([^']*)'/.exec(said) ?? [];
    const bringer = program.parent ? undefined : BRINGERS[word];
    const whence = bringer === undefined ? 'Installed packages bring them.' : `${word} comes with ${bringer}: npm install ${bringer}`;
    throw new TxboxError('COMMAND_UNKNOWN', `${text} There are: ${known}. ${whence}`);
  });
}

function nameOf(program: Program): string {
  return program.parent ? `${nameOf(program.parent)} ${program.name()}` : program.name();
}

function addCommand(program: Program, command: Command, environment: ProgramEnvironment, setExitCode: (code: number) => void): void {
  const { groups } = environment.installed;
  let parent = program;
  for (const name of command.path.slice(0, -1)) {
    const found = parent.commands.find((child) => child.name() === name);
    parent = found ?? refuseInOurWords(parent.command(name)).description(groups[name] ?? '');
  }
  const leaf = refuseInOurWords(parent.command(command.path.at(-1) ?? '')).description(command.summary);
  leaf.option('-c, --config <file>', 'configuration file (default: txbox.config.{ts,mts,js,mjs,json} in this folder)');
  leaf.option('--log-level <level>', 'debug, info, warn or error (info)');
  leaf.option('--set <option=value>', 'sets any option of the configuration; may be repeated', (word: string, before: string[] = []) => [
    ...before,
    word,
  ]);
  for (const [name, option] of Object.entries(command.options)) {
    leaf.option(option.type === 'boolean' ? `--${name}` : `--${name} <value>`, option.description, option.default);
  }
  leaf.action(async (_options: unknown, invoked: Program) => {
    setExitCode(await runCommand(command, invoked.opts(), environment));
  });
}

async function runCommand(command: Command, given: Record<string, unknown>, environment: ProgramEnvironment): Promise<number> {
  const { installed, folder, variables, output, signal, forced } = environment;
  const options = byDeclaredName(command, given);
  const file = given['config'] as string | undefined;
  const flags = flagsOf(command, given, options);
  const configuration = await resolveConfig({
    options: installed,
    folder,
    environment: variables,
    flags,
    ...(file === undefined ? {} : { file }),
  });
  if (command !== configCommand) refuseProblems(configuration, missingOf(configuration, command));
  const config = configuration.settings.value;
  const logger = stderrLogger(configuration.problems.length > 0 ? 'info' : ((config['logLevel'] ?? 'info') as LogLevel));
  const context: ConfigContext = {
    config,
    configuration,
    options,
    components: installed.components,
    output: output(logger),
    signal,
    forced,
    logger,
    publisher: async () => makePublisher(config['publisher'], installed.publishers),
  };
  return await command.run(context);
}

/** The words that set options of the configuration, the one for all before those that a command names. */
function flagsOf(
  command: Command,
  given: Record<string, unknown>,
  options: Record<string, string | boolean | undefined>,
): readonly ConfigFlag[] {
  const set = ((given['set'] ?? []) as string[]).map((word) => {
    const [, option, text] = /^([^=]+)=(.*)$/s.exec(word) ?? [];
    if (option !== undefined && text !== undefined) return { option, text, flag: '--set' };
    throw new TxboxError('OPTIONS_INVALID', '--set must be option=value, for example --set relay.leaseTtlMs=5000.');
  });
  const own = Object.entries(command.options).flatMap(([name, { setting }]) => {
    const text = options[name];
    return setting === undefined || text === undefined ? [] : [{ option: setting, text: String(text), flag: `--${name}` }];
  });
  const level = given['logLevel'];
  return [...set, ...own, ...(typeof level === 'string' ? [{ option: 'logLevel', text: level, flag: '--log-level' }] : [])];
}

// commander hands out `--dry-run` as dryRun; commands read their options under the names they declared.
function byDeclaredName(command: Command, options: Record<string, unknown>): Record<string, string | boolean | undefined> {
  const camel = (name: string): string => name.replace(/-([a-z])/g, (_match, letter: string) => letter.toUpperCase());
  return Object.fromEntries(Object.keys(command.options).map((name) => [name, options[camel(name)] as string | boolean | undefined]));
}
