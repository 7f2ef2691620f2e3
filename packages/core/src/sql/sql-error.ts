import { isTxboxError } from '../runtime/error.ts';

/** What drivers say of an error. */
export interface DriverError {
  /** The server's error number (MySQL), 0 when the error is not the server's. */
  readonly errno: number;
  /** The driver's or the system's code, for example `ER_DUP_ENTRY`, `ECONNRESET`, `SQLITE_BUSY`; '' when there is none. */
  readonly code: string;
  readonly message: string;
  /** mysql2: the connection is unusable from here on. */
  readonly fatal: boolean;
}

/** The driver's own error behind what an ORM or the framework made of it. Total. */
export function driverErrorOf(error: unknown): DriverError {
  let current = error;
  for (let depth = 0; depth < 5 && typeof current === 'object' && current !== null; depth++) {
    const { driverError, cause } = current as { driverError?: unknown; cause?: unknown };
    const inner = driverError ?? (isTxboxError(current) ? cause : undefined);
    if (inner === undefined) break;
    current = inner;
  }
  const facts = (typeof current === 'object' && current !== null ? current : {}) as Record<string, unknown>;
  return {
    errno: typeof facts['errno'] === 'number' ? facts['errno'] : 0,
    code: typeof facts['code'] === 'string' ? facts['code'] : '',
    message: typeof facts['message'] === 'string' ? facts['message'] : String(current),
    fatal: facts['fatal'] === true,
  };
}
