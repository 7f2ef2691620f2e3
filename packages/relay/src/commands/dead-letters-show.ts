import { type Command, type DeadLetter, decodeHeaders, isTxboxError, systemClock, TxboxError } from '@txbox/core/spi';
import { filterOf } from './dead-letter-filter.ts';
import { jsonOf, SCOPE_OPTIONS, textOf, withDeadLetters } from './dead-letter-scope.ts';

/** `txbox dead-letters show`. */
export const deadLettersShowCommand: Command = {
  path: ['dead-letters', 'show'],
  summary: 'Shows one dead letter whole: why it was given up, its headers and its payload.',
  options: {
    ...SCOPE_OPTIONS,
    id: { type: 'string', description: 'the message id, a UUID' },
    json: { type: 'boolean', description: 'print one JSON object' },
  },
  usesDatabase: true,
  async run(context) {
    const { output, options } = context;
    const { id } = filterOf(context, systemClock.now());
    if (!id) throw new TxboxError('OPTIONS_INVALID', '--id says which one: txbox dead-letters list shows the ids.');
    return await withDeadLetters(context, async ({ letters }) => {
      const letter = await letters.find(id);
      if (!letter) {
        throw new TxboxError(
          'DEAD_LETTER_MISSING',
          `There is no dead letter ${String(options['id'])}: it was never one, or somebody has redriven or discarded it.`,
        );
      }
      const whole = { ...jsonOf(letter), headers: headersOf(letter), ...payloadOf(letter) };
      if (options['json'] === true) output.json(whole);
      else
        for (const [name, value] of Object.entries(whole))
          output.line(`${name}: ${typeof value === 'string' ? value : JSON.stringify(value)}`);
      return 0;
    });
  },
};

function headersOf({ headers }: DeadLetter): unknown {
  try {
    return decodeHeaders(headers).map(([name, value]) => [name, textOf(value) ?? `base64:${value.toString('base64')}`]);
  } catch (error) {
    if (!isTxboxError(error)) throw error;
    return `base64:${headers.toString('base64')} (${error.message})`;
  }
}

function payloadOf({ payload }: DeadLetter): Readonly<Record<string, unknown>> {
  const text = textOf(payload);
  return text === undefined ? { payload: null, payloadBase64: payload.toString('base64') } : { payload: text };
}
