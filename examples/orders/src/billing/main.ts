// The billing service as a process: consumes until SIGTERM.
import 'reflect-metadata';
import { once } from 'node:events';
import { createInbox } from '@txbox/inbox/typeorm';
import { dataSourceOf, readSettings, sourceOf } from '../settings.ts';
import { Billing } from './billing.ts';
import { Invoice } from './invoice.entity.ts';

const stopped = once(process, 'SIGTERM');
const settings = readSettings();
const dataSource = await dataSourceOf(settings.billingDatabase, [Invoice]).initialize();
const inbox = createInbox({
  dataSource,
  group: 'billing',
  source: sourceOf(settings.broker),
  handlers: [new Billing()],
  batchSize: 50,
});
await inbox.start();
await stopped;
await inbox.stop();
const { applied, duplicates } = await inbox.status();
process.stdout.write(`${JSON.stringify({ applied, duplicates })}\n`);
await dataSource.destroy();
