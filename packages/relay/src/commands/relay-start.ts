import { once } from 'node:events';
import {
  backoffMs,
  type Command,
  type CommandContext,
  checkOptions,
  databaseSection,
  isTxboxError,
  systemClock,
  TxboxError,
} from '@txbox/core/spi';
import { createRelay, type Relay } from '../relay.ts';
import { RELAY_OPTION_RULES, type RelayOptions, type RelaySettings } from '../relay-options.ts';

/** How often a running relay says what it does. */
const REPORT_MS = 10_000;
const RETRY = { baseMs: 500, capMs: 5_000 };

/** `txbox relay start`: the sidecar. */
export const relayStartCommand: Command = {
  path: ['relay', 'start'],
  summary: 'Publishes what services commit to their outbox, until SIGTERM or SIGINT; a second signal ends it at once.',
  options: {
    'grace-ms': { type: 'string', description: 'milliseconds to wait for acknowledgements when stopped', default: '10000' },
    'start-timeout-ms': {
      type: 'string',
      description: 'milliseconds to wait at the start for a database or broker that is away',
      default: '60000',
    },
  },
  usesPublisher: true,
  configProblems(config) {
    try {
      settingsOf(config);
      return [];
    } catch (error) {
      const { problems } = (error as TxboxError).details;
      return Array.isArray(problems) ? problems.map((problem) => `relay: ${String(problem)}`) : [(error as TxboxError).message];
    }
  },
  async run(context) {
    const graceMs = milliseconds(context, 'grace-ms');
    const startTimeoutMs = milliseconds(context, 'start-timeout-ms');
    const relay = createRelay(await optionsOf(context));
    const forced = once(context.forced, 'abort').then(() => 1);
    return Promise.race([serve(relay, context, startTimeoutMs, graceMs), forced]);
  },
};

async function serve(relay: Relay, context: CommandContext, startTimeoutMs: number, graceMs: number): Promise<number> {
  const { signal, output, logger } = context;
  try {
    if (!(await startPatiently(relay, context, startTimeoutMs))) return 0;
    output.progress('relay: running');
    const reporting = setInterval(() => report(relay, context), REPORT_MS);
    if (!signal.aborted) await once(signal, 'abort');
    clearInterval(reporting);
    output.progress('relay: stopping');
  } finally {
    await relay.stop({ graceMs });
  }
  const { published, settled } = relay.status();
  logger.info({ published, settled }, 'The relay has stopped.');
  return 0;
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

function settingsOf(config: unknown): Readonly<RelaySettings> {
  return checkOptions<RelaySettings>('Configuration, section relay', (config as { relay?: unknown }).relay ?? {}, {
    code: 'CONFIG_INVALID',
    rules: RELAY_OPTION_RULES,
    optional: Object.keys(RELAY_OPTION_RULES) as (keyof RelaySettings)[],
  });
}

async function optionsOf(context: CommandContext): Promise<RelayOptions> {
  const database = databaseSection(context.config, 'database');
  if (!database) {
    throw new TxboxError(
      'CONFIG_INVALID',
      'Configuration: the relay needs database.url, the database of the service whose outbox it publishes.',
    );
  }
  const settings = settingsOf(context.config);
  return {
    ...settings,
    database: { url: database.url },
    ...(database.tablePrefix === undefined ? {} : { tablePrefix: database.tablePrefix }),
    publisher: await context.publisher(),
    logger: context.logger,
  };
}

function milliseconds({ options }: CommandContext, name: string): number {
  const value = Number(options[name]);
  if (Number.isInteger(value) && value >= 0) return value;
  throw new TxboxError('OPTIONS_INVALID', `--${name} must be a whole number of milliseconds, got ${JSON.stringify(options[name])}.`);
}
