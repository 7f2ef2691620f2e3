import { type CommandContext, messageIdToBytes, sqlTimeOf, TxboxError } from '@txbox/core/spi';

const AGE = /^(\d+)(s|m|h|d)$/;
const UNIT_MS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const INSTANT = /^\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d))?$/;
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** Options of a command that say which messages are meant, whatever it does with them. */
export const MESSAGE_OPTIONS = {
  id: { type: 'string', description: 'the message id, a UUID' },
  topic: { type: 'string', description: 'topic' },
  key: { type: 'string', description: 'message key, as text' },
  'key-base64': { type: 'string', description: 'message key, as base64' },
  type: { type: 'string', description: 'name of the event' },
} as const;

/** Reads what was given to a command; what is wrong is gathered, to be said all at once. */
export class GivenOptions {
  readonly #options: CommandContext['options'];
  readonly #now: number;
  readonly #problems: string[] = [];

  /** `now`: milliseconds since 1970, from which ages count. */
  constructor({ options }: Pick<CommandContext, 'options'>, now: number) {
    this.#options = options;
    this.#now = now;
  }

  text(name: string): string | undefined {
    const value = this.#options[name];
    return typeof value !== 'string' ? undefined : value === '' ? this.#report(name, 'not empty') : value;
  }

  oneOf(name: string, ...allowed: readonly string[]): string | undefined {
    const value = this.text(name);
    return value === undefined || allowed.includes(value) ? value : this.#report(name, allowed.join(' or '));
  }

  /** Two instants or ages, as rows show times; the one lies before the other. */
  interval(from: string, to: string): { since?: string; until?: string } {
    const [since, until] = [this.#instant(from), this.#instant(to)];
    if (since !== undefined && until !== undefined && since >= until) {
      this.#problems.push(`--${from} must lie before --${to}, got ${this.#shown(from)} and ${this.#shown(to)}`);
    }
    return given({ since, until });
  }

  wholeNumber(name: string, least: number, most: number = Number.MAX_SAFE_INTEGER): number | undefined {
    const value = this.text(name);
    if (value === undefined) return undefined;
    const bounds = most === Number.MAX_SAFE_INTEGER ? `of at least ${least}` : `between ${least} and ${most}`;
    const number = /^\d+$/.test(value) ? Number(value) : Number.NaN;
    return number >= least && number <= most ? number : this.#report(name, `a whole number ${bounds}`);
  }

  /** The messages that {@link MESSAGE_OPTIONS} mean; what was not given is left out. */
  messages(): { id?: Buffer; topic?: string; key?: Buffer; type?: string } {
    return given({ id: this.#id(), topic: this.text('topic'), key: this.#key(), type: this.text('type') });
  }

  /** A rule across options that is broken, in words. */
  problem(text: string): void {
    this.#problems.push(text);
  }

  /** Throws `OPTIONS_INVALID` with all problems. */
  refuse(): void {
    const problems = this.#problems;
    if (problems.length > 0) throw new TxboxError('OPTIONS_INVALID', `${problems.join('; ')}.`, { details: { problems } });
  }

  /** An instant or an age, as rows show times. */
  #instant(name: string): string | undefined {
    const value = this.text(name);
    if (value === undefined) return undefined;
    const [, count, unit = ''] = AGE.exec(value) ?? [];
    const age = Number(count) * (UNIT_MS[unit] ?? 0);
    const at = count === undefined ? (INSTANT.test(value) ? Date.parse(value) : Number.NaN) : this.#now - age;
    return at >= 0 ? sqlTimeOf(at) : this.#report(name, 'an instant with its zone, or an age like 2h');
  }

  #id(): Buffer | undefined {
    const id = this.text('id');
    try {
      return id === undefined ? undefined : messageIdToBytes(id);
    } catch {
      return this.#report('id', 'a UUID');
    }
  }

  #key(): Buffer | undefined {
    const [key, base64] = [this.text('key'), this.text('key-base64')];
    if (key !== undefined && base64 !== undefined) this.#problems.push('--key and --key-base64 exclude each other');
    if (base64 !== undefined) return BASE64.test(base64) ? Buffer.from(base64, 'base64') : this.#report('key-base64', 'base64');
    return key === undefined ? undefined : Buffer.from(key);
  }

  #report(name: string, rule: string): undefined {
    this.#problems.push(`--${name} must be ${rule}, got ${this.#shown(name)}`);
    return undefined;
  }

  #shown(name: string): string {
    return JSON.stringify(this.#options[name]);
  }
}

/** Without what is `undefined`. */
export function given<T extends object>(values: T): { [Name in keyof T]?: Exclude<T[Name], undefined> } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as {
    [Name in keyof T]?: Exclude<T[Name], undefined>;
  };
}
