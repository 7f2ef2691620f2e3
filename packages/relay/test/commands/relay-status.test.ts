import { expect, it } from 'vitest';
import { describeInspection } from '../../src/commands/relay-status.ts';
import type { RelayInspection } from '../../src/relay-inspection.ts';

const relay = { id: 'a1b2c3d4e5f6', version: '1.0.0', startedAt: '2026-01-01 00:00:00.000000', wake: null, shards: [0, 1], report: null };
const inspection: RelayInspection = {
  database: 'orders on db',
  pending: { rows: 6, bytes: 1200, oldestAgeMs: 60_000 },
  parked: { keys: 0, deadLetters: 0 },
  relays: [relay],
  shards: [],
  shardsWithoutRelay: [],
};
const text = (found: Partial<RelayInspection>): string => describeInspection({ ...inspection, ...found }).join('\n');

it('says where the reason stands when events wait although a relay runs', () => {
  expect(text({})).toMatch(/6 events, 1200 bytes, the oldest for 60000 ms[\s\S]*log of the running relay/);
});

it('says nothing of reasons while events pass, or when no relay runs', () => {
  expect(text({ pending: { rows: 6, bytes: 1200, oldestAgeMs: 646 } })).not.toContain('log');
  expect(text({ pending: { rows: 0, bytes: 0, oldestAgeMs: 0 } })).not.toContain('log');
  expect(text({ relays: [] })).not.toContain('log of');
  expect(text({ relays: [] })).toContain('no relay runs');
});

it('says what a relay holds and why, what is parked, and that an order alarm was raised', () => {
  const held = {
    topic: 'orders',
    partition: 3,
    rows: 7,
    code: 'BROKER_UNAVAILABLE',
    message: 'no broker answers',
    attempts: 4,
    retryInMs: 9,
  };
  const counts = { published: 5, settled: 4, failedRequests: 4, orderAlarms: 2, parked: 1 };
  const report = { ...counts, rows: 7, bytes: 700, held: [held], heldLanes: 3 };
  const said = text({ relays: [{ ...relay, report }], parked: { keys: 1, deadLetters: 4 } });
  expect(said).toMatch(/held: orders\/3: BROKER_UNAVAILABLE after 4 attempts: no broker answers\n +held: 2 more/);
  expect(said).toMatch(/ORDER ALARMS: 2/);
  expect(said).toMatch(/parked: 1 key with 4 dead letters/);
  expect(said).not.toContain('log of');
});
