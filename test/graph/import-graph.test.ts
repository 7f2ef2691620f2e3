import { describe, expect, it } from 'vitest';
import { findCycle, type Import, importsOf, packageNames, sourceFiles } from './import-graph.ts';

/** Which packages a package may import, beside itself (docs/architecture.md). */
const DIRECTIONS: Readonly<Record<string, readonly string[]>> = {
  core: [],
  outbox: ['core'],
  relay: ['core', 'outbox'],
  inbox: ['core'],
  kafka: ['core'],
  embedded: ['core'],
  cli: ['core'],
  testing: ['core', 'outbox', 'relay', 'inbox', 'kafka', 'embedded'],
};

/** Clients are optional peers: only these files, and adapters behind them, may load one. */
const CLIENTS = ['kafkajs', 'mysql2', 'typeorm', 'better-sqlite3', '@platformatic/kafka'];

const all: Import[] = packageNames().flatMap((name) => sourceFiles(name).flatMap(importsOf));
const show = (found: readonly Import[]): string[] => found.map((each) => `${each.from} imports ${each.specifier}`);

describe('package directions', () => {
  it.each(packageNames())('%s imports only packages it may know', (name) => {
    const wrong = all.filter((each) => {
      const target = /^@txbox\/([^/]+)/.exec(each.specifier)?.[1];
      if (!each.from.startsWith(`packages/${name}/`) || target === undefined || each.typeOnly) return false;
      return !DIRECTIONS[name]?.includes(target);
    });
    expect(show(wrong)).toEqual([]);
  });

  it('lists every package', () => {
    expect(Object.keys(DIRECTIONS).sort()).toEqual(packageNames().sort());
  });

  it('has no import that leaves its package by a path', () => {
    const wrong = all.filter(
      (each) => each.to !== undefined && each.to.split('/').slice(0, 3).join('/') !== each.from.split('/').slice(0, 3).join('/'),
    );
    expect(show(wrong)).toEqual([]);
  });

  it('reaches other packages through their entries', () => {
    expect(show(all.filter((each) => /^@txbox\/[^/]+\/(src|dist)\b/.test(each.specifier)))).toEqual([]);
  });
});

describe('files', () => {
  it.each(packageNames())('%s has no cycle of imports', (name) => {
    expect(findCycle(sourceFiles(name))).toBeUndefined();
  });
});

describe('clients', () => {
  it.each(packageNames().flatMap((name) => (name === 'testing' ? [] : [`packages/${name}/src/index.ts`])))(
    '%s loads no client',
    (entry) => {
      const loaded = new Set<string>();
      const visit = (file: string): string[] => {
        if (loaded.has(file)) return [];
        loaded.add(file);
        return importsOf(file)
          .filter((each) => !each.typeOnly && !each.dynamic)
          .flatMap((each) => {
            if (each.to !== undefined) return visit(each.to);
            return CLIENTS.some((client) => each.specifier === client || each.specifier.startsWith(`${client}/`))
              ? [`${file} loads ${each.specifier}`]
              : [];
          });
      };
      expect(visit(entry)).toEqual([]);
    },
  );
});
