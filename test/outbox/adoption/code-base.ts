import { randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

const SHOP = join(import.meta.dirname, 'shop');
const COPIES = join(import.meta.dirname, '../../dist/adoption');

export type Shop = typeof import('./shop/shop.ts') & typeof import('./shop/data-source.ts');

/** What of the shop is there for its events, by file. Nothing else of it knows the framework. */
const ADDED = {
  /** The definitions of the events, a file of their own. */
  definitions: 'events.ts',
  /** Whole lines. */
  decorator: /^ {2}@(?:Transactional|Publishes|PublishesEach)\(.*\)$/,
  setUp: /^export const outbox = createOutbox\(\{ dataSource \}\);$/,
  import: /^import \{ [\w, ]+ \} from '(?:@txbox\/outbox|@txbox\/outbox\/typeorm|\.\.\/events\.ts)';$/,
} as const;

type Kind = keyof typeof ADDED;

interface Sources {
  /** Texts by path. */
  readonly files: ReadonlyMap<string, string>;
  /** What was taken away. */
  readonly without: readonly { readonly kind: Kind; readonly file: string; readonly line: string }[];
}

/** The shop as it is, with events. */
export function shopAfter(): Sources {
  const paths = readdirSync(SHOP, { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.ts'));
  return { files: new Map(paths.map((path) => [path, readFileSync(join(SHOP, path), 'utf8')])), without: [] };
}

/** The shop as it was before: the same without what was added. */
export function shopBefore(): Sources {
  const files = new Map<string, string>();
  const without: { kind: Kind; file: string; line: string }[] = [];
  for (const [file, text] of shopAfter().files) {
    if (file === ADDED.definitions) without.push({ kind: 'definitions', file, line: '' });
    else {
      const kept = text.split('\n').filter((line) => {
        const kind = (['decorator', 'setUp', 'import'] as const).find((one) => ADDED[one].test(line));
        if (kind) without.push({ kind, file, line });
        return kind === undefined;
      });
      files.set(file, kept.join('\n'));
    }
  }
  return { files, without };
}

/** Runs the sources as a program of their own, on that database and with that TypeORM. */
export async function load(sources: Sources, { url, typeorm }: { url: string; typeorm: string }): Promise<Shop> {
  // Inside of this package, so that imports are resolved as here.
  const folder = join(COPIES, randomBytes(6).toString('hex'));
  for (const [path, text] of sources.files) {
    const copy = join(folder, path);
    mkdirSync(dirname(copy), { recursive: true });
    writeFileSync(copy, text.replace(/ from 'typeorm';$/gm, ` from '${typeorm}';`));
  }
  process.env['SHOP_DATABASE_URL'] = url;
  try {
    return { ...(await import(join(folder, 'data-source.ts'))), ...(await import(join(folder, 'shop.ts'))) } as Shop;
  } finally {
    delete process.env['SHOP_DATABASE_URL'];
    rmSync(folder, { recursive: true });
  }
}
