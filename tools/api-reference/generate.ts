// The API reference of docs/api, from the docstrings of every public entry: `generate.ts [folder]`, by default docs/api and with it
// the JSON Schema of configuration files.
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Application } from 'typedoc';

const ROOT = resolve(import.meta.dirname, '../..');
/** Entries between the framework's own packages, and of its command line. */
const INTERNAL = new Set(['./spi', './store', './commands', './conformance', './package.json']);
// TypeORM's, mysql2's and SQLite's resources of core are for the packages too.
const PACKAGES_OF_ENTRIES = new Set(['@txbox/core']);

/** Source file of each public entry, with its name. */
function publicEntries(): Map<string, string> {
  const entries = new Map<string, string>();
  for (const folder of readdirSync(join(ROOT, 'packages'))) {
    const { name, exports } = JSON.parse(readFileSync(join(ROOT, 'packages', folder, 'package.json'), 'utf8')) as {
      name: string;
      exports?: Record<string, { '@txbox/source'?: string }>;
    };
    for (const [path, { '@txbox/source': source }] of Object.entries(exports ?? {})) {
      if (source === undefined || INTERNAL.has(path) || (path !== '.' && PACKAGES_OF_ENTRIES.has(name))) continue;
      entries.set(join(ROOT, 'packages', folder, source), join(name, path));
    }
  }
  return entries;
}

const out = resolve(process.argv[2] ?? join(ROOT, 'docs/api'));
const entries = publicEntries();
const application = await Application.bootstrapWithPlugins({
  plugin: ['typedoc-plugin-markdown'],
  tsconfig: join(import.meta.dirname, 'tsconfig.json'),
  entryPoints: [...entries.keys()],
  basePath: ROOT,
  outputs: [{ name: 'markdown', path: out }],
  router: 'module',
  readme: 'none',
  name: 'API reference',
  hideGenerator: true,
  disableSources: true,
  excludePrivate: true,
  excludeExternals: true,
  skipErrorChecking: true,
  logLevel: 'Warn',
  ...{ hideBreadcrumbs: true, useCodeBlocks: true, parametersFormat: 'table', interfacePropertiesFormat: 'table' },
});
const project = await application.convert();
if (!project) throw new Error('the sources could not be read');
// Named after their files until here.
const byFile = new Map([...entries].map(([file, name]) => [file.slice(ROOT.length + 1).replace(/(?:\/index)?\.ts$/, ''), name]));
for (const module of project.children ?? []) {
  const name = byFile.get(module.name);
  if (name === undefined) throw new Error(`no entry is made of ${module.name}`);
  module.name = name;
}
rmSync(out, { recursive: true, force: true });
await application.generateOutputs(project);
if (process.argv[2] === undefined) {
  const { configSchema, SCHEMA_FILE } = await import('../config-schema.ts');
  writeFileSync(SCHEMA_FILE, `${JSON.stringify(await configSchema(), null, 2)}\n`);
}
