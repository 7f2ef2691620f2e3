import { type Command, type DeadLetterHead, messageIdFromBytes, systemClock } from '@txbox/core/spi';
import { counted } from './counted.ts';
import { FILTER_OPTIONS, filterFrom } from './dead-letter-filter.ts';
import { describeAge, describeKey, jsonOf, SCOPE_OPTIONS, withDeadLetters } from './dead-letter-scope.ts';
import { GivenOptions } from './given-options.ts';

const LIMIT = 50;

/** `txbox dead-letters list`. */
export const deadLettersListCommand: Command = {
  path: ['dead-letters', 'list'],
  summary: 'Lists the messages that were given up, and what waits behind them, in the order of each key.',
  options: {
    ...SCOPE_OPTIONS,
    ...FILTER_OPTIONS,
    limit: { type: 'string', description: 'most dead letters to show', default: String(LIMIT) },
    after: { type: 'string', description: 'go on behind this place, which the list before named', default: '0' },
    json: { type: 'boolean', description: 'print one JSON object' },
  },
  usesDatabase: true,
  async run(context) {
    const { output, options } = context;
    const given = new GivenOptions(context, systemClock.now());
    const filter = filterFrom(given);
    const limit = given.wholeNumber('limit', 1) ?? LIMIT;
    const after = given.wholeNumber('after', 0) ?? 0;
    given.refuse();
    return await withDeadLetters(context, async ({ letters }) => {
      const found = await letters.list(filter, after, limit);
      const next = found.length === limit ? (found.at(-1)?.place ?? null) : null;
      const count = await letters.count();
      if (options['json'] === true) output.json({ ...count, letters: found.map(jsonOf), next });
      else {
        for (const letter of found) output.line(describe(letter));
        if (found.length === 0) output.line('no dead letter matches');
        output.line(`in all: ${counted(count.deadLetters, 'dead letter')} of ${counted(count.keys, 'parked key')}`);
        if (next !== null) output.line(`more: --after ${next}`);
      }
      return 0;
    });
  },
};

function describe({ id, topic, key, type, attempts, reason, ageMs, sequence }: DeadLetterHead): string {
  const what =
    attempts === 0 ? (reason ?? 'waits behind the dead letters of its key') : `${counted(attempts, 'attempt')}, ${reason ?? 'no reason'}`;
  const number = sequence === null ? '' : `, number ${sequence}`;
  return `${messageIdFromBytes(id)}  ${topic}, ${describeKey(key)}, ${type ?? 'gap marker'}${number}, for ${describeAge(ageMs)}: ${what}`;
}
