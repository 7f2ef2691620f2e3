/** Counts of one run of tests. */
export interface Totals {
  passed: number;
  failed: number;
  skipped: number;
}

/** Counts and, a line each, what failed and why: repeated at the end of a run of several suites. */
export interface SuiteTotals extends Totals {
  readonly failures: string[];
}

/** The line every run of this repository ends with. */
export function formatTotals(totals: Totals): string {
  return `${totals.passed} passed, ${totals.failed} failed, ${totals.skipped} skipped`;
}
