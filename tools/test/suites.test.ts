import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

const ROOT = join(import.meta.dirname, '../..');
const suites = JSON.parse(readFileSync(join(ROOT, 'tools/suites.json'), 'utf8')) as {
  name: string;
  runs: string[];
  files: string[];
  budgetSeconds: number;
}[];

describe('table of suites', () => {
  it('keeps npm test within fifteen minutes, a minute left for installing and building', () => {
    const seconds = suites.filter((suite) => suite.runs.includes('test')).reduce((sum, suite) => sum + suite.budgetSeconds, 0);
    expect(seconds).toBeLessThanOrEqual(14 * 60);
  });

  it('has every test file in exactly one suite', () => {
    const files = ['packages', 'tools/test', 'test'].flatMap(testFiles);
    expect(files.length).toBeGreaterThan(0);
    const wrong = files.filter((file) => suites.filter((suite) => suite.files.some((prefix) => file.startsWith(prefix))).length !== 1);
    expect(wrong).toEqual([]);
  });

  it('names each suite once and runs each in test:full', () => {
    expect(new Set(suites.map((suite) => suite.name)).size).toBe(suites.length);
    expect(suites.filter((suite) => !suite.runs.includes('full'))).toEqual([]);
  });
});

function testFiles(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory()) return ['node_modules', 'dist', 'src'].includes(entry.name) ? [] : testFiles(path);
    return path.endsWith('.test.ts') ? [path] : [];
  });
}
