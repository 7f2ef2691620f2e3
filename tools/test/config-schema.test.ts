import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { configSchema, SCHEMA_FILE } from '../config-schema.ts';

it('the JSON Schema of a configuration file is what the packages declare (npm run docs makes it anew)', async () => {
  expect(JSON.parse(readFileSync(SCHEMA_FILE, 'utf8'))).toEqual(JSON.parse(JSON.stringify(await configSchema())));
});

it('says of every section and option what it is', async () => {
  const nameless: string[] = [];
  const look = ({ properties = {}, anyOf = [] }: Awaited<ReturnType<typeof configSchema>>, path: string, depth: number): void => {
    for (const alternative of anyOf) look(alternative, path, depth);
    for (const [name, option] of Object.entries(properties)) {
      if (name !== 'kind' && option.description === undefined) nameless.push(`${path}${name}`);
      if (depth > 0) look(option, `${path}${name}.`, depth - 1);
    }
  };
  look(await configSchema(), '', 1);
  // `inbox.database` is a database, as `database` is.
  expect(nameless).toEqual(['inbox.database']);
});
