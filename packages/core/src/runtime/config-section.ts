import type { Publisher } from '../transport/publisher.ts';
import type { OptionChecks } from './options.ts';

/** Checks whose options are known by name only. */
export type NamedOptionChecks = OptionChecks<Record<string, unknown>>;

/**
 * A section of the configuration. Packages export theirs as `sections` from their entry `commands`: the rules are declared
 * once, and file, environment, flags, `txbox config`, the JSON Schema and the documentation follow them.
 */
export interface ConfigSection {
  /** The key in a configuration file. */
  readonly name: string;
  readonly options: NamedOptionChecks;
  /** Whether `false` may stand in its place: what it configures is off. */
  readonly orFalse?: boolean;
}

/** A kind of publisher that can be described as data. Packages export theirs as `publishers` from their entry `commands`. */
export interface PublisherKind {
  /** `publisher.kind`: the name of the factory. */
  readonly kind: string;
  readonly options: NamedOptionChecks;
  create(options: Readonly<Record<string, unknown>>): Publisher;
}

/** Declares a section. */
export function configSection<T extends object>(name: string, options: OptionChecks<T>, orFalse = false): ConfigSection {
  return { name, options: options as unknown as NamedOptionChecks, orFalse };
}

/** Declares a kind of publisher. */
export function publisherKind<T extends object, Given extends object>(
  kind: string,
  create: (options: Given) => Publisher,
  options: OptionChecks<T>,
): PublisherKind {
  return { kind, options: options as unknown as NamedOptionChecks, create: (given) => create(given as Given) };
}
