import type { RefusalCode } from './refusals.ts';

/** One thing that was looked at. */
export interface Check {
  readonly code: RefusalCode;
  /** Its name, as the server or the configuration calls it. */
  readonly what: string;
  /** What was found. */
  readonly value: string;
  readonly ok: boolean;
  /** What has to be, and why. */
  readonly rule: string;
  readonly wayOut: string;
}

/** A fact that one code stands for: looks at what was found and gives a check for each thing, none where it has nothing to look at. */
export interface Rule<Facts> {
  readonly code: RefusalCode;
  readonly rule: string;
  readonly wayOut: string;
  examine(facts: Facts): readonly (Pick<Check, 'what' | 'value' | 'ok'> & Partial<Pick<Check, 'wayOut'>>)[];
}

/** Applies every rule. */
export function examine<Facts>(rules: readonly Rule<Facts>[], facts: Facts): Check[] {
  return rules.flatMap(({ code, rule, wayOut, examine }) => examine(facts).map((found) => ({ code, rule, wayOut, ...found })));
}
