import { relative } from 'node:path';
import { TxboxError } from '@txbox/core';
import { type Command, nearestName, type OptionShape, propertiesOf, shapeAt, valueOfText } from '@txbox/core/spi';
import { FILE_VARIABLE, readEnvironment, variableOf } from './config-environment.ts';
import { findConfigFile, loadConfigFile } from './config-file.ts';
import { type ConfigOptions, type ConfigProblem, defaultsOf, problemsOfConfig, shapeOfConfig, unreadSections } from './config-options.ts';
import { ConfigSettings, describeOrigin, type Origin } from './config-settings.ts';

/** What a configuration is made of. */
export interface ConfigSources {
  readonly options: ConfigOptions;
  /** Where the program runs. */
  readonly folder: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** The file of `--config`. */
  readonly file?: string;
  readonly flags: readonly ConfigFlag[];
}

/** A word of the command line that sets an option. */
export interface ConfigFlag {
  /** `relay.leaseTtlMs` */
  readonly option: string;
  readonly text: string;
  /** `--set`, `--grace-ms` */
  readonly flag: string;
}

/** A configuration: flags before environment before file before defaults. */
export interface Configuration {
  /** Relative to the folder where that is shorter. */
  readonly file: string | undefined;
  readonly shape: OptionShape;
  readonly settings: ConfigSettings;
  readonly defaults: Readonly<Record<string, unknown>>;
  /** All that is wrong with it, with origins and without secrets. */
  readonly problems: readonly string[];
  /** Whether all problems come from the command line. */
  readonly wrongWords: boolean;
}

/**
 * Puts together what file, environment and flags say, and looks for everything that is wrong with it. Rejects with
 * `CONFIG_NOT_FOUND` when there is neither a file nor a setting, and with what reading the file rejects with.
 */
export async function resolveConfig({ options, folder, environment, file, flags }: ConfigSources): Promise<Configuration> {
  const shape = shapeOfConfig(options);
  const settings = new ConfigSettings();
  const problems: { readonly says: string; readonly origins: readonly Origin[] }[] = [];
  const put = (path: readonly string[], text: string, origin: Origin): void => {
    const says = settings.put(path, valueOfText(text, shapeAt(shape, path) ?? {}), origin);
    if (says !== undefined) problems.push({ says: `${says} (${describeOrigin(origin)})`, origins: [origin] });
  };

  const read = readEnvironment(environment, shape, unreadSections(options));
  const path = findConfigFile(file ?? environment[FILE_VARIABLE], folder, read.variables.length + flags.length > 0);
  const origin: Origin = { from: 'file', ...(path === undefined ? {} : { name: shortest(path, folder) }) };
  if (path !== undefined) {
    const { $schema: _ofEditors, ...value } = await loadConfigFile(path);
    for (const [name, given] of Object.entries(value)) if (given !== undefined) settings.put([name], given, origin);
  }
  problems.push(...read.problems.map((says) => ({ says, origins: [] })));
  for (const variable of read.variables) put(variable.path, variable.text, { from: 'environment', name: variable.name });
  for (const { option, text, flag } of flags) {
    const names = option.split('.');
    const says = shapeAt(shape, names) ? undefined : `unknown option ${option}${didYouMean(option, shape)}`;
    if (says !== undefined) problems.push({ says: `${says} (flag ${flag})`, origins: [{ from: 'flag', name: flag }] });
    else put(names, text, { from: 'flag', name: flag });
  }
  const defaults = defaultsOf(settings.value, options);
  for (const problem of problemsOfConfig(settings.value, options)) {
    const origins = originsOf(problem, settings);
    problems.push({ says: `${problem.says}${inWords(problem, settings)}`, origins });
  }
  return {
    file: origin.name,
    shape,
    settings,
    defaults,
    problems: problems.map(({ says }) => says),
    wrongWords: problems.every(({ origins }) => origins.length > 0 && origins.every(({ from }) => from === 'flag')),
  };
}

/** Throws `CONFIG_INVALID` with all problems, `OPTIONS_INVALID` when it is only the command line that is wrong. */
export function refuseProblems({ file, problems, wrongWords }: Configuration, more: readonly string[] = []): void {
  const all = [...problems, ...more];
  if (all.length === 0) return;
  const code = wrongWords && more.length === 0 ? 'OPTIONS_INVALID' : 'CONFIG_INVALID';
  throw new TxboxError(code, `Configuration: ${all.join('; ')}.`, { details: { file, problems: all } });
}

/** What a command needs and nobody has configured. */
export function missingOf(
  { settings, file }: Configuration,
  { usesDatabase, usesPublisher }: Pick<Command, 'usesDatabase' | 'usesPublisher'>,
): readonly string[] {
  const missing = (path: readonly string[]): string =>
    `${path.join('.')} is required: set it in ${file ?? 'a file txbox.config.json'}, or by the variable ${variableOf(path)}`;
  return [
    ...(usesDatabase === true && settings.value['database'] === undefined ? [missing(['database', 'url'])] : []),
    ...(usesPublisher === true && settings.value['publisher'] === undefined ? [missing(['publisher', 'kind'])] : []),
  ];
}

function originsOf({ path, between }: ConfigProblem, settings: ConfigSettings): readonly Origin[] {
  return between ? between.flatMap((name) => settings.originsOf([...path, name])) : settings.originsOf(path);
}

/** What is not there has the origin of what it is missing in; what is a default says so only beside what is not. */
function inWords({ path, between }: ConfigProblem, settings: ConfigSettings): string {
  const origins = (names: readonly string[]): string => settings.originsOf(names).map(describeOrigin).join(', ');
  if (!between) {
    const found = origins(path) || origins(path.slice(0, -1));
    return found === '' ? '' : ` (${found})`;
  }
  const each = between.map((name) => `${name}: ${origins([...path, name]) || 'default'}`);
  return each.length === 0 ? '' : ` (${each.join(', ')})`;
}

function didYouMean(option: string, shape: OptionShape): string {
  const near = nearestName(option, pathsOf(shape, ''));
  return near === undefined ? '' : `, did you mean ${near}?`;
}

function pathsOf(shape: OptionShape, prefix: string): readonly string[] {
  return Object.entries(propertiesOf(shape)).flatMap(([name, property]) => [prefix + name, ...pathsOf(property, `${prefix}${name}.`)]);
}

function shortest(path: string, folder: string): string {
  const from = relative(folder, path);
  return from === '' || from.startsWith('..') ? path : from;
}
