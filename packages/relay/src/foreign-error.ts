import { inspect } from 'node:util';

/** Code and message of whatever was thrown, for reasons and events. Total. */
export function describeError(error: unknown): { readonly code: string; readonly message: string } {
  try {
    if (typeof error !== 'object' || error === null) return { code: 'UNKNOWN', message: String(error) };
    const { code, name, type, message } = error as { code?: unknown; name?: unknown; type?: unknown; message?: unknown };
    const named = [code, type, name].find((value) => (typeof value === 'string' && value !== '') || typeof value === 'number');
    return { code: named === undefined ? 'UNKNOWN' : String(named), message: typeof message === 'string' ? message : inspect(error) };
  } catch {
    return { code: 'UNKNOWN', message: 'something was thrown that cannot be read' };
  }
}
