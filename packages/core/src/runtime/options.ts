import { TxboxError } from './error.ts';
import type { ErrorCode } from './error-codes.ts';

/** Says what is wrong with a value ("must be …"), or `undefined` when nothing is. Never sees `undefined`. */
export type OptionRule = (value: unknown) => string | undefined;

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
  const rules = checks.rules as Readonly<Record<string, OptionRule>>;
  const problems: string[] = [...(checks.problems ?? [])];
  const resolved: Record<string, unknown> = { ...checks.defaults };
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined) continue;
    if (Object.hasOwn(rules, name)) resolved[name] = value;
    else problems.push(`unknown option ${name} (known: ${Object.keys(rules).join(', ')})`);
  }
  for (const [name, rule] of Object.entries(rules)) {
    const value = resolved[name];
    if (value === undefined) {
      if (!checks.optional?.includes(name as keyof T)) problems.push(`${name} is required`);
      continue;
    }
    const problem = rule(value);
    if (problem === undefined) continue;
    const said = checks.secret?.includes(name as keyof T) || problem.includes(', got ');
    problems.push(said ? `${name} ${problem}` : `${name} ${problem}, got ${show(value)}`);
  }
  if (problems.length === 0) checks.across?.(resolved as T, (problem) => problems.push(problem));
  if (problems.length > 0) throw new TxboxError(code, `${what}: ${problems.join('; ')}.`, { details: { problems } });
  return Object.freeze(resolved as T);
}

/** A whole number within bounds, inclusive. Durations (`…Ms`) are whole milliseconds. */
export function integerWithin(min: number, max: number = Number.MAX_SAFE_INTEGER): OptionRule {
  const range = max === Number.MAX_SAFE_INTEGER ? `of at least ${min}` : `between ${min} and ${max}`;
  return (value) =>
    Number.isInteger(value) && (value as number) >= min && (value as number) <= max ? undefined : `must be a whole number ${range}`;
}

/** Text of at least one character. */
export const text: OptionRule = (value) => (typeof value === 'string' && value !== '' ? undefined : 'must be a text that is not empty');

export const flag: OptionRule = (value) => (typeof value === 'boolean' ? undefined : 'must be true or false');

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
  return (value) => (values.includes(value as string) ? undefined : `must be one of ${values.map((one) => show(one)).join(', ')}`);
}

/** An array whose every item keeps the rule. */
export function listOf(rule: OptionRule): OptionRule {
  return (value) => {
    if (!Array.isArray(value)) return 'must be an array';
    for (const [index, item] of value.entries()) {
      const problem = rule(item);
      if (problem !== undefined) return `item ${index} ${problem}, got ${show(item)}`;
    }
    return undefined;
  };
}

/** A logger by its methods. */
export const loggerLike: OptionRule = objectWith('debug', 'info', 'warn', 'error');

const SECRET = /(:\/\/[^:@/\s]*:)[^@/\s]*@/;

/** A value as error texts show it: short, and without the password of a URL. */
function show(value: unknown): string {
  if (typeof value === 'string') {
    const safe = value.replace(SECRET, '$1***@');
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
