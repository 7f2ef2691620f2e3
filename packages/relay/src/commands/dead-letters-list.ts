import { type Command, type DeadLetterHead, messageIdFromBytes, systemClock, TxboxError } from '@txbox/core/spi';
import { FILTER_OPTIONS, filterOf } from './dead-letter-filter.ts';
import { describeAge, describeKey, jsonOf, SCOPE_OPTIONS, withDeadLetters } from './dead-letter-scope.ts';

/** `txbox dead-letters list`. */
export const deadLettersListCommand: Command = {
  path: ['dead-letters', 'list'],
  summary: 'Lists the messages that were given up, and what waits behind them, in the order of each key.',
  options: {
    ...SCOPE_OPTIONS,
    ...FILTER_OPTIONS,
    limit: { type: 'string', description: 'most dead letters to show', default: '50' },
    after: { type: 'string', description: 'go on behind this place, which the list before named', default: '0' },
    json: { type: 'boolean', description: 'print one JSON object' },
  },
  usesDatabase: true,
  run: (context) =>
    withDeadLetters(context, async ({ letters }) => {
      const { output, options } = context;
      const filter = filterOf(context, systemClock.now());
      const limit = wholeNumber('limit', options['limit'], 1);
      const found = await letters.list(filter, wholeNumber('after', options['after'], 0), limit);
      const next = found.length === limit ? (found.at(-1)?.place ?? null) : null;
      const count = await letters.count();
      if (options['json'] === true) output.json({ ...count, letters: found.map(jsonOf), next });
      else {
        for (const letter of found) output.line(describe(letter));
        if (found.length === 0) output.line('no dead letter matches');
        output.line(`in all: ${count.deadLetters} dead letters of ${count.keys} parked keys`);
        if (next !== null) output.line(`more: --after ${next}`);
      }
      return 0;
    }),
};

function describe({ id, topic, key, type, attempts, reason, ageMs, sequence }: DeadLetterHead): string {
  const what = attempts === 0 ? (reason ?? 'waits behind the dead letters of its key') : `${attempts} attempts, ${reason ?? 'no reason'}`;
  const number = sequence === null ? '' : `, number ${sequence}`;
  return `${messageIdFromBytes(id)}  ${topic}, ${describeKey(key)}, ${type ?? 'gap marker'}${number}, for ${describeAge(ageMs)}: ${what}`;
}

function wholeNumber(name: string, given: unknown, least: number): number {
  const value = Number(given);
  if (given !== '' && Number.isSafeInteger(value) && value >= least && value <= Number.MAX_SAFE_INTEGER) return value;
  throw new TxboxError('OPTIONS_INVALID', `--${name} must be a whole number of at least ${least}, got ${JSON.stringify(given)}.`);
}
