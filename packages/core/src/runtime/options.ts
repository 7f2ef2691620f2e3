import { TxboxError } from './error.ts';
import type { ErrorCode } from './error-codes.ts';
import { nearestName } from './nearest-name.ts';
import { type OptionShape, propertiesOf } from './option-shape.ts';

/** Says what is wrong with a value ("must be …"), or `undefined` when nothing is. Never sees `undefined`. */
export interface OptionRule {
  (value: unknown): string | undefined;
  /** What its values look like. Without it an option can be given in code only, in no JSON file and no environment variable. */
  readonly shape?: OptionShape;
}

/** A rule that says what its values look like. */
export function shaped(shape: OptionShape, rule: (value: unknown) => string | undefined): OptionRule {
  return Object.assign((value: unknown) => rule(value), { shape });
}

/** What {@link checkOptions} checks against. */
export interface OptionChecks<T extends object> {
  /** One rule for every option that exists; an option without a rule is unknown. */
  readonly rules: { readonly [Key in keyof T]-?: OptionRule };
  /** Values of options that were not given. An option with neither a default nor a place in `optional` is required. */
  readonly defaults?: Partial<T>;
  /** Options that may stay `undefined`. */
  readonly optional?: readonly (keyof T)[];
  /** Options whose values never appear in an error. */
  readonly secret?: readonly (keyof T)[];
  /** Rules across options; runs only when each option is fine by itself. */
  readonly across?: (options: T, report: (problem: string) => void) => void;
  /** Default `OPTIONS_INVALID`. */
  readonly code?: ErrorCode;
  /** What is wrong beside the options, reported with them. */
  readonly problems?: readonly string[];
}

/**
 * Checks options at the edge: unknown ones are refused, defaults filled in, all problems reported in one error.
 * `undefined` counts as not given. Returns a frozen object that holds every option that has a value.
 */
export function checkOptions<T extends object>(what: string, given: unknown, checks: OptionChecks<T>): Readonly<T> {
  const code = checks.code ?? 'OPTIONS_INVALID';
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    throw new TxboxError(code, `${what} takes an object of options, got ${show(given)}.`);
  }
  const { resolved, problems: found } = examineOptions(given, checks);
  const problems = [...(checks.problems ?? []), ...found.map(({ option, says }) => (option === undefined ? says : `${option} ${says}`))];
  if (problems.length > 0) throw new TxboxError(code, `${what}: ${problems.join('; ')}.`, { details: { problems } });
  return Object.freeze(resolved);
}

/** What is wrong with one option, or (without a name) between options or with names. */
export interface OptionProblem {
  readonly option?: string;
  /** The name of an option that does not exist. */
  readonly unknown?: string;
  /** With `option` what follows it, "must be …"; without, the whole. */
  readonly says: string;
}

/** Checks as {@link checkOptions} does, and hands out what it found. */
export function examineOptions<T extends object>(
  given: object,
  checks: OptionChecks<T>,
): { readonly resolved: T; readonly problems: readonly OptionProblem[] } {
  const rules = checks.rules as Readonly<Record<string, OptionRule>>;
  const problems: OptionProblem[] = [];
  const resolved: Record<string, unknown> = { ...checks.defaults };
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined) continue;
    if (Object.hasOwn(rules, name)) resolved[name] = value;
    else problems.push({ unknown: name, says: unknownName('option', name, Object.keys(rules)) });
  }
  for (const [name, rule] of Object.entries(rules)) {
    const value = resolved[name];
    if (value === undefined) {
      if (!checks.optional?.includes(name as keyof T)) problems.push({ option: name, says: 'is required' });
      continue;
    }
    const problem = rule(value);
    if (problem === undefined) continue;
    const said = checks.secret?.includes(name as keyof T) || isSecret(value, rule.shape) || problem.includes(', got ');
    problems.push({ option: name, says: said ? problem : `${problem}, got ${show(value)}` });
  }
  if (problems.length === 0) checks.across?.(resolved as T, (says) => problems.push({ says }));
  return { resolved: resolved as T, problems };
}

/** "unknown option pollMs, did you mean pollMinMs? (known: …)". */
export function unknownName(what: string, name: string, known: readonly string[]): string {
  const near = nearestName(name, known);
  return `unknown ${what} ${name}${near === undefined ? '' : `, did you mean ${near}?`} (known: ${known.join(', ')})`;
}

/** A text where an object with options belongs may be its JSON, broken, secrets and all. */
function isSecret(value: unknown, shape: OptionShape | undefined): boolean {
  return shape?.writeOnly === true || (typeof value === 'string' && Object.keys(propertiesOf(shape ?? {})).length > 0);
}

/** The shape of an object with these options. */
export function shapeOfOptions<T extends object>({ rules, defaults, optional }: OptionChecks<T>): OptionShape {
  const shapes = Object.entries(rules as Readonly<Record<string, OptionRule>>).flatMap(([name, { shape }]) =>
    shape ? [[name, shape] as const] : [],
  );
  const required = shapes
    .map(([name]) => name)
    .filter((name) => defaults?.[name as keyof T] === undefined && !optional?.includes(name as keyof T));
  return {
    type: 'object',
    properties: Object.fromEntries(shapes),
    ...(required.length > 0 ? { required } : {}),
    additionalProperties: false,
  };
}

/** A whole number within bounds, inclusive. Durations (`…Ms`) are whole milliseconds. */
export function integerWithin(min: number, max: number = Number.MAX_SAFE_INTEGER): OptionRule {
  const range = max === Number.MAX_SAFE_INTEGER ? `of at least ${min}` : `between ${min} and ${max}`;
  const maximum = max === Number.MAX_SAFE_INTEGER ? {} : { maximum: max };
  return shaped({ type: 'integer', minimum: min, ...maximum }, (value) =>
    Number.isInteger(value) && (value as number) >= min && (value as number) <= max ? undefined : `must be a whole number ${range}`,
  );
}

/** Text of at least one character. */
export const text: OptionRule = shaped({ type: 'string', minLength: 1 }, (value) =>
  typeof value === 'string' && value !== '' ? undefined : 'must be a text that is not empty',
);

export const flag: OptionRule = shaped({ type: 'boolean' }, (value) => (typeof value === 'boolean' ? undefined : 'must be true or false'));

export const callable: OptionRule = (value) => (typeof value === 'function' ? undefined : 'must be a function');

/** Any object but an array: for handles of clients and nested options that are checked by their owner. */
export const objectValue: OptionRule = (value) =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? undefined : 'must be an object';

/** An object that has these methods: for ports. */
export function objectWith(...methods: readonly string[]): OptionRule {
  return (value) => {
    if (typeof value !== 'object' || value === null) return `must be an object with ${methods.join(', ')}`;
    const missing = methods.filter((method) => typeof (value as Record<string, unknown>)[method] !== 'function');
    return missing.length === 0 ? undefined : `must have ${missing.join(', ')}`;
  };
}

export function oneOf(...values: readonly (string | number)[]): OptionRule {
  return shaped({ enum: values }, (value) =>
    values.includes(value as string) ? undefined : `must be one of ${values.map((one) => show(one)).join(', ')}`,
  );
}

/** An array whose every item keeps the rule. */
export function listOf(rule: OptionRule): OptionRule {
  const check = (value: unknown): string | undefined => {
    if (!Array.isArray(value)) return 'must be an array';
    for (const [index, item] of value.entries()) {
      const problem = rule(item);
      if (problem !== undefined) return `item ${index} ${problem}, got ${show(item)}`;
    }
    return undefined;
  };
  return rule.shape ? shaped({ type: 'array', items: rule.shape }, check) : check;
}

/** An object with options of its own. `what` names it where it is no object. */
export function objectOf<T extends object>(what: string, checks: OptionChecks<T>): OptionRule {
  return shaped(shapeOfOptions(checks), (value) => {
    const problem = objectValue(value);
    if (problem !== undefined) return `${problem} ${what}`;
    const found = examineOptions(value as object, checks).problems.map(({ option, says }) =>
      option === undefined ? says : says === 'is required' ? `no ${option}` : `${option}, which ${says}`,
    );
    return found.length === 0 ? undefined : `has ${found.join(', and ')}`;
  });
}

/** What may be switched off by `false`. */
export function orFalse(rule: OptionRule): OptionRule {
  return shaped({ anyOf: [{ enum: [false] }, rule.shape ?? {}] }, (value) => (value === false ? undefined : rule(value)));
}

/** A logger by its methods. */
export const loggerLike: OptionRule = objectWith('debug', 'info', 'warn', 'error');

// To the last @: passwords are written unescaped too.
const PASSWORD = /(:\/\/[^:@/\s]*:).*@/s;
// mysql2 takes options there.
const SECRET_PARAMETER = /([?&][^=&]*(?:pass|secret|key|token|ssl)[^=&]*=)[^&]*/gi;

/** A text without the password of a URL and without secret parameters. */
export function withoutSecrets(value: string): string {
  return value.replace(PASSWORD, '$1***@').replace(SECRET_PARAMETER, '$1***');
}

/** A value as error texts show it: short, and without the password of a URL. */
function show(value: unknown): string {
  if (typeof value === 'string') {
    const safe = withoutSecrets(value);
    return JSON.stringify(safe.length > 80 ? `${safe.slice(0, 80)}…` : safe);
  }
  if (typeof value === 'bigint') return `${value}n`;
  if (typeof value === 'function') return 'a function';
  if (typeof value === 'symbol') return 'a symbol';
  if (Array.isArray(value)) return `an array of ${value.length}`;
  return typeof value === 'object' && value !== null ? kindOf(value) : String(value);
}

/** What people mix up: methods, and what has them. */
const KINDS: readonly (readonly [methods: readonly string[], kind: string])[] = [
  [['createQueryRunner', 'createEntityManager'], 'a TypeORM DataSource (for the entries /typeorm)'],
  [['getConnection', 'query'], 'a mysql2 pool (for the entries /mysql2)'],
  [['beginTransaction', 'query'], 'one connection, where a pool is needed'],
  [['prepare', 'pragma'], 'a better-sqlite3 database (for the entries /sqlite)'],
  [['publish', 'describeTopic'], 'a publisher'],
  [['subscribe', 'clusterId'], 'a message source'],
];

function kindOf(value: object): string {
  const has = (method: string): boolean => typeof (value as Record<string, unknown>)[method] === 'function';
  const [, known] = KINDS.find(([methods]) => methods.every(has)) ?? [];
  if (known !== undefined) return known;
  if (typeof (value as { kind?: unknown }).kind === 'string') return 'data with a kind, which only configuration files take';
  if (typeof (value as { then?: unknown }).then === 'function') return 'a promise: await it';
  return 'an object';
}
