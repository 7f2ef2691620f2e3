/** An instant in milliseconds since 1970 as rows show times: UTC, `YYYY-MM-DD HH:MM:SS.ffffff`. */
export function sqlTimeOf(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 23).replace('T', ' ')}000`;
}

/** The instant of such a time, whole milliseconds. */
export function instantOfSqlTime(time: string): number {
  return Date.parse(`${time.slice(0, 23).replace(' ', 'T')}Z`);
}
