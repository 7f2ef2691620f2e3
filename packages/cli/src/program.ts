import { type Logger, TxboxError } from '@txbox/core';
import type { Command, CommandOutput } from '@txbox/core/spi';
import { Command as Program } from 'commander';
import { loadConfigFile } from './config-file.ts';
import { checkConfigSections } from './config-sections.ts';
import type { Installed } from './installed.ts';
import { isLogLevel, stderrLogger } from './output.ts';
import { resolvePublisher } from './publisher-data.ts';

/** What a run of the program needs from outside. */
export interface ProgramEnvironment {
  readonly installed: Installed;
  readonly output: CommandOutput;
  readonly folder: string;
  readonly version: string;
  /** Aborted by the first signal: stop gracefully. */
  readonly signal: AbortSignal;
  /** Aborted by the second: stop at once. */
  readonly forced: AbortSignal;
}

/** Builds the command tree of `txbox`; `setExitCode` is told the code of the command that ran. */
export function buildProgram(environment: ProgramEnvironment, setExitCode: (code: number) => void): Program {
  const program = new Program('txbox')
    .description('Transactional outbox and inbox: migrate, relay, operate.')
    .version(environment.version)
    .showHelpAfterError('(add --help for the options)')
    .configureOutput({ writeErr: (text) => environment.output.progress(text.trimEnd()) });
  for (const command of environment.installed.commands) {
    addCommand(program, command, environment, setExitCode);
  }
  return program;
}

function addCommand(program: Program, command: Command, environment: ProgramEnvironment, setExitCode: (code: number) => void): void {
  let parent = program;
  for (const name of command.path.slice(0, -1)) {
    const found = parent.commands.find((child) => child.name() === name);
    parent = found ?? parent.command(name).description(`Commands of ${name}.`);
  }
  const leaf = parent.command(command.path.at(-1) ?? '').description(command.summary);
  leaf.option('-c, --config <file>', 'configuration file (default: txbox.config.{ts,mts,js,mjs,json} in this folder)');
  leaf.option('--log-level <level>', 'debug, info, warn or error', 'info');
  for (const [name, option] of Object.entries(command.options)) {
    leaf.option(option.type === 'boolean' ? `--${name}` : `--${name} <value>`, option.description, option.default);
  }
  leaf.action(async (_options: unknown, invoked: Program) => {
    setExitCode(await runCommand(command, invoked.opts(), environment));
  });
}

async function runCommand(command: Command, options: Record<string, unknown>, environment: ProgramEnvironment): Promise<number> {
  const level = options['logLevel'];
  if (!isLogLevel(level)) {
    throw new TxboxError('OPTIONS_INVALID', `--log-level must be debug, info, warn or error, got ${String(level)}.`);
  }
  const logger: Logger = stderrLogger(level);
  const config = await loadConfigFile(options['config'] as string | undefined, environment.folder);
  checkConfigSections(config);
  return command.run({
    config: config.value,
    options: byDeclaredName(command, options),
    components: environment.installed.components,
    output: environment.output,
    signal: environment.signal,
    forced: environment.forced,
    logger,
    publisher: () => resolvePublisher(config.value['publisher']),
  });
}

// commander hands out `--dry-run` as dryRun; commands read their options under the names they declared.
function byDeclaredName(command: Command, options: Record<string, unknown>): Record<string, string | boolean | undefined> {
  const camel = (name: string): string => name.replace(/-([a-z])/g, (_match, letter: string) => letter.toUpperCase());
  return Object.fromEntries(Object.keys(command.options).map((name) => [name, options[camel(name)] as string | boolean | undefined]));
}
