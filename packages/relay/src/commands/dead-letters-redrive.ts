import { type Command, systemClock } from '@txbox/core/spi';
import { newRedrive, type RedriveOutcome, redrive, rehearseRedrive } from '../dead-letters/redrive.ts';
import { counted } from './counted.ts';
import { deliberateFilterOf } from './dead-letter-filter.ts';
import { NOTHING_MATCHES } from './dead-letter-scope.ts';
import { describeStop, SENDING_OPTIONS, stopAsJson, withDeadLetterSending } from './dead-letter-sending.ts';

/** `txbox dead-letters redrive`. */
export const deadLettersRedriveCommand: Command = {
  path: ['dead-letters', 'redrive'],
  summary: 'Publishes dead letters after all, each key in order, and lets the key go on.',
  options: {
    ...SENDING_OPTIONS,
    force: { type: 'boolean', description: 'also those that may have been published more than a week ago' },
  },
  usesDatabase: true,
  usesPublisher: true,
  async run(context) {
    const { output, options, signal } = context;
    const filter = deliberateFilterOf(context, systemClock.now());
    return await withDeadLetterSending(context, { force: options['force'] === true }, async ({ letters, sender, dryRun }) => {
      const outcome = newRedrive();
      let complete = false;
      const say = (result: RedriveOutcome): void => {
        const { keys, letters: sent, stopped } = result;
        if (options['json'] === true) output.json({ dryRun, ended: signal.aborted, keys, letters: sent, stopped: stopped.map(stopAsJson) });
        else {
          const nothing = complete && sent === 0 && stopped.length === 0;
          output.line(
            nothing
              ? NOTHING_MATCHES
              : `${dryRun ? 'would publish' : 'published'} ${counted(sent, 'dead letter')} of ${counted(keys, 'key')}`,
          );
          for (const stop of stopped) output.line(describeStop(stop));
        }
      };
      try {
        if (dryRun) Object.assign(outcome, await rehearseRedrive(letters, filter, options['force'] === true));
        else await redrive(letters, sender, filter, outcome);
        complete = true;
      } finally {
        say(outcome);
      }
      return outcome.stopped.length === 0 ? 0 : 1;
    });
  },
};
