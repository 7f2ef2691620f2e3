import { once } from 'node:events';
import { backoffMs, type Command, type CommandContext, isTxboxError, systemClock } from '@txbox/core/spi';
import { type RelayWatch, watchRelay } from '../http/relay-watch.ts';
import { createRelay, type Relay } from '../relay.ts';
import { httpOptionsOf, relayOptionsOf, sidecarOptionsOf } from './relay-configuration.ts';

/** How often a running relay says what it does. */
const REPORT_MS = 10_000;
const RETRY = { baseMs: 500, capMs: 5_000 };

/** `txbox relay start`: the sidecar. */
export const relayStartCommand: Command = {
  path: ['relay', 'start'],
  summary: 'Publishes what services commit to their outbox, until SIGTERM or SIGINT; a second signal ends it at once.',
  options: {
    'grace-ms': {
      type: 'string',
      setting: 'sidecar.graceMs',
      description: 'milliseconds to wait for acknowledgements when stopped (10000)',
    },
    'start-timeout-ms': {
      type: 'string',
      setting: 'sidecar.startTimeoutMs',
      description: 'milliseconds to wait at the start for a database or broker that is away (60000)',
    },
  },
  usesDatabase: true,
  usesPublisher: true,
  async run(context) {
    const { graceMs, startTimeoutMs } = sidecarOptionsOf(context);
    const relay = createRelay(await relayOptionsOf(context));
    const forced = once(context.forced, 'abort').then(() => 1);
    return Promise.race([serve(relay, context, startTimeoutMs, graceMs), forced]);
  },
};

async function serve(relay: Relay, context: CommandContext, startTimeoutMs: number, graceMs: number): Promise<number> {
  const { signal, output, logger } = context;
  const watch = await watched(relay, context);
  try {
    if (!(await startPatiently(relay, context, startTimeoutMs))) return 0;
    output.progress('relay: running');
    const reporting = setInterval(() => report(relay, context), REPORT_MS);
    if (!signal.aborted) await once(signal, 'abort');
    clearInterval(reporting);
    output.progress('relay: stopping');
  } finally {
    await relay.stop({ graceMs });
    await watch?.close();
  }
  const { published, settled } = relay.status();
  logger.info({ published, settled }, 'The relay has stopped.');
  return 0;
}

/** Before the start, so that probes have their answer while database and broker are waited for. */
async function watched(relay: Relay, { config, logger }: CommandContext): Promise<RelayWatch | undefined> {
  const { options, chosen } = httpOptionsOf({ config });
  if (options === false) return undefined;
  let watch = watchRelay(relay, options);
  try {
    await watch.listen();
  } catch (error) {
    await watch.close();
    if (chosen) throw error;
    // Another relay of this host has the usual port, which nobody asked for.
    watch = watchRelay(relay, { ...options, port: 0 });
    const { url } = await watch.listen();
    logger.warn({ port: options.port, url }, 'The usual port is taken: the relay is watched elsewhere. Set http.port.');
    return watch;
  }
  logger.info({ url: watch.address?.url }, 'The relay is watched: /health/live, /health/ready, /metrics.');
  return watch;
}

/** A sidecar may come up before its database and broker; what waiting cannot mend is thrown at once. False = stopped meanwhile. */
async function startPatiently(relay: Relay, { signal, logger }: CommandContext, timeoutMs: number): Promise<boolean> {
  const deadline = systemClock.monotonic() + timeoutMs;
  for (let attempts = 1; !signal.aborted; attempts++) {
    try {
      await relay.start();
      return true;
    } catch (error) {
      const left = deadline - systemClock.monotonic();
      if (!isTxboxError(error) || !error.retryable || left <= 0) throw error;
      const retryInMs = Math.min(left, backoffMs(RETRY, attempts));
      logger.warn({ code: error.code, attempts, retryInMs: Math.ceil(retryInMs), reason: error.message }, 'The relay cannot start yet.');
      await systemClock.sleep(retryInMs, signal);
    }
  }
  return false;
}

function report(relay: Relay, { output }: CommandContext): void {
  const { shards, published, settled, rows, held } = relay.status();
  const waits = held.map(({ topic, partition, code }) => `${topic}${partition === undefined ? '' : `/${partition}`} (${code})`);
  const tail = waits.length === 0 ? '' : `, held: ${waits.slice(0, 5).join(', ')}${waits.length > 5 ? `, ${waits.length - 5} more` : ''}`;
  output.progress(`relay: ${shards.length} shards, published ${published}, settled ${settled}, in memory ${rows}${tail}`);
}
