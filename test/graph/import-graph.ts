import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';

/** An import of one source file. */
export interface Import {
  /** The importing file, relative to the root. */
  readonly from: string;
  readonly specifier: string;
  /** The imported file of this workspace, relative to the root; `undefined` for everything from elsewhere. */
  readonly to: string | undefined;
  /** Erased by the compiler. */
  readonly typeOnly: boolean;
  /** `import()`, evaluated when it is called. */
  readonly dynamic: boolean;
}

const ROOT = resolve(import.meta.dirname, '../..');
const STATIC = /^[ \t]*(?:import|export)\s+(type\s+)?(?:[^'";]*?\s+from\s+)?'([^']+)'/gm;
const DYNAMIC = /\bimport\(\s*'([^']+)'\s*\)/g;
const OF_WORKSPACE = /^@txbox\/([^/]+)(?:\/(.+))?$/;

const read = new Map<string, readonly Import[]>();

/** Names of the workspace's packages. */
export function packageNames(): string[] {
  return readdirSync(join(ROOT, 'packages'));
}

/** The source files that a package's `exports` and `bin` name, relative to the root. */
export function entryFiles(name: string): string[] {
  const { exports, bin } = JSON.parse(textOf(`packages/${name}/package.json`)) as {
    exports: Record<string, string | { '@txbox/source': string }>;
    bin?: Record<string, string>;
  };
  const sources = Object.values(exports).flatMap((each) => (typeof each === 'string' ? [] : [each['@txbox/source']]));
  const bins = Object.values(bin ?? {}).map((file) => file.replace('/dist/', '/src/').replace(/\.js$/, '.ts'));
  return [...sources, ...bins].map((file) => join('packages', name, file));
}

/** Every source file of a folder of the workspace, relative to the root. */
export function sourceFiles(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return ['node_modules', 'dist'].includes(entry.name) ? [] : sourceFiles(path);
    return path.endsWith('.ts') ? [path] : [];
  });
}

/** The text of a file given relative to the root. */
export function textOf(file: string): string {
  return readFileSync(join(ROOT, file), 'utf8');
}

/** The imports of a file. */
export function importsOf(file: string): readonly Import[] {
  const known = read.get(file);
  if (known) return known;
  const source = textOf(file);
  const make = (specifier: string, typeOnly: boolean, dynamic: boolean): Import => ({
    from: file,
    specifier,
    to: targetOf(file, specifier),
    typeOnly,
    dynamic,
  });
  const found = [
    ...[...source.matchAll(STATIC)].map((match) => make(match[2] ?? '', match[1] !== undefined, false)),
    ...[...source.matchAll(DYNAMIC)].map((match) => make(match[1] ?? '', false, true)),
  ];
  read.set(file, found);
  return found;
}

/** A cycle of files that load each other, or `undefined`. Type-only imports do not count: they are gone at run time. */
export function findCycle(files: readonly string[]): string[] | undefined {
  const edges = new Map(files.map((file) => [file, loadsOf(file).flatMap((each) => (each.to === undefined ? [] : [each.to]))]));
  const done = new Set<string>();
  const visit = (file: string, path: readonly string[]): string[] | undefined => {
    if (path.includes(file)) return [...path.slice(path.indexOf(file)), file];
    if (done.has(file)) return undefined;
    for (const next of edges.get(file) ?? []) {
      const cycle = visit(next, [...path, file]);
      if (cycle) return cycle;
    }
    done.add(file);
    return undefined;
  };
  for (const file of files) {
    const cycle = visit(file, []);
    if (cycle) return cycle;
  }
  return undefined;
}

/** Everything from outside the workspace that is loaded when a file is, also through other files and packages. */
export function loadedWith(entry: string): Import[] {
  const seen = new Set<string>();
  const visit = (file: string): Import[] => {
    if (seen.has(file)) return [];
    seen.add(file);
    return loadsOf(file).flatMap((each) => (each.to === undefined ? [each] : visit(each.to)));
  };
  return visit(entry);
}

function loadsOf(file: string): Import[] {
  return importsOf(file).filter((each) => !each.typeOnly && !each.dynamic);
}

function targetOf(file: string, specifier: string): string | undefined {
  if (specifier.startsWith('.')) return join(dirname(file), specifier);
  const [, name, entry = 'index'] = OF_WORKSPACE.exec(specifier) ?? [];
  return name !== undefined && packageNames().includes(name) ? join('packages', name, 'src', `${entry}.ts`) : undefined;
}
