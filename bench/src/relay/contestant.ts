import type { ClientName } from './bare-client.ts';

/**
 * Who publishes: the client alone (with the same records; without their headers; with all of them on one key), txbox's relay, a
 * relay with a status column that takes batches by SKIP LOCKED (with one or four workers), one that sends and marks row by row.
 */
export type ContestantKind =
  | 'bare client'
  | 'bare client, no headers'
  | 'bare client, one key'
  | 'txbox'
  | 'SKIP LOCKED'
  | 'SKIP LOCKED, 4 workers'
  | 'row by row';

/** What a contestant is started with. */
export interface ContestantSettings {
  readonly kind: ContestantKind;
  readonly client: ClientName;
  readonly databaseUrl: string;
  readonly brokers: readonly string[];
  readonly topic: string;
  /** The pause after a look that found nothing, milliseconds. Default: relays of others end, txbox's keeps to its own defaults. */
  readonly pollMs?: number;
}

/** Somebody who publishes. Each lives in a process of its own. */
export interface Contestant {
  /** Begins; what was prepared until then is not measured. */
  begin(): Promise<void>;
  /** Resolves when so many events, since it began, are acknowledged and, where there is an outbox, done with in it. */
  drained(rows: number): Promise<void>;
  /** Ends; may begin again. */
  end(): Promise<void>;
  /** One event, acknowledged: milliseconds. The bare client only. */
  sendOne?(): Promise<number>;
  /** When (`hrtime`, milliseconds) events were acknowledged since the last question. */
  acknowledgedAt?(): number[];
  /** How long pages took since the last question, milliseconds, by whether they showed rows. txbox only. */
  pageReads?(): PageReads;
}

export interface PageReads {
  readonly withRows: readonly number[];
  readonly empty: readonly number[];
}

/** Now, on the clock that all processes of a machine share, in milliseconds. */
export function machineNow(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
