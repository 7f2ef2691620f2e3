import { basename } from 'node:path';
import { describe, expect, it } from 'vitest';
import { packageNames, sourceFiles, textOf } from './import-graph.ts';

const files = packageNames().flatMap((name) => sourceFiles(`packages/${name}/src`));
const holding = (pattern: RegExp): string[] => files.filter((file) => pattern.test(textOf(file)));

describe('sources of the packages', () => {
  it('are named after what they hold, in kebab-case', () => {
    expect(files.filter((file) => !/^[a-z0-9]+(-[a-z0-9]+)*\.ts$/.test(basename(file)))).toEqual([]);
    expect(files.filter((file) => /^(utils?|helpers?|common|lib|interfaces?|types?)\.ts$/.test(basename(file)))).toEqual([]);
  });

  it('have an index.ts as the package entry only', () => {
    expect(files.filter((file) => basename(file) === 'index.ts' && !/^packages\/[^/]+\/src\/index\.ts$/.test(file))).toEqual([]);
  });

  it('export by name: nothing by default, nothing wholesale', () => {
    expect(holding(/^export default\b/m)).toEqual([]);
    expect(holding(/^export (type )?\*/m)).toEqual([]);
  });

  it('stay below 500 lines', () => {
    expect(files.filter((file) => textOf(file).split('\n').length > 500)).toEqual([]);
  });

  it('silence no compiler and leave nothing to do', () => {
    expect(holding(/@ts-(ignore|nocheck|expect-error)|\bas any\b|\b(TODO|FIXME)\b/)).toEqual([]);
  });

  it('write to the console nowhere but in the default logger', () => {
    expect(holding(/\bconsole\.\w+\(/)).toEqual(['packages/core/src/runtime/logger.ts']);
  });
});
