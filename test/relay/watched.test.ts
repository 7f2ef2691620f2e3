// `txbox relay start` as probes and Prometheus see it, on real servers.
import { expect, it, vi } from 'vitest';
import { bareAdmin, newTopic } from '../faults/kafka-cluster.ts';
import { addNotes, PATIENCE } from './note.ts';
import { TxboxCommands } from './relay-command.ts';
import { SERVERS, serviceDatabase } from './service-database.ts';

it.each(SERVERS)('a relay on %s shows what waits, then that it was published', async (_name, variable, service) => {
  const database = await serviceDatabase(variable, service);
  const admin = await bareAdmin();
  const [topic, missing] = [await newTopic(admin), await newTopic(admin)];
  await admin.deleteTopics({ topics: [missing] });
  await addNotes(database, topic, { key: 'a', text: '1' }, { key: 'b', text: '2' });
  await addNotes(database, missing, { key: 'c', text: '3' });
  const txbox = await TxboxCommands.create(database.url, {}, { http: { port: 0 } });
  const relay = txbox.spawn('relay', 'start');
  await relay.says('The relay is watched');
  const url = /"url":"(http:[^"]+)"/.exec(relay.stderr)?.[1] ?? '';
  const page = async (path: string): Promise<string> => (await fetch(new URL(path, url))).text();
  expect((await fetch(new URL('/health/live', url))).status).toBe(200);
  await vi.waitFor(async () => expect(await page('/metrics')).toMatch(`txbox_relay_settled_events_total 2\n`), PATIENCE);
  const metrics = await page('/metrics');
  expect(metrics).toContain(`txbox_relay_published_events_total{topic="${topic}"} 2\n`);
  expect(metrics).toContain(`txbox_relay_held_lanes{topic="${missing}"} 1\n`);
  expect(metrics).toContain('txbox_relay_shards 16\n');
  // All that it has to publish is held, and it says so.
  await vi.waitFor(async () => expect(JSON.parse(await page('/health/ready'))).toMatchObject({ ready: false }), PATIENCE);
  expect(JSON.parse(await page('/health/ready'))).toMatchObject({ reasons: [{ code: 'nothing-moves' }] });
  await admin.createTopics({ topics: [{ topic: missing, numPartitions: 1, replicationFactor: 1 }], waitForLeaders: true });
  await vi.waitFor(async () => expect(JSON.parse(await page('/health/ready'))).toMatchObject({ ready: true }), PATIENCE);
  await vi.waitFor(async () => expect(await page('/metrics')).toMatch(`txbox_relay_settled_events_total 3\n`), PATIENCE);
  relay.signal('SIGTERM');
  expect(await relay.end()).toBe(0);
});
