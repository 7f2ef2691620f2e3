import { type ErrorCode, isTxboxError } from '@txbox/core/spi';
import { describeError } from '../foreign-error.ts';
import type { Check } from './check.ts';
import { REFUSALS, type RefusalCode } from './refusals.ts';

/**
 * What becomes of something that was looked at: `accepted` = wrong, and listed in `accept`; `warning` = wrong, and no
 * reason not to start; `failed` = it could not be looked at, because the database or the broker is away for example.
 */
export type Verdict = 'ok' | 'accepted' | 'warning' | 'refused' | 'failed';

/** Something that was looked at, and what is to be said of it. */
export interface Finding extends Omit<Check, 'code' | 'ok'> {
  /** With the verdict `failed` an error code of the framework, or the foreign error's own. */
  readonly code: RefusalCode | ErrorCode | (string & {});
  readonly verdict: Verdict;
}

/** Judges checks by their codes' severity and by what is accepted. */
export function judge(checks: readonly Check[], accept: readonly RefusalCode[]): Finding[] {
  return checks.map(({ ok, ...check }) => ({ ...check, verdict: ok ? 'ok' : verdictOf(check.code, accept) }));
}

/** A part that could not be looked at. */
export function failure(what: string, error: unknown): Finding {
  const { code, message } = describeError(error);
  const wayOut = isTxboxError(error) ? `See ${error.docs}.` : 'Mend it, and look again.';
  return { code, what, value: message, verdict: 'failed', rule: 'It can be reached and looked at.', wayOut };
}

function verdictOf(code: RefusalCode, accept: readonly RefusalCode[]): Verdict {
  if (accept.includes(code)) return 'accepted';
  return REFUSALS[code].severity === 'refuse' ? 'refused' : 'warning';
}
