import type { MigrationComponent } from '../sql/migration.ts';
import type { Publisher } from '../transport/publisher.ts';
import type { Logger } from './logger.ts';

/** An option of a command as `--name` on the command line. */
export interface CommandOption {
  readonly type: 'string' | 'boolean';
  /** The option of the configuration that this flag sets, `sidecar.graceMs` for example: its rule and default are the flag's. */
  readonly setting?: string;
  /** One line for `--help`, with unit and default. */
  readonly description: string;
  readonly default?: string | boolean;
}

/** Where a command says something. */
export interface CommandOutput {
  /** A line for people, on stdout. */
  line(text: string): void;
  /** One value on a line of its own as JSON, on stdout: for `--json`. */
  json(value: unknown): void;
  /** What is going on, on stderr: plain text on a terminal, elsewhere a line of the log. */
  progress(text: string): void;
}

/** What a command works with. */
export interface CommandContext {
  /** Flags, environment and file in one, checked, without defaults: each command resolves the sections that it uses. */
  readonly config: unknown;
  /** By the name given in `options` of the command. */
  readonly options: Readonly<Record<string, string | boolean | undefined>>;
  /** Migrations of every installed package. */
  readonly components: readonly MigrationComponent[];
  readonly output: CommandOutput;
  /** Aborted by the first SIGINT or SIGTERM: stop cleanly. */
  readonly signal: AbortSignal;
  /** Aborted by the second one: exit at once. */
  readonly forced: AbortSignal;
  readonly logger: Logger;
  /** The configured publisher, made from data where the configuration holds data. Throws `CONFIG_INVALID` without one. */
  publisher(): Promise<Publisher>;
}

/**
 * A command of `txbox`. Packages export theirs as `commands` from their entry `commands`, and as `groups` one line for
 * `--help` on each word that stands before others.
 */
export interface Command {
  /** The words after `txbox`, for example `['relay', 'start']`. */
  readonly path: readonly string[];
  /** One line for `--help`. */
  readonly summary: string;
  readonly options: Readonly<Record<string, CommandOption>>;
  /** The command works with the service's database: that none is configured is reported together with the rest. */
  readonly usesDatabase?: boolean;
  /** The command publishes: the same for a publisher. */
  readonly usesPublisher?: boolean;
  /** Resolves to the exit code: 0 when all is well. */
  run(context: CommandContext): Promise<number>;
}
