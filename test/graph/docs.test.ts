// Documents say what is so: links lead somewhere, code compiles, tables of options hold every option and no other.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';

const ROOT = resolve(import.meta.dirname, '../..');
const DOCUMENTS = [
  ...readdirSync(ROOT).filter((name) => name.endsWith('.md')),
  ...readdirSync(join(ROOT, 'docs'), { recursive: true, encoding: 'utf8' }).flatMap((name) =>
    // The API reference is generated, and compared as a whole.
    name.endsWith('.md') && !name.startsWith('api/') ? [join('docs', name)] : [],
  ),
];
const textOf = (file: string): string => readFileSync(join(ROOT, file), 'utf8');
const withoutCode = (text: string): string => text.replace(/^```[\s\S]*?^```/gm, '').replace(/`[^`\n]*`/g, '');

/** The anchors of a document's headings, as GitHub makes them. */
function anchorsOf(file: string): string[] {
  const headings = textOf(file)
    .replace(/^```[\s\S]*?^```/gm, '')
    .matchAll(/^#+ +(.+)$/gm);
  return [...headings].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replace(/ /g, '-'),
  );
}

/** Every file below a folder, with its text. */
function filesIn(folder: string): Record<string, string> {
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.md'));
  return Object.fromEntries(names.toSorted().map((name) => [name, readFileSync(join(folder, name), 'utf8')]));
}

it('docs/api is what the docstrings say (npm run docs makes it anew)', () => {
  const folder = mkdtempSync(join(tmpdir(), 'txbox-api-'));
  try {
    execFileSync(process.execPath, [join(ROOT, 'tools/api-reference/generate.ts'), folder], { stdio: 'pipe' });
    expect(filesIn(folder)).toEqual(filesIn(join(ROOT, 'docs/api')));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}, 120_000);

describe.each(DOCUMENTS)('%s', (file) => {
  it('has only links that lead somewhere', () => {
    const broken = [...withoutCode(textOf(file)).matchAll(/\]\(([^)\s]+)\)/g)]
      .map(([, target = '']) => target)
      .filter((target) => !/^(https?|mailto):/.test(target))
      .filter((target) => {
        const [path = '', anchor] = target.split('#');
        const to = path === '' ? file : join(dirname(file), path);
        if (!existsSync(join(ROOT, to))) return true;
        return anchor !== undefined && !anchorsOf(to).includes(anchor);
      });
    expect(broken).toEqual([]);
  });
});

it('every document of docs/ is linked from the README', () => {
  const readme = textOf('README.md');
  expect(DOCUMENTS.filter((file) => /^docs\/[^/]+$/.test(file) && !readme.includes(`(${file})`))).toEqual([]);
});

it('code in docs/ compiles against the sources', () => {
  const folder = join(ROOT, 'test/dist/documents');
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const blocks = DOCUMENTS.filter((file) => file.startsWith('docs/')).flatMap((file) =>
    [...textOf(file).matchAll(/^```ts *(\S*)\n([\s\S]*?)^```/gm)].map(([, name, code], index) => ({
      // A block without a name is a file of its own.
      name: name === '' ? `${file.replace(/\W/g, '-')}-${index}.ts` : (name as string),
      code: code as string,
    })),
  );
  expect(blocks.length).toBeGreaterThan(3);
  for (const { name, code } of blocks) writeFileSync(join(folder, name), code);
  const config = {
    extends: relative(folder, join(ROOT, 'tsconfig.base.json')),
    compilerOptions: {
      noEmit: true,
      composite: false,
      rewriteRelativeImportExtensions: false,
      allowImportingTsExtensions: true,
      isolatedDeclarations: false,
      declarationMap: false,
      experimentalDecorators: true,
      customConditions: ['@txbox/source'],
      rootDir: ROOT,
    },
    include: ['*.ts'],
  };
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(config));
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ type: 'module' }));
  const run = (): string => {
    try {
      return execFileSync(process.execPath, [join(ROOT, 'node_modules/typescript/bin/tsc'), '-p', folder], { encoding: 'utf8' });
    } catch (error) {
      return String((error as { stdout?: string }).stdout ?? error);
    }
  };
  expect(run()).toBe('');
}, 60_000);

/** `<!-- options: file Interface[, file Interface …] [- names left out] -->` stands before a table of these interfaces' properties. */
const TABLE = /<!-- options: ([^>]+?) *-->\n((?:\|.*\n)+)/g;

/** Names of the properties that an interface declares itself. */
function propertiesOf(file: string, name: string): string[] {
  const body = new RegExp(`^(?:export )?interface ${name}\\b[^{]*\\{\\n([\\s\\S]*?)^\\}`, 'm').exec(textOf(file))?.[1];
  if (body === undefined) throw new Error(`${file} has no interface ${name}.`);
  return [...body.matchAll(/^ {2}(?:readonly )?(\w+)\??[:(]/gm)].map(([, property]) => property as string);
}

const tables = DOCUMENTS.flatMap((file) =>
  [...textOf(file).matchAll(TABLE)].map(([, of, table]) => ({ file, of: of as string, table: table as string })),
);

it('tables of options are found', () => {
  expect(tables.length).toBe(DOCUMENTS.map((file) => textOf(file).split('<!-- options:').length - 1).reduce((sum, n) => sum + n));
  expect(tables.length).toBeGreaterThan(4);
});

it.each(tables)('the table of $of in $file has every option and no other', ({ of, table }) => {
  const [interfaces = '', leftOut = ''] = of.split(' - ');
  const declared = interfaces.split(',').flatMap((each) => {
    const [file = '', name = ''] = each.trim().split(/\s+/);
    return propertiesOf(file, name);
  });
  const documented = table
    .split('\n')
    .slice(2)
    .flatMap((line) => [...(line.split('|')[1] ?? '').matchAll(/`(\w+)`/g)].map(([, name]) => name as string));
  const expected = new Set(declared.filter((name) => !leftOut.split(/\s+/).includes(name)));
  expect([...new Set(documented)].sort()).toEqual([...expected].sort());
});
