/** Counts of one run of tests. */
export interface Totals {
  passed: number;
  failed: number;
  skipped: number;
}

/** The line every run of this repository ends with. */
export function formatTotals(totals: Totals): string {
  return `${totals.passed} passed, ${totals.failed} failed, ${totals.skipped} skipped`;
}
