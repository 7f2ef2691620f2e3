import { writeFileSync } from 'node:fs';
import type { Reporter, TestModule } from 'vitest/node';
import { formatTotals, type SuiteTotals } from './totals.ts';

/**
 * Counts a run's tests. With `TXBOX_TOTALS_FILE` set the counts go there as JSON (a runner sums them); else
 * `N passed, N failed, N skipped` is the run's last line. Errors outside tests count as failed.
 */
export default class TotalsReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], errors: readonly unknown[]): void {
    const totals: SuiteTotals = { passed: 0, failed: 0, skipped: 0, failures: [] };
    const fail = (where: string, error: unknown): void => {
      totals.failed += 1;
      totals.failures.push(`${where}: ${firstLine(error)}`);
    };
    for (const error of errors) fail('outside of any test', error);
    for (const module of modules) {
      for (const error of module.errors()) fail(module.relativeModuleId, error);
      // A hook of a suite that failed: its tests count as skipped.
      for (const suite of module.children.allSuites()) for (const error of suite.errors()) fail(`a hook of ${suite.fullName}`, error);
      for (const test of module.children.allTests()) {
        const { state, errors: reasons } = test.result();
        if (state === 'failed') fail(test.fullName, reasons[0]);
        else totals[state === 'pending' ? 'skipped' : state] += 1;
      }
    }
    const file = process.env['TXBOX_TOTALS_FILE'];
    if (file !== undefined) writeFileSync(file, JSON.stringify(totals));
    else process.stdout.write(`${formatTotals(totals)}\n`);
  }
}

function firstLine(error: unknown): string {
  const message = (error as { message?: unknown } | undefined)?.message ?? error;
  return String(message).split('\n', 1)[0]?.slice(0, 300) ?? '';
}
