import type { HeldLane } from './held-lane.ts';
import type { RelayCounts } from './relay-run.ts';

/** What a running relay leaves in the database for those who look from outside, at a third of the leases' TTL. */
export interface RelayReport extends Readonly<RelayCounts> {
  /** Events in memory, and about their bytes. */
  readonly rows: number;
  readonly bytes: number;
  /** Lanes and topics that do not move, at most {@link MOST_HELD}. */
  readonly held: readonly HeldLane[];
  /** How many there are. */
  readonly heldLanes: number;
}

/** So many lanes are named in a report. */
export const MOST_HELD = 50;

/** `undefined` for what is no report of this release's kind. */
export function parseReport(text: string): RelayReport | undefined {
  try {
    const report = JSON.parse(text) as Partial<RelayReport> | null;
    return typeof report === 'object' && Array.isArray(report?.held) ? (report as RelayReport) : undefined;
  } catch {
    return undefined;
  }
}
