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

// Whose a name is, to say what to install.
const PACKAGE_OF_SECTION = new Map([
  ['relay', '@txbox/relay'],
  ['sidecar', '@txbox/relay'],
  ['inbox', '@txbox/inbox'],
]);
const PACKAGE_OF_KIND = new Map([
  ['kafkajs', '@txbox/kafka'],
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
export function defaultsOf(value: Readonly<Record<string, unknown>>, { sections, publishers }: ConfigOptions): Readonly<Record<string, unknown>> {
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
      return problem === undefined ? [] : [{ path: [name], says: `logLevel ${problem}, got ${textOf(given)}` }];
    }
    const missing = PACKAGE_OF_SECTION.get(name);
    if (missing === undefined) return [{ path: [name], says: unknownName('section', name, known) }];
    return [{ path: [name], says: `the section ${name} is read by ${missing}, which is not installed` }];
  });
}

function problemsOfSection({ name, options, orFalse }: ConfigSection, given: unknown): readonly ConfigProblem[] {
  if (given === false && orFalse === true) return [];
  if (isObject(given)) return problemsOfOptions([name], given, options);
  return [{ path: [name], says: `${name} must be an object of options${orFalse === true ? ' or false' : ''}` }];
}

function problemsOfPublisher(given: unknown, kinds: readonly PublisherKind[]): readonly ConfigProblem[] {
  if (isPublisher(given)) return [];
  const quoted = kinds.map(({ kind }) => JSON.stringify(kind)).join(' | ');
  if (!isObject(given)) return [{ path: ['publisher'], says: `publisher must be a Publisher or { kind: ${quoted}, … }` }];
  const { kind, ...options } = given;
  const found = kinds.find((each) => each.kind === kind);
  if (found) return problemsOfOptions(['publisher'], options, found.options);
  const missing = PACKAGE_OF_KIND.get(kind as string);
  if (missing !== undefined) {
    return [{ path: ['publisher', 'kind'], says: `publisher.kind ${textOf(kind)} needs the package ${missing}: npm install ${missing}` }];
  }
  return [{ path: ['publisher', 'kind'], says: `publisher.kind must be one of ${quoted}, got ${textOf(kind)}` }];
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

function textOf(value: unknown): string {
  return value === undefined ? 'nothing' : typeof value === 'string' ? JSON.stringify(value.slice(0, 40)) : typeof value;
}
