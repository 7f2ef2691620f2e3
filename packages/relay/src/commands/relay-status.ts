import type { Command } from '@txbox/core/spi';
import { inspectRelays, type RelayInspection } from '../relay-inspection.ts';
import { counted } from './counted.ts';
import { leaseTtlMsOf } from './relay-configuration.ts';
import { withServiceDatabase } from './service-database.ts';

/** Events are published within moments; older ones wait for a reason. */
const LONG_MS = 5_000;

/** `txbox relay status`: what waits, and who publishes it, by the database alone. */
export const relayStatusCommand: Command = {
  path: ['relay', 'status'],
  summary: 'Shows what waits in the outbox and which relays publish it.',
  options: { json: { type: 'boolean', description: 'print one JSON object' } },
  usesDatabase: true,
  run: (context) =>
    withServiceDatabase(context, 'relay status', [], async ({ database, tablePrefix }) => {
      const { options, output } = context;
      const found = await inspectRelays(database, leaseTtlMsOf(context), tablePrefix.tablePrefix);
      if (options['json'] === true) output.json(found);
      else for (const line of describeInspection(found)) output.line(line);
      return 0;
    }),
};

/** The inspection as lines for people. */
export function describeInspection({ database, pending, parked, relays, shardsWithoutRelay }: RelayInspection): string[] {
  const waiting =
    pending.rows === 0 ? 'nothing' : `${counted(pending.rows, 'event')}, ${pending.bytes} bytes, the oldest for ${pending.oldestAgeMs} ms`;
  const held = relays.flatMap(({ report }) => report?.held ?? []);
  const unexplained = pending.oldestAgeMs >= LONG_MS && relays.length > 0 && held.length === 0;
  return [
    `${database}: pending: ${waiting}`,
    ...(parked.deadLetters === 0
      ? []
      : [`parked: ${counted(parked.keys, 'key')} with ${counted(parked.deadLetters, 'dead letter')}: txbox dead-letters list`]),
    ...relays.flatMap(describeRelay),
    ...(relays.length === 0 ? ['no relay runs: start one with txbox relay start'] : []),
    ...(relays.length > 0 && shardsWithoutRelay.length > 0 ? [`shards without a relay: ${shardsWithoutRelay.join(', ')}`] : []),
    ...(unexplained ? ['why they wait, the log of the running relay says ("A topic is held", "A lane is held", …)'] : []),
  ];
}

function describeRelay({ id, version, startedAt, wake, shards, report }: RelayInspection['relays'][number]): string[] {
  const woken = wake === null ? 'is not woken' : `woken at ${wake}`;
  const first = `relay ${id.slice(0, 8)}: ${counted(shards.length, 'shard')}, since ${startedAt} UTC, ${woken}, version ${version}`;
  if (!report) return [first];
  const { published, settled, failedRequests, orderAlarms, rows, bytes, held, heldLanes } = report;
  return [
    first,
    `  published ${published}, settled ${settled}, failed requests ${failedRequests}, in memory ${rows} events of ${bytes} bytes`,
    ...(orderAlarms === 0 ? [] : [`  ORDER ALARMS: ${orderAlarms}: messages appeared below the low mark, raise lowLagMs`]),
    ...held.map(
      ({ topic, partition, code, message, attempts }) =>
        `  held: ${topic}${partition === undefined ? '' : `/${partition}`}: ${code} after ${attempts} attempts: ${message}`,
    ),
    ...(heldLanes > held.length ? [`  held: ${heldLanes - held.length} more`] : []),
  ];
}
