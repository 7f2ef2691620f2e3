import { openDatabase, type Publisher } from '@txbox/core/spi';
import { createRelay, type Relay } from '@txbox/relay';
import { BATCH_ROWS } from '../bench-site.ts';
import { type Contestant, machineNow, type PageReads } from '../contestant.ts';
import { TimedDatabase } from '../timed-database.ts';

/** txbox's relay with its defaults, as the sidecar runs it. `publisher` makes a new one: a relay that stops closes its own. */
export async function txboxRelay(databaseUrl: string, publisher: () => Publisher): Promise<Contestant> {
  let acknowledgedAt: number[] = [];
  let settled = 0;
  let relay: Relay | undefined;
  let database: TimedDatabase | undefined;
  let wanted = Number.POSITIVE_INFINITY;
  let done: PromiseWithResolvers<void> = Promise.withResolvers();
  const check = (): void => {
    if (settled >= wanted) done.resolve();
  };
  return {
    begin: async () => {
      settled = 0;
      wanted = Number.POSITIVE_INFINITY;
      done = Promise.withResolvers();
      done.promise.catch(() => undefined);
      acknowledgedAt = [];
      database = new TimedDatabase(await openDatabase({ url: databaseUrl, lockWaitTimeoutMs: 1_000 }));
      relay = createRelay({ database, publisher: publisher(), batchRows: BATCH_ROWS });
      relay.on('published', ({ messages }) => {
        const at = machineNow();
        // Counts of a large drain are of no use to anybody.
        if (messages <= 10) for (let n = 0; n < messages; n += 1) acknowledgedAt.push(at);
      });
      relay.on('settled', ({ messages }) => {
        settled += messages;
        check();
      });
      relay.on('held', ({ topic, reason }) => done.reject(new Error(`${topic} is held: ${reason.message}`)));
      await relay.start();
    },
    drained: async (rows) => {
      wanted = rows;
      check();
      await done.promise;
    },
    acknowledgedAt: () => {
      const times = acknowledgedAt;
      acknowledgedAt = [];
      return times;
    },
    pageReads: (): PageReads => database?.takePageReads() ?? { withRows: [], empty: [] },
    end: async () => {
      await relay?.stop();
      await database?.close();
      relay = undefined;
      database = undefined;
    },
  };
}
