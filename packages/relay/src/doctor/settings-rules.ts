import type { ResolvedRelayOptions } from '../relay-options.ts';
import { silenceMs } from '../silence.ts';
import type { Rule } from './check.ts';

/** What a relay's times are computed from. What is unknown, because database or broker is away, is left out. */
export interface TimeFacts extends Pick<ResolvedRelayOptions, 'leaseTtlMs' | 'pollMaxMs' | 'retry' | 'onPermanentFailure'> {
  readonly graceMs: number;
  readonly lockWaitMs: number | undefined;
  readonly givesUpAfterMs: number | undefined;
  /** How much slower what the broker refuses is tried again. */
  readonly refusedFactor: number;
}

/** A time that follows from settings. */
export interface DerivedTime {
  readonly what: string;
  readonly ms: number;
  /** How it is computed, with the names of the settings. */
  readonly from: string;
}

/** What the settings amount to. */
export function derivedTimes(facts: TimeFacts): DerivedTime[] {
  const { leaseTtlMs, pollMaxMs, retry, graceMs, lockWaitMs, givesUpAfterMs, refusedFactor } = facts;
  const times: DerivedTime[] = [
    { what: 'an event that nobody wakes for is seen after at most', ms: pollMaxMs, from: 'pollMaxMs' },
    { what: 'leases are renewed every', ms: Math.round(leaseTtlMs / 3), from: 'leaseTtlMs / 3' },
    { what: 'a relay that cannot renew stops sending after', ms: Math.round((leaseTtlMs * 2) / 3), from: 'leaseTtlMs × 2 / 3' },
    { what: 'shards of a relay that died are taken after at most', ms: leaseTtlMs + 1_000, from: 'leaseTtlMs + 1,000' },
    { what: 'a stop waits for acknowledgements for at most', ms: graceMs, from: 'graceMs' },
    { what: 'after an outage a lane is tried again after at most', ms: retry.capMs, from: 'retry.capMs' },
    { what: 'what the broker refuses is tried again every', ms: refusedFactor * retry.capMs, from: `${refusedFactor} × retry.capMs` },
  ];
  if (lockWaitMs !== undefined) {
    times.push({ what: 'a statement waits for a lock for at most', ms: lockWaitMs, from: 'innodb_lock_wait_timeout' });
  }
  if (givesUpAfterMs !== undefined) {
    times.push(
      { what: 'the client may still be sending a request after', ms: givesUpAfterMs, from: "the publisher's time-outs and retries" },
      {
        what: 'a parked event may be discarded after',
        ms: silenceMs(leaseTtlMs, givesUpAfterMs),
        from: "leaseTtlMs, at least 10,000, + the publisher's time-outs and retries",
      },
    );
  }
  return times;
}

/** An outage of so long is an incident; whoever waits longer after it looks like another one. */
const LONGEST_CAP_MS = 300_000;

const timesTight: Rule<TimeFacts> = {
  code: 'TIMES_TIGHT',
  rule: `A third of leaseTtlMs holds a lock wait, pollMaxMs is at most leaseTtlMs, and retry.capMs at most ${LONGEST_CAP_MS}.`,
  wayOut: 'Raise leaseTtlMs, or lower the other.',
  examine: ({ leaseTtlMs, pollMaxMs, retry, lockWaitMs }) => [
    ...(lockWaitMs === undefined
      ? []
      : [
          {
            what: 'leaseTtlMs / 3 and innodb_lock_wait_timeout',
            value: `${Math.round(leaseTtlMs / 3)} and ${lockWaitMs} ms`,
            ok: leaseTtlMs / 3 >= lockWaitMs,
          },
        ]),
    { what: 'pollMaxMs and leaseTtlMs', value: `${pollMaxMs} and ${leaseTtlMs} ms`, ok: pollMaxMs <= leaseTtlMs },
    { what: 'retry.capMs', value: `${retry.capMs} ms`, ok: retry.capMs <= LONGEST_CAP_MS },
  ],
};

const skipBreaksOrder: Rule<TimeFacts> = {
  code: 'SKIP_BREAKS_ORDER',
  rule: "onPermanentFailure is not 'skip-message': later messages of a key overtake the one that was refused.",
  wayOut: "Use 'park-key', which lets them wait.",
  examine: ({ onPermanentFailure }) => [
    { what: 'onPermanentFailure', value: onPermanentFailure, ok: onPermanentFailure !== 'skip-message' },
  ],
};

/** What is to be said of the relay's own settings. */
export const SETTINGS_RULES: readonly Rule<TimeFacts>[] = [skipBreaksOrder, timesTight];
