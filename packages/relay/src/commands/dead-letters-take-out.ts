import { type Command, systemClock } from '@txbox/core/spi';
import { newTakeOut, takeOut } from '../dead-letters/take-out.ts';
import { DEFAULT_LEASE_TTL_MS } from '../relay-options.ts';
import { givesUpAfterMs, silenceMs } from '../silence.ts';
import { counted } from './counted.ts';
import { deliberateFilterOf } from './dead-letter-filter.ts';
import { describeAge, NOTHING_MATCHES } from './dead-letter-scope.ts';
import { describeStop, SENDING_OPTIONS, stopAsJson, withDeadLetterSending } from './dead-letter-sending.ts';

const WORDS = {
  discard: {
    ...{ did: 'discarded', would: 'would discard', nothing: NOTHING_MATCHES },
    summary: 'Deletes dead letters for good, and publishes what waits behind them.',
  },
  skip: {
    ...{ did: 'skipped', would: 'would skip', nothing: `${NOTHING_MATCHES}; those that stand alone are skipped already` },
    summary: 'Lets keys go on without their dead letters, which stay listed.',
  },
} as const;

/** `txbox dead-letters discard`. */
export const deadLettersDiscardCommand: Command = takeOutCommand('discard');

/** `txbox dead-letters skip`. */
export const deadLettersSkipCommand: Command = takeOutCommand('skip');

function takeOutCommand(action: keyof typeof WORDS): Command {
  const { did, would, nothing: nothingToDo, summary } = WORDS[action];
  return {
    path: ['dead-letters', action],
    summary,
    options: {
      ...SENDING_OPTIONS,
      wait: { type: 'boolean', description: 'wait for those that somebody may still be sending, minutes at most' },
    },
    usesDatabase: true,
    usesPublisher: true,
    async run(context) {
      const { output, options, signal, config } = context;
      const filter = deliberateFilterOf(context, systemClock.now());
      return await withDeadLetterSending(context, { force: false }, async ({ letters, sender, publisher, actor, dryRun }) => {
        const ttlMs = (config as { relay?: { leaseTtlMs?: unknown } }).relay?.leaseTtlMs;
        const quietMs = silenceMs(typeof ttlMs === 'number' ? ttlMs : DEFAULT_LEASE_TTL_MS, await givesUpAfterMs(publisher, dryRun));
        const outcome = newTakeOut();
        let complete = false;
        try {
          const onWait = (ms: number): void =>
            output.progress(`dead letters: waiting ${describeAge(ms)} until nobody may send it any more`);
          const note = { action, actor };
          const plan = { letters, sender, clock: systemClock, note, quietMs, wait: options['wait'] === true, dryRun, signal, onWait };
          await takeOut(plan, filter, outcome);
          complete = true;
        } finally {
          const { letters: taken, released, tooYoung, waitMs, stopped } = outcome;
          if (options['json'] === true) {
            output.json({ dryRun, ended: signal.aborted, letters: taken, released, tooYoung, waitMs, stopped: stopped.map(stopAsJson) });
          } else {
            const nothing = complete && taken === 0 && released === 0 && tooYoung === 0 && stopped.length === 0;
            const done = `${dryRun ? would : did} ${counted(taken, 'dead letter')}${dryRun ? '' : `, published ${released} that waited behind them`}`;
            output.line(nothing ? nothingToDo : done);
            if (tooYoung > 0) {
              output.line(
                `${counted(tooYoung, 'is', 'are')} left: somebody may still be sending ${tooYoung === 1 ? 'it' : 'them'}, which would break the order of its key. ` +
                  `Try again in ${describeAge(waitMs)}, or with --wait`,
              );
            }
            for (const stop of stopped) output.line(describeStop(stop));
          }
        }
        return outcome.tooYoung === 0 && outcome.stopped.length === 0 ? 0 : 1;
      });
    },
  };
}
