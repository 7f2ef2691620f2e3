import { type Command, type CommandContext, type OptionShape, shapeAt, withoutSecrets } from '@txbox/core/spi';
import { variableOf } from './config-environment.ts';
import { isObject } from './config-options.ts';
import { describeOrigin, isOpen } from './config-settings.ts';
import { type Configuration, missingOf } from './resolve-config.ts';

/** What `txbox config` works with beside the rest. */
export interface ConfigContext extends CommandContext {
  readonly configuration: Configuration;
}

/** One option as `txbox config` shows it. */
interface ShownOption {
  readonly option: string;
  /** Without secrets. */
  readonly value: unknown;
  readonly origin: string;
  /** The variable that sets it, `null` where none can. */
  readonly variable: string | null;
}

const HIDDEN = '***';

/** `txbox config`: what every other command would work with here. */
export const configCommand: Command = {
  path: ['config'],
  summary: 'Shows the configuration as every command here reads it, without secrets, and where each value comes from.',
  options: { json: { type: 'boolean', description: 'print one JSON object' } },
  async run({ configuration, options, output }: ConfigContext) {
    const { file = null, problems } = configuration;
    const shown = shownOptions(configuration);
    const usesPublisher = shapeAt(configuration.shape, ['publisher']) !== undefined;
    const missing = missingOf(configuration, { usesDatabase: true, usesPublisher });
    if (options['json'] === true) output.json({ file, options: shown, problems, missing });
    else for (const line of describe(shown, problems, missing)) output.line(line);
    return problems.length === 0 ? 0 : 1;
  },
};

function shownOptions({ settings, defaults, shape }: Configuration): readonly ShownOption[] {
  const given = settings.entries();
  const isTouched = (path: readonly string[]): boolean =>
    given.some((entry) => startsWith(entry.path, path) || startsWith(path, entry.path));
  const assumed = leavesOf(defaults, []).filter(({ path }) => shapeAt(shape, path) !== undefined && !isTouched(path));
  return [
    ...given.map(({ path, value, origin }) => ({ path, value, origin: describeOrigin(origin) })),
    ...assumed.map(({ path, value }) => ({ path, value, origin: 'default' })),
  ]
    .map(({ path, value, origin }) => {
      const found = shapeAt(shape, path);
      return { option: path.join('.'), value: shownValue(value, found), origin, variable: found ? variableOf(path) : null };
    })
    .sort((one, other) => (one.option < other.option ? -1 : 1));
}

/** What has no shape may be anything, a secret too: an option of `tls.connect`, a misspelt password. */
function shownValue(value: unknown, shape: OptionShape | undefined): unknown {
  if (typeof value === 'function' || (isObject(value) && !isOpen(value))) return 'made in code';
  if (!shape || shape.writeOnly === true) return HIDDEN;
  if (Array.isArray(value)) return value.map((item) => shownValue(item, shape.items ?? shape.anyOf?.find(({ items }) => items)?.items));
  // A broken JSON text where an object belongs may hold secrets.
  if (typeof value === 'string' && (shape.type === 'object' || shape.anyOf?.some(({ type }) => type === 'object'))) return HIDDEN;
  return typeof value === 'string' ? withoutSecrets(value) : value;
}

function leavesOf(value: unknown, path: readonly string[]): readonly { readonly path: readonly string[]; readonly value: unknown }[] {
  if (value === undefined) return [];
  if (!isOpen(value) || Object.keys(value).length === 0) return [{ path, value }];
  return Object.entries(value).flatMap(([name, option]) => leavesOf(option, [...path, name]));
}

function startsWith(path: readonly string[], beginning: readonly string[]): boolean {
  return beginning.every((name, index) => path[index] === name);
}

function describe(shown: readonly ShownOption[], problems: readonly string[], missing: readonly string[]): readonly string[] {
  const rows = [['option', 'value', 'origin'], ...shown.map(({ option, value, origin }) => [option, inOneLine(value), origin])];
  const widths = [0, 1].map((column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return [
    ...rows.map((row) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')),
    ...listed('Missed by the commands that need it:', missing),
    ...listed('Refused by every other command:', problems),
  ];
}

function listed(title: string, lines: readonly string[]): readonly string[] {
  return lines.length === 0 ? [] : ['', title, ...lines.map((line) => `  ${line}`)];
}

function inOneLine(value: unknown): string {
  return typeof value === 'string' && !value.includes('\n') ? value : (JSON.stringify(value) ?? String(value));
}
