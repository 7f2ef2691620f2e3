import { type CommandContext, type CommandOption, type DeadLetterFilter, messageIdToBytes, TxboxError } from '@txbox/core/spi';

/** The options that say which dead letters are meant. */
export const FILTER_OPTIONS: Readonly<Record<string, CommandOption>> = {
  id: { type: 'string', description: 'the message id, a UUID' },
  topic: { type: 'string', description: 'topic' },
  key: { type: 'string', description: 'message key, as text' },
  'key-base64': { type: 'string', description: 'message key, as base64' },
  type: { type: 'string', description: 'name of the event' },
  reason: { type: 'string', description: 'text that the reason contains, an error code for example' },
  since: { type: 'string', description: 'parked at or after: an instant like 2026-11-25T10:00:00Z, or an age like 90s, 30m, 2h, 7d' },
  until: { type: 'string', description: 'parked before: an instant or an age' },
};

const AGE = /^(\d+)(s|m|h|d)$/;
const UNIT_MS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const INSTANT = /^\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d))?$/;
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** Which dead letters the options mean. Throws `OPTIONS_INVALID` with all problems. `now`: milliseconds since 1970. */
export function filterOf({ options }: Pick<CommandContext, 'options'>, now: number): DeadLetterFilter {
  const problems: string[] = [];
  const report = (name: string, rule: string): undefined => {
    problems.push(`--${name} must be ${rule}, got ${JSON.stringify(options[name])}`);
    return undefined;
  };
  const textOf = (name: string): string | undefined => {
    const value = options[name];
    return typeof value !== 'string' ? undefined : value === '' ? report(name, 'not empty') : value;
  };
  const instantOf = (name: string): string | undefined => {
    const value = textOf(name);
    if (value === undefined) return undefined;
    const [, count, unit = ''] = AGE.exec(value) ?? [];
    const at = count === undefined ? (INSTANT.test(value) ? Date.parse(value) : Number.NaN) : now - Number(count) * (UNIT_MS[unit] ?? 0);
    return at >= 0
      ? new Date(at).toISOString().slice(0, 23).replace('T', ' ')
      : report(name, 'an instant with its zone, or an age like 2h');
  };
  const idOf = (value: string | undefined): Buffer | undefined => {
    try {
      return value === undefined ? undefined : messageIdToBytes(value);
    } catch {
      return report('id', 'a UUID');
    }
  };
  const keyOf = (): Buffer | undefined => {
    const [key, base64] = [textOf('key'), textOf('key-base64')];
    if (key !== undefined && base64 !== undefined) problems.push('--key and --key-base64 exclude each other');
    if (base64 !== undefined) return BASE64.test(base64) ? Buffer.from(base64, 'base64') : report('key-base64', 'base64');
    return key === undefined ? undefined : Buffer.from(key);
  };
  const found = {
    id: idOf(textOf('id')),
    topic: textOf('topic'),
    key: keyOf(),
    type: textOf('type'),
    reason: textOf('reason'),
    since: instantOf('since'),
    until: instantOf('until'),
  };
  if (problems.length > 0) throw new TxboxError('OPTIONS_INVALID', `${problems.join('; ')}.`, { details: { problems } });
  return Object.fromEntries(Object.entries(found).filter(([, value]) => value !== undefined));
}

/** The same for a command that changes something: all of them are meant only when that is said. */
export function deliberateFilterOf(context: Pick<CommandContext, 'options'>, now: number): DeadLetterFilter {
  const filter = filterOf(context, now);
  if (Object.keys(filter).length > 0 || context.options['all'] === true) return filter;
  const names = Object.keys(FILTER_OPTIONS).map((name) => `--${name}`);
  throw new TxboxError('OPTIONS_INVALID', `Say which dead letters are meant, by ${names.join(', ')}, or --all.`);
}
