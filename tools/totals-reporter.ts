import { writeFileSync } from 'node:fs';
import type { Reporter, TestModule } from 'vitest/node';
import { formatTotals, type Totals } from './totals.ts';

/**
 * Counts a run's tests. With `TXBOX_TOTALS_FILE` set the counts go there as JSON (a runner sums them); else
 * `N passed, N failed, N skipped` is the run's last line. Errors outside tests count as failed.
 */
export default class TotalsReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], errors: readonly unknown[]): void {
    const totals: Totals = { passed: 0, failed: errors.length, skipped: 0 };
    for (const module of modules) {
      totals.failed += module.errors().length;
      // A hook of a suite that failed: its tests count as skipped.
      for (const suite of module.children.allSuites()) totals.failed += suite.errors().length;
      for (const test of module.children.allTests()) {
        const { state } = test.result();
        totals[state === 'pending' ? 'skipped' : state] += 1;
      }
    }
    const file = process.env['TXBOX_TOTALS_FILE'];
    if (file !== undefined) writeFileSync(file, JSON.stringify(totals));
    else process.stdout.write(`${formatTotals(totals)}\n`);
  }
}
