import type { Clock } from '@txbox/core/spi';
import { encodeHeaders, newMessageIdBytes, parkedKeyId } from '@txbox/core/spi';
import { MemoryArchive, MemoryDeadLetters, MemoryLeaseStore, MemoryLog, MemoryOutbox } from '@txbox/testing';
import { expect, it } from 'vitest';
import { LetterSender } from '../../src/dead-letters/letter-sender.ts';
import { ArchiveCleaner } from '../../src/maintenance/archive-cleaner.ts';
import { DeadLetterCleaner } from '../../src/maintenance/dead-letter-cleaner.ts';
import { Maintenance, type MaintenanceService } from '../../src/maintenance/maintenance.ts';
import { RelayEmitter } from '../../src/relay-event.ts';

const EVERY_MS = 60_000;

class HandClock implements Clock {
  at = 1_000_000;
  now(): number {
    return this.at;
  }
  monotonic(): number {
    return this.at;
  }
  sleep(): Promise<void> {
    return Promise.resolve();
  }
}

function twoRelays(): { clock: HandClock; done: string[]; relays: readonly [Maintenance, Maintenance] } {
  const clock = new HandClock();
  const leases = new MemoryLeaseStore(() => clock.at);
  const done: string[] = [];
  const relay = (name: string): Maintenance => {
    const service: MaintenanceService = {
      runOnce: async () => {
        done.push(name);
        return false;
      },
    };
    return new Maintenance({ services: [service], leases, self: Buffer.alloc(16, name), clock, everyMs: EVERY_MS });
  };
  return { clock, done, relays: [relay('a'), relay('b')] };
}

it('does the chores in one relay of two, pass after pass', async () => {
  const { clock, done, relays } = twoRelays();
  for (let pass = 0; pass < 5; pass++) {
    for (const relay of relays) expect(await relay.runOnce()).toBe(EVERY_MS);
    clock.at += EVERY_MS;
  }
  expect(done).toEqual(['a', 'a', 'a', 'a', 'a']);
});

it('goes on in the other relay at once when the first releases, and some passes later when it dies', async () => {
  const { clock, done, relays } = twoRelays();
  const [first, second] = relays;
  await first.runOnce();
  await second.runOnce();
  await first.release();
  await second.runOnce();
  expect(done).toEqual(['a', 'b']);
  for (let pass = 0; pass < 3; pass++) {
    clock.at += EVERY_MS;
    await first.runOnce();
  }
  expect(done).toEqual(['a', 'b', 'a']);
});

it('stops when another has taken the lease', async () => {
  const { clock, done, relays } = twoRelays();
  const [first, second] = relays;
  await first.runOnce();
  clock.at += 10 * EVERY_MS;
  await second.runOnce();
  await first.runOnce();
  expect(done).toEqual(['a', 'b']);
});

it('prunes the archive in parts, at once one after another, and says how much', async () => {
  const clock = new HandClock();
  const archive = new MemoryArchive(() => clock.at);
  const message = { topic: 't', key: null, type: 'x', sequence: null, headers: Buffer.alloc(0), payload: Buffer.alloc(0), bytes: 0 };
  for (let n = 0; n < 2_300; n++) archive.add({ ...message, id: Buffer.alloc(16, n) }, clock.at - (n < 2_200 ? 5_000 : 3_000));
  const events = new RelayEmitter();
  const cleaned: number[] = [];
  events.on('cleaned', ({ messages }) => cleaned.push(messages));
  const cleaner = new ArchiveCleaner({ archive, retentionMs: 4_000, events });
  const leases = new MemoryLeaseStore(() => clock.at);
  const maintenance = new Maintenance({ services: [cleaner], leases, self: Buffer.alloc(16, 1), clock, everyMs: EVERY_MS });
  expect(await maintenance.runOnce()).toBe(0);
  expect(await maintenance.runOnce()).toBe(0);
  expect(await maintenance.runOnce()).toBe(EVERY_MS);
  expect(cleaned).toEqual([1_000, 1_000, 200]);
  const span = await archive.span({});
  expect((await archive.read({}, span, 5_000, 1_000)).messages).toHaveLength(100);
});

it('discards dead letters that were kept for long enough, says so in the audit, and lets their keys go on', async () => {
  const clock = new HandClock();
  clock.at = Date.parse('2026-11-25T10:00:00Z');
  const RETENTION_MS = 86_400_000;
  const letters = new MemoryDeadLetters(() => clock.at);
  const log = new MemoryLog();
  log.createTopic('t', 1);
  const add = (key: string, text: string, attempts: number): void => {
    const id = newMessageIdBytes();
    const common = {
      topic: 't',
      key: Buffer.from(key),
      type: 'x',
      aggregateType: null,
      aggregateId: null,
      sequence: null,
      partition: null,
    };
    const parkedKey = parkedKeyId('t', common.key, id);
    const whole = { headers: encodeHeaders([]), payload: Buffer.from(text), bytes: 1, publishedAt: null, reason: null };
    letters.add({ ...common, ...whole, id, parkedKeyId: parkedKey, attempts });
  };
  add('a', 'bad', 3);
  clock.at += RETENTION_MS / 2;
  add('a', 'waits', 0);
  add('b', 'young', 3);
  const events = new RelayEmitter();
  const cleaned: unknown[] = [];
  events.on('cleaned', (event) => cleaned.push(event));
  const { signal } = new AbortController();
  const plan = { letters, publisher: log.publisher(), clock, actor: 'relay 1', signal };
  const sender = new LetterSender({ ...plan, pins: new MemoryOutbox(), random: () => 1, force: false, onSent: () => undefined });
  const cleaner = new DeadLetterCleaner({ ...plan, sender, leaseTtlMs: 10_000, retentionMs: RETENTION_MS, events });
  clock.at += RETENTION_MS / 2 - 1;
  await cleaner.runOnce();
  expect(cleaned).toEqual([]);
  clock.at += 1;
  await cleaner.runOnce();
  expect(cleaned).toEqual([{ what: 'dead-letters', messages: 1 }]);
  expect(log.readAll('t').map(({ value }) => String(value))).toEqual(['waits']);
  expect(letters.audit.map(({ action, actor }) => [action, actor])).toEqual([
    ['expire', 'relay 1'],
    ['redrive', 'relay 1'],
  ]);
  expect((await letters.list({}, 0, 10)).map(({ key }) => String(key))).toEqual(['b']);
});
