import { hostname, userInfo } from 'node:os';
import { type CommandOption, TxboxError } from '@txbox/core/spi';

/** Who decides, for the audit. */
export const ACTOR_OPTION: CommandOption = { type: 'string', description: 'who decides it, for the audit (default: user@host)' };

/** The actor that was given, else the user of this process. Throws `OPTIONS_INVALID`. */
export function actorOf(given: unknown): string {
  if (given === '') throw new TxboxError('OPTIONS_INVALID', '--actor must not be empty.');
  if (typeof given === 'string') return given;
  try {
    return `${userInfo().username}@${hostname()}`;
  } catch {
    // A container's user may have no name.
    return `${process.getuid?.() ?? 'unknown'}@${hostname()}`;
  }
}
