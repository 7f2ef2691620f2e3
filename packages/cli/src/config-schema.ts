import type { OptionShape } from '@txbox/core/spi';
import { type ConfigOptions, defaultsOf, shapeOfConfig } from './config-options.ts';
import { isOpen } from './config-settings.ts';

/** The JSON Schema of a configuration file, for editors: what these packages declare. */
export function schemaOfConfig(options: ConfigOptions): Readonly<Record<string, unknown>> {
  const { properties = {}, ...shape } = withoutRequired(shapeOfConfig(options));
  const defaults = defaultsOf({}, options);
  const sections = Object.entries(properties).map(([name, section]) => [name, withDefaults(section, defaults[name])] as const);
  const publishers = options.publishers.map(({ kind, options: { defaults: own } }) => [kind, own] as const);
  return {
    $schema: 'http://json-schema.org/draft-07/schema#',
    title: 'Configuration of txbox',
    ...shape,
    properties: {
      $schema: { type: 'string', description: 'This schema, for editors.' },
      ...Object.fromEntries(sections),
      publisher: {
        description: 'Where the relay publishes to.',
        anyOf: (properties['publisher']?.anyOf ?? []).map((alternative, index) => withDefaults(alternative, publishers[index]?.[1])),
      },
    },
  };
}

/** A file need not hold everything: the rest may be in the environment. */
function withoutRequired({ required: _required, properties, anyOf, ...shape }: OptionShape): OptionShape {
  return {
    ...shape,
    ...(properties && {
      properties: Object.fromEntries(Object.entries(properties).map(([name, option]) => [name, withoutRequired(option)])),
    }),
    ...(anyOf && { anyOf: anyOf.map(withoutRequired) }),
  };
}

function withDefaults(shape: OptionShape, defaults: unknown): object {
  if (shape.anyOf && isOpen(defaults))
    return { ...shape, anyOf: shape.anyOf.map((each) => (each.properties ? withDefaults(each, defaults) : each)) };
  if (!shape.properties || !isOpen(defaults)) return defaults === undefined || isOpen(defaults) ? shape : { ...shape, default: defaults };
  return {
    ...shape,
    properties: Object.fromEntries(Object.entries(shape.properties).map(([name, option]) => [name, withDefaults(option, defaults[name])])),
  };
}
