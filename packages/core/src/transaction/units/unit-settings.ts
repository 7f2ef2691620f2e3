import { defaultLogger, type Logger } from '../../runtime/logger.ts';
import type { OnLockTimeout } from '../doom.ts';

/** What may be set for all units of a resource. */
export interface UnitSettings {
  /**
   * What a lock wait time-out (1205) does to the unit: `doom` (default) or `continue`, right where
   * `innodb_rollback_on_timeout` is off, so that only the statement was undone.
   */
  readonly onLockTimeout?: OnLockTimeout;
  readonly logger?: Logger;
  /** Told what `afterCommit` callbacks and hooks after COMMIT throw, beside the logger; what it throws is logged. */
  readonly unhandled?: (error: unknown) => void;
}

/** Settings with their defaults. */
export const DEFAULT_UNIT_SETTINGS: Required<UnitSettings> = { onLockTimeout: 'doom', logger: defaultLogger, unhandled: () => undefined };
