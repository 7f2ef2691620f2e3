import { openDatabase, type Publisher, silentLogger } from '@txbox/core/spi';
import { createRelay, type Relay } from '@txbox/relay';
import { BATCH_ROWS } from '../bench-site.ts';
import { type Contestant, machineNow, type PageReads } from '../contestant.ts';
import { TimedDatabase } from '../timed-database.ts';

/** What txbox's relay is started with. */
export interface TxboxRelayPlan {
  readonly databaseUrl: string;
  /** Makes a new one: a relay that stops closes its own. */
  readonly publisher: () => Publisher;
  readonly pollMs: number | undefined;
}

/** txbox's relay with its defaults, as the sidecar runs it. */
export function txboxRelay({ databaseUrl, publisher, pollMs }: TxboxRelayPlan): Contestant {
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
      const pace = pollMs === undefined ? {} : { pollMinMs: pollMs, pollMaxMs: pollMs };
      // Its words on a broker for tests are not wanted; what goes wrong is told below.
      relay = createRelay({ database, publisher: publisher(), batchRows: BATCH_ROWS, logger: silentLogger, ...pace });
      relay.on('published', ({ messages }) => {
        const at = machineNow();
        // Counts of a large drain are of no use to anybody.
        if (messages <= 10) for (let n = 0; n < messages; n += 1) acknowledgedAt.push(at);
      });
      relay.on('settled', ({ messages }) => {
        settled += messages;
        check();
      });
      relay.on('failed', ({ what, code, message }) => process.stderr.write(`txbox, ${what}: ${code} ${message}\n`));
      relay.on('held', ({ topic, reason }) => done.reject(new Error(`${topic} is held: ${reason.message}`)));
      await relay.start();
    },
    drained: async (rows) => {
      done = Promise.withResolvers();
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
