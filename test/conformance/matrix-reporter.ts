// Writes the table suite × backend of docs/compatibility.md from a run of all conformance files:
// npm test -- conformance --reporter=./tools/totals-reporter.ts --reporter=./test/conformance/matrix-reporter.ts
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ConformanceRecord } from '@txbox/testing/conformance';
import type { Reporter, TestModule, TestSuite } from 'vitest/node';
import { type MatrixEntry, matrixMarkdown, replaceMatrix } from './matrix.ts';

const DOCUMENT = join(import.meta.dirname, '../../docs/compatibility.md');

export default class MatrixReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], errors: readonly unknown[]): void {
    const files = readdirSync(import.meta.dirname).filter((name) => name.endsWith('.test.ts'));
    const missing = files.filter((file) => !modules.some((module) => module.moduleId.endsWith(`/conformance/${file}`)));
    const failed = modules.filter((module) => module.state() !== 'passed');
    if (missing.length > 0 || failed.length > 0 || errors.length > 0) {
      const why = missing.length > 0 ? `not run: ${missing.join(', ')}` : 'not everything passed';
      process.stderr.write(`The compatibility matrix stays as it was (${why}).\n`);
      return;
    }
    const entries = modules.flatMap((module) => [...module.children.suites()].flatMap(entryOf));
    writeFileSync(DOCUMENT, replaceMatrix(readFileSync(DOCUMENT, 'utf8'), matrixMarkdown(entries)));
  }
}

function entryOf(suite: TestSuite): MatrixEntry[] {
  const tests = [...suite.children.allTests()];
  const record = tests.map((test) => (test.meta() as { conformance?: ConformanceRecord }).conformance).find((found) => found !== undefined);
  // The test that declares the gaps is no claim about the backend.
  return record ? [{ ...record, claims: tests.length - 1 }] : [];
}
