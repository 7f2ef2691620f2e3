import { TxboxError } from '@txbox/core';
import type { LoadedConfig } from './config-file.ts';

const SECTIONS = ['database', 'publisher', 'relay', 'http', 'inbox'];

/** Refuses sections that nobody reads, databases without a url, and what the command found, all problems in one `CONFIG_INVALID`. */
export function checkConfigSections(config: LoadedConfig, found: readonly string[] = []): void {
  const problems = Object.keys(config.value)
    .filter((name) => !SECTIONS.includes(name))
    .map((name) => `unknown section ${JSON.stringify(name)} (known: ${SECTIONS.join(', ')})`);
  if ('database' in config.value) problems.push(...databaseProblems('database', config.value['database']));
  const inbox = config.value['inbox'];
  if (inbox !== undefined) problems.push(...databaseProblems('inbox.database', (inbox as Record<string, unknown> | null)?.['database']));
  problems.push(...found);
  if (problems.length === 0) return;
  throw new TxboxError('CONFIG_INVALID', `${config.path}: ${problems.join('; ')}.`, { details: { path: config.path, problems } });
}

function databaseProblems(name: string, value: unknown): string[] {
  if (typeof value !== 'object' || value === null) return [`${name} must be { url, tablePrefix? }`];
  const { url, tablePrefix, ...rest } = value as Record<string, unknown>;
  const problems = Object.keys(rest).map((key) => `unknown key ${name}.${key} (known: url, tablePrefix)`);
  if (typeof url !== 'string' || !/^(mysql|mariadb|sqlite):/.test(url)) {
    const got =
      url === undefined || url === '' ? `, got ${url === '' ? 'an empty text' : 'nothing'} (is the environment variable set?)` : '';
    problems.push(`${name}.url must begin with mysql:, mariadb: or sqlite:${got}`);
  }
  if (tablePrefix !== undefined && typeof tablePrefix !== 'string') problems.push(`${name}.tablePrefix must be text`);
  return problems;
}
