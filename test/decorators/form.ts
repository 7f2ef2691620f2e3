import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

const ROOT = join(import.meta.dirname, '../..');

export type Decorated = typeof import('./decorated.ts');
type LegacyDecorator = (target: object, key: string | symbol, descriptor: TypedPropertyDescriptor<any>) => unknown;

/** One way to compile decorators. */
export interface Form {
  readonly name: string;
  /** The compiler's options. */
  readonly options: object;
  /** A decorator that knows the legacy form only, as a decorator of this form. */
  readonly adapt: (decorator: unknown) => any;
}

/** Both forms that the decorators have. */
export const FORMS: readonly (readonly [string, Form])[] = [
  {
    name: 'legacy',
    options: { experimentalDecorators: true, emitDecoratorMetadata: true, useDefineForClassFields: false },
    adapt: (decorator: unknown) => decorator,
  },
  {
    name: 'TC39',
    options: {},
    adapt: (decorator: unknown) => (value: unknown, context: ClassMethodDecoratorContext) => {
      const descriptor = { value, writable: true, configurable: true };
      (decorator as LegacyDecorator)({}, context.name, descriptor);
      return descriptor.value;
    },
  },
].map((form) => [form.name, form]);

/** The decorated classes as a project with these options compiles them; rejects with what the compiler says of their types. */
export async function compileDecorated({ name, options }: Form): Promise<void> {
  await inFolder(name, (folder) => compile(folder, { ...options, noEmit: true, customConditions: ['@txbox/source'], rootDir: ROOT }));
}

/** The decorated classes, compiled in a form. */
export async function loadDecorated({ name, options }: Form): Promise<Decorated> {
  return await inFolder(name, async (folder) => {
    await compile(folder, { ...options, noCheck: true, noResolve: true, outDir: folder, rootDir: import.meta.dirname });
    return (await import(join(folder, 'decorated.js'))) as Decorated;
  });
}

/** A folder inside of this package, so that imports are resolved as here. */
async function inFolder<T>(name: string, work: (folder: string) => Promise<T>): Promise<T> {
  const parent = join(ROOT, 'test/dist/decorators');
  mkdirSync(parent, { recursive: true });
  const folder = mkdtempSync(join(parent, `${name}-`));
  try {
    return await work(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function compile(folder: string, options: object): Promise<void> {
  const config = {
    extends: join(ROOT, 'tsconfig.base.json'),
    compilerOptions: { composite: false, declaration: false, declarationMap: false, isolatedDeclarations: false, ...options },
    files: [join(import.meta.dirname, 'decorated.ts')],
    include: [],
  };
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(config));
  try {
    await promisify(execFile)(join(ROOT, 'node_modules/.bin/tsc'), ['--project', folder]);
  } catch (error) {
    throw new Error(`the decorated classes do not compile:\n${(error as { stdout?: string }).stdout}`);
  }
}
