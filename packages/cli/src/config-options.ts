import { TxboxError } from '@txbox/core';
import {
  type ConfigSection,
  examineOptions,
  type NamedOptionChecks,
  type OptionProblem,
  type OptionShape,
  oneOf,
  type Publisher,
  type PublisherKind,
  shapeOfOptions,
  unknownName,
} from '@txbox/core/spi';
import { LOG_LEVELS } from './output.ts';

/** What may stand in a configuration: what the installed packages declare, beside the program's own. */
export interface ConfigOptions {
  readonly sections: readonly ConfigSection[];
  readonly publishers: readonly PublisherKind[];
}

/** Something wrong with a configuration. */
export interface ConfigProblem {
  /** Names that lead to the option, or to the section when several options are concerned. */
  readonly path: readonly string[];
  /** The whole sentence, without the origin. */
  readonly says: string;
  /** A rule between options: those that it speaks of. */
  readonly between?: readonly string[];
}

const logLevel = oneOf(...LOG_LEVELS);

/** Sections of packages that may be missing. Nobody reads them then, so they are left alone: one file serves several processes. */
const SECTIONS_OF_OTHERS = ['relay', 'sidecar', 'http', 'inbox'];
// Whose a kind is, to say what to install.
const PACKAGE_OF_KIND = new Map([
  ['kafkajs', '@txbox/kafka'],
  ['platformatic', '@txbox/kafka'],
  ['embedded', '@txbox/embedded'],
]);

/** The shape of a whole configuration. */
export function shapeOfConfig({ sections, publishers }: ConfigOptions): OptionShape {
  return {
    type: 'object',
    properties: {
      ...Object.fromEntries(sections.map((section) => [section.name, shapeOfSection(section)])),
      publisher: { anyOf: publishers.map(shapeOfPublisher) },
      logLevel: logLevel.shape ?? {},
    },
    additionalProperties: false,
  };
}

function shapeOfSection({ options, orFalse }: ConfigSection): OptionShape {
  const shape = shapeOfOptions(options);
  return orFalse === true ? { anyOf: [{ enum: [false] }, shape] } : shape;
}

function shapeOfPublisher({ kind, options }: PublisherKind): OptionShape {
  const { properties, required, ...shape } = shapeOfOptions(options);
  return { ...shape, properties: { kind: { enum: [kind] }, ...properties }, required: ['kind', ...(required ?? [])] };
}

/** Values of options that are not given, by section. */
export function defaultsOf(
  value: Readonly<Record<string, unknown>>,
  { sections, publishers }: ConfigOptions,
): Readonly<Record<string, unknown>> {
  const { kind } = (value['publisher'] ?? {}) as { kind?: unknown };
  const publisher = publishers.find((each) => each.kind === kind);
  return {
    ...Object.fromEntries(sections.map(({ name, options }) => [name, options.defaults])),
    publisher: publisher?.options.defaults,
    logLevel: 'info',
  };
}

/** Everything that is wrong with a configuration. */
export function problemsOfConfig(value: Readonly<Record<string, unknown>>, options: ConfigOptions): readonly ConfigProblem[] {
  const { sections, publishers } = options;
  const known = [...sections.map(({ name }) => name), 'publisher', 'logLevel'];
  return Object.entries(value).flatMap(([name, given]) => {
    if (given === undefined) return [];
    const section = sections.find((each) => each.name === name);
    if (section) return problemsOfSection(section, given);
    if (name === 'publisher') return problemsOfPublisher(given, publishers);
    if (name === 'logLevel') {
      const problem = logLevel(given);
      return problem === undefined ? [] : [{ path: [name], says: `logLevel ${problem}, got ${quoted(given)}` }];
    }
    if (SECTIONS_OF_OTHERS.includes(name)) return [];
    return [{ path: [name], says: unknownName('section', name, known) }];
  });
}

/** The names of sections that nobody here reads. */
export function unreadSections({ sections }: ConfigOptions): readonly string[] {
  return SECTIONS_OF_OTHERS.filter((name) => !sections.some((section) => section.name === name));
}

/** The configured publisher: an instance as it is, data through the adapter it names. Throws `CONFIG_INVALID` and `DEPENDENCY_MISSING`. */
export function makePublisher(given: unknown, kinds: readonly PublisherKind[]): Publisher {
  if (isPublisher(given)) return given;
  const [problem] = problemsOfPublisher(given, kinds);
  if (problem || !isObject(given)) throw new TxboxError('CONFIG_INVALID', `Configuration: ${problem?.says ?? 'there is no publisher'}.`);
  const { kind, ...options } = given;
  const found = kinds.find((each) => each.kind === kind);
  if (found) return found.create(options);
  const missing = PACKAGE_OF_KIND.get(kind as string);
  throw new TxboxError(
    'DEPENDENCY_MISSING',
    `publisher.kind ${quoted(kind)} needs the package ${missing}. Install it: npm install ${missing}`,
  );
}

function problemsOfSection({ name, options, orFalse }: ConfigSection, given: unknown): readonly ConfigProblem[] {
  if (given === false && orFalse === true) return [];
  if (isObject(given)) return problemsOfOptions([name], given, options);
  return [{ path: [name], says: `${name} must be an object of options${orFalse === true ? ' or false' : ''}, got ${textOf(given)}` }];
}

function problemsOfPublisher(given: unknown, kinds: readonly PublisherKind[]): readonly ConfigProblem[] {
  if (isPublisher(given)) return [];
  const known = kinds.map(({ kind }) => JSON.stringify(kind)).join(' | ');
  if (!isObject(given))
    return [{ path: ['publisher'], says: `publisher must be a Publisher or { kind: ${known}, … }, got ${textOf(given)}` }];
  const { kind, ...options } = given;
  const found = kinds.find((each) => each.kind === kind);
  if (found) return problemsOfOptions(['publisher'], options, found.options);
  // Refused where somebody publishes.
  if (typeof kind === 'string' && PACKAGE_OF_KIND.has(kind)) return [];
  return [{ path: ['publisher', 'kind'], says: `publisher.kind must be one of ${known}, got ${quoted(kind)}` }];
}

function problemsOfOptions(path: readonly string[], given: object, options: NamedOptionChecks): readonly ConfigProblem[] {
  const names = Object.keys(options.rules);
  return examineOptions(given, options).problems.map(({ option, unknown, says }: OptionProblem) => {
    if (option !== undefined) return { path: [...path, option], says: `${[...path, option].join('.')} ${says}` };
    const prefixed = `${path.join('.')}: ${says}`;
    if (unknown !== undefined) return { path: [...path, unknown], says: prefixed };
    return { path, says: prefixed, between: names.filter((name) => new RegExp(`\\b${name}\\b`).test(says)) };
  });
}

/** An instance, where data could stand too. */
export function isPublisher(value: unknown): value is Publisher {
  return isObject(value) && typeof value['publish'] === 'function';
}

/** An object with names, no list. */
export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Texts where an object belongs may hold secrets. */
function textOf(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (typeof value === 'string') return 'a text';
  return typeof value === 'object' ? 'an object' : String(value);
}

function quoted(value: unknown): string {
  return typeof value === 'string' ? JSON.stringify(value.slice(0, 40)) : textOf(value);
}
