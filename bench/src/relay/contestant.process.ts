// A contestant in a process of its own: `node contestant.process.js <settings as JSON>`. Answers one order after another.
import type { Publisher, WireRecord } from '@txbox/core/spi';
import { kafkajs } from '@txbox/kafka/kafkajs';
import { platformatic } from '@txbox/kafka/platformatic';
import { type BareClient, type ClientName } from './bare-client.ts';
import { THE_KEY } from './bench-site.ts';
import { bareKafkajs } from './clients/kafkajs.ts';
import { barePlatformatic } from './clients/platformatic.ts';
import type { Contestant, ContestantSettings } from './contestant.ts';
import type { Order } from './contestant-process.ts';
import { bareClientContestant } from './contestants/bare-client.ts';
import { rowByRowRelay, skipLockedRelay } from './contestants/polling-relay.ts';
import { txboxRelay } from './contestants/txbox-relay.ts';
import { measuredDrain } from './drain-sample.ts';
import { readRecords } from './records.ts';

const settings = JSON.parse(process.argv[2] as string) as ContestantSettings;
const clients: Readonly<Record<ClientName, (brokers: readonly string[]) => Promise<BareClient>>> = {
  kafkajs: bareKafkajs,
  platformatic: barePlatformatic,
};

/** What the bare client sends of the records. */
const CHANGES: Readonly<Record<string, (record: WireRecord) => WireRecord>> = {
  'bare client, no headers': (record) => ({ ...record, headers: [] }),
  'bare client, one key': (record) => ({ ...record, key: THE_KEY }),
};

const contestant = await start(settings);

async function start({ kind, client: name, databaseUrl, brokers, topic, pollMs }: ContestantSettings): Promise<Contestant> {
  if (kind === 'txbox') {
    const publisher = (): Publisher => (name === 'kafkajs' ? kafkajs({ brokers }) : platformatic({ brokers }));
    return txboxRelay({ databaseUrl, publisher, pollMs });
  }
  const client = await clients[name](brokers);
  const plan = { databaseUrl, client, workers: kind === 'SKIP LOCKED, 4 workers' ? 4 : 1, ...(pollMs === undefined ? {} : { pollMs }) };
  if (kind === 'row by row') return rowByRowRelay(plan);
  if (kind.startsWith('SKIP LOCKED')) return skipLockedRelay(plan);
  return bareClientContestant(client, topic, (await readRecords(databaseUrl)).map(CHANGES[kind] ?? ((record) => record)));
}

process.on('message', (order: Order | 'close') => {
  if (order === 'close') process.exit();
  carryOut(order).then(
    (answer) => process.send?.(answer ?? null),
    (error: unknown) => {
      process.stderr.write(`${settings.kind}, ${settings.client}: ${error instanceof Error ? error.stack : String(error)}\n`);
      process.exit(1);
    },
  );
});
// The bench is gone, and with it whoever could end this.
process.on('disconnect', () => process.exit());
process.send?.('ready');

async function carryOut(order: Order): Promise<unknown> {
  switch (order.do) {
    case 'drain': {
      await contestant.begin();
      const sample = await measuredDrain(() => contestant.drained(order.rows), order);
      await contestant.end();
      return sample;
    }
    case 'begin':
      return await contestant.begin();
    case 'drained':
      return await contestant.drained(order.rows);
    case 'cpu': {
      const { user, system } = process.cpuUsage();
      return (user + system) / 1_000;
    }
    case 'end':
      return await contestant.end();
    case 'send one':
      return await contestant.sendOne?.();
    case 'acknowledged at':
      return contestant.acknowledgedAt?.();
    case 'page reads':
      return contestant.pageReads?.();
  }
}
