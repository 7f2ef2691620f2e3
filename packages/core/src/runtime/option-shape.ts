/**
 * What an option's value looks like, as the part of JSON Schema that options need. A shape reads texts (environment, flags),
 * completes editors, and fills tables; whether a value is fine says the option's rule alone.
 */
export interface OptionShape {
  readonly type?: 'string' | 'integer' | 'boolean' | 'array' | 'object';
  /** Where no docstring can say it. */
  readonly description?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minLength?: number;
  readonly pattern?: string;
  readonly enum?: readonly (string | number | boolean)[];
  readonly items?: OptionShape;
  readonly minItems?: number;
  readonly properties?: Readonly<Record<string, OptionShape>>;
  readonly required?: readonly string[];
  /** Default of JSON Schema: anything may be there. */
  readonly additionalProperties?: boolean;
  /** Texts are taken as the first of them that fits. */
  readonly anyOf?: readonly OptionShape[];
  /** A secret: never shown. */
  readonly writeOnly?: boolean;
}

/** The options that an object of this shape has, those of all its alternatives. */
export function propertiesOf(shape: OptionShape): Readonly<Record<string, OptionShape>> {
  const found: Record<string, OptionShape> = { ...shape.properties };
  for (const alternative of shape.anyOf ?? []) {
    for (const [name, property] of Object.entries(propertiesOf(alternative))) found[name] = eitherOf(found[name], property);
  }
  return found;
}

function eitherOf(one: OptionShape | undefined, other: OptionShape): OptionShape {
  if (!one || JSON.stringify(one) === JSON.stringify(other)) return other;
  return { anyOf: [...(one.anyOf ?? [one]), other] };
}

/** The shape below a path of names, `undefined` where none is known. */
export function shapeAt(shape: OptionShape, path: readonly string[]): OptionShape | undefined {
  let found: OptionShape | undefined = shape;
  for (const name of path) {
    const properties: Readonly<Record<string, OptionShape>> = found ? propertiesOf(found) : {};
    found = Object.hasOwn(properties, name) ? properties[name] : undefined;
  }
  return found;
}

/** The value that a text stands for; the text itself when it fits no alternative, for the rule to refuse. */
export function valueOfText(text: string, shape: OptionShape): unknown {
  return parsed(text, shape) ?? text;
}

function parsed(text: string, shape: OptionShape): unknown {
  if (shape.anyOf) {
    for (const alternative of shape.anyOf) {
      const value = parsed(text, alternative);
      if (value !== undefined) return value;
    }
    return undefined;
  }
  if (shape.enum) return shape.enum.find((value) => String(value) === text);
  switch (shape.type) {
    case 'integer':
      return /^[+-]?\d+$/.test(text) ? Number(text) : undefined;
    case 'boolean':
      return text === 'true' ? true : text === 'false' ? false : undefined;
    case 'object':
      return jsonOf(text, '{');
    case 'array':
      if (text.trimStart().startsWith('[')) return jsonOf(text, '[');
      return text.split(',').map((item) => valueOfText(item.trim(), shape.items ?? {}));
    case 'string':
      return text;
    default:
      return undefined;
  }
}

function jsonOf(text: string, opening: string): unknown {
  if (!text.trimStart().startsWith(opening)) return undefined;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    // The rule refuses the text; the parser's own message would repeat parts of it.
    return undefined;
  }
}
