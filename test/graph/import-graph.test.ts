import { describe, expect, it } from 'vitest';
import { entryFiles, findCycle, type Import, importsOf, loadedWith, packageNames, sourceFiles } from './import-graph.ts';

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

/** The command-line tool loads what it finds installed by `import()`, and may name its types. */
const LOADS_WHAT_IS_INSTALLED = ['cli'];

/** Clients are optional peers: only the entry that bears a client's name may load one. */
const CLIENTS = ['kafkajs', 'mysql2', 'typeorm', 'better-sqlite3', '@platformatic/kafka', '@opentelemetry/api'];
const CLIENT_ENTRIES = ['typeorm.ts', 'mysql2.ts', 'sqlite.ts', 'kafkajs.ts', 'platformatic.ts', 'opentelemetry.ts'];

const names = packageNames();
const importsOfPackage = (name: string): Import[] => sourceFiles(`packages/${name}/src`).flatMap(importsOf);
const show = (found: readonly Import[]): string[] => found.map((each) => `${each.from} imports ${each.specifier}`);
const packageOf = (file: string): string => file.split('/').slice(0, 3).join('/');

describe('package directions', () => {
  it('are declared for every package', () => {
    expect(Object.keys(DIRECTIONS).sort()).toEqual([...names].sort());
  });

  it.each(names)('%s imports only packages it may know, types included', (name) => {
    const wrong = importsOfPackage(name).filter((each) => {
      const target = /^@txbox\/([^/]+)/.exec(each.specifier)?.[1];
      if (target === undefined || DIRECTIONS[name]?.includes(target)) return false;
      return !((each.dynamic || each.typeOnly) && LOADS_WHAT_IS_INSTALLED.includes(name));
    });
    expect(show(wrong)).toEqual([]);
  });

  it.each([...names.map((name) => `packages/${name}`), 'examples', 'test', 'bench'])(
    '%s reaches packages through their entries',
    (folder) => {
      const wrong = sourceFiles(folder)
        .flatMap(importsOf)
        .filter((each) => {
          if (/^@txbox\/[^/]+\/(src|dist)\b/.test(each.specifier)) return true;
          return each.specifier.startsWith('.') && each.to?.startsWith('packages/') && packageOf(each.to) !== packageOf(each.from);
        })
        // A package's own tests stand beside its sources.
        .filter((each) => !(each.to && each.from.startsWith(`${packageOf(each.to).replace(/\/src$/, '')}/test/`)));
      expect(show(wrong)).toEqual([]);
    },
  );
});

describe('files', () => {
  it.each(names)('%s has no cycle of imports', (name) => {
    expect(findCycle(sourceFiles(`packages/${name}/src`))).toBeUndefined();
  });
});

describe('clients', () => {
  const entries = names.flatMap(entryFiles).filter((file) => !CLIENT_ENTRIES.some((entry) => file.endsWith(`/src/${entry}`)));

  it.each(entries)('%s loads no client', (entry) => {
    const loaded = loadedWith(entry).filter((each) =>
      CLIENTS.some((client) => each.specifier === client || each.specifier.startsWith(`${client}/`)),
    );
    expect(show(loaded)).toEqual([]);
  });
});
