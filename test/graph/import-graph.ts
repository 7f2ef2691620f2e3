import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';

/** An import of one source file. */
export interface Import {
  /** The importing file, relative to the root. */
  readonly from: string;
  readonly specifier: string;
  /** For relative imports: the imported file, relative to the root. */
  readonly to: string | undefined;
  /** Erased by the compiler. */
  readonly typeOnly: boolean;
  /** `import()`, evaluated when it is called. */
  readonly dynamic: boolean;
}

export const ROOT: string = resolve(import.meta.dirname, '../..');

/** Names of the workspace's packages. */
export function packageNames(): string[] {
  return readdirSync(join(ROOT, 'packages'));
}

/** Every source file of a package, relative to the root. */
export function sourceFiles(name: string): string[] {
  const folder = join(ROOT, 'packages', name, 'src');
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .map((file) => relative(ROOT, join(folder, file)));
}

const STATIC = /^\s*(?:import|export)\s+(type\s+)?(?:[^'";]*?\s+from\s+)?'([^']+)'/gm;
const DYNAMIC = /\bimport\(\s*'([^']+)'\s*\)/g;

/** The imports of a file. */
export function importsOf(file: string): Import[] {
  const source = readFileSync(join(ROOT, file), 'utf8');
  const make = (specifier: string, typeOnly: boolean, dynamic: boolean): Import => ({
    from: file,
    specifier,
    to: specifier.startsWith('.') ? relative(ROOT, resolve(ROOT, dirname(file), specifier)) : undefined,
    typeOnly,
    dynamic,
  });
  return [
    ...[...source.matchAll(STATIC)].map((match) => make(match[2] ?? '', match[1] !== undefined, false)),
    ...[...source.matchAll(DYNAMIC)].map((match) => make(match[1] ?? '', false, true)),
  ];
}

/** A cycle of files that load each other, or `undefined`. Type-only imports do not count: they are gone at run time. */
export function findCycle(files: readonly string[]): string[] | undefined {
  const edges = new Map(
    files.map((file) => [
      file,
      importsOf(file).flatMap((each) => (each.to !== undefined && !each.typeOnly && !each.dynamic ? [each.to] : [])),
    ]),
  );
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
