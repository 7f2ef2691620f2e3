import { expect, it } from 'vitest';
import { describeInspection } from '../../src/commands/relay-status.ts';
import type { RelayInspection } from '../../src/relay-inspection.ts';

const relay = { id: 'a1b2c3d4e5f6', version: '1.0.0', startedAt: '2026-01-01 00:00:00.000000', wake: null, shards: [0, 1] };
const inspection: RelayInspection = {
  database: 'orders on db',
  pending: { rows: 6, bytes: 1200, oldestAgeMs: 60_000 },
  relays: [relay],
  shardsWithoutRelay: [],
};
const text = (found: Partial<RelayInspection>): string => describeInspection({ ...inspection, ...found }).join('\n');

it('says where the reason stands when events wait although a relay runs', () => {
  expect(text({})).toMatch(/6 events, 1200 bytes, the oldest for 60000 ms[\s\S]*log of the running relay[\s\S]*status\(\)\.held/);
});

it('says nothing of reasons while events pass, or when no relay runs', () => {
  expect(text({ pending: { rows: 6, bytes: 1200, oldestAgeMs: 646 } })).not.toContain('log');
  expect(text({ pending: { rows: 0, bytes: 0, oldestAgeMs: 0 } })).not.toContain('log');
  expect(text({ relays: [] })).not.toContain('log of');
  expect(text({ relays: [] })).toContain('no relay runs');
});
