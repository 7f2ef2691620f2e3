export { REFUSALS, type RefusalCode } from './doctor/refusals.ts';
export type { HeldLane } from './held-lane.ts';
export type { HoldReason } from './lane.ts';
export { createRelay, type Relay, type RelayStatus } from './relay.ts';
export type { LaneName, RelayEvents } from './relay-event.ts';
export type { ArchiveOptions, DeadLetterOptions, RelayOptions, RelaySettings } from './relay-options.ts';
export type { RelayCounts } from './relay-run.ts';
export type { OnPermanentFailure } from './sender.ts';
export type { WakeOptions } from './wake-listener.ts';
