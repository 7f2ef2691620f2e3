import type { Dialect } from '../sql/dialect.ts';

const QUOTES = String.raw`'(?:[^'\\]|\\[\s\S]|'')*'|"(?:[^"\\]|\\[\s\S]|"")*"|\x60[^\x60]*\x60`;
// MySQL executes what stands in /*! */ and, on MariaDB, in /*M! */; only their marks are white space.
const COMMENTS = String.raw`\/\*M?!\d*|\*\/|\/\*[\s\S]*?(?:\*\/|$)|#[^\n]*`;
const LEADING = /^(?:\s+|--[^\n]*(?:\n|$)|#[^\n]*(?:\n|$)|\/\*(?!M?!)[\s\S]*?(?:\*\/|$)|\/\*M?!\d*|\*\/|;)*/;
const TOKENS = {
  mysql: new RegExp(String.raw`${QUOTES}|${COMMENTS}|--(?=\s|$)[^\n]*|;`, 'g'),
  sqlite: /'(?:[^']|'')*'|"(?:[^"]|"")*"|\x60[^\x60]*\x60|\[[^\]]*\]|\/\*[\s\S]*?(?:\*\/|$)|--[^\n]*|;/g,
} as const;

/** The text of a statement from its first word on. */
export function fromFirstWord(sql: string): string {
  const length = LEADING.exec(sql)?.[0].length ?? 0;
  return length === 0 ? sql : sql.slice(length);
}

/** The statements of a text, without comments and the white space around them; what stands in quotes is kept. */
export function statementsIn(sql: string, { name }: Dialect): string[] {
  const bare = sql.replace(TOKENS[name], (token) => (token === ';' ? '\0' : /^['"`[]/.test(token) ? token.replaceAll('\0', ' ') : ' '));
  return bare
    .split('\0')
    .map((statement) => statement.trim())
    .filter((statement) => statement !== '');
}

/** The beginning of a statement for messages: nothing that stands in quotes, which may be a password or a payload. */
export function excerpt(sql: string): string {
  const line = sql
    .slice(0, 300)
    .replace(/['"][\s\S]*/, "'…'")
    .trim()
    .replace(/\s+/g, ' ');
  return JSON.stringify(line.length > 60 ? `${line.slice(0, 60)}…` : line);
}
