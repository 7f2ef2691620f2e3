// The demo: an order service, the relay sidecar and a billing service as processes, some of them killed on the way, and an
// audit at the end. `npm run demo -- [--stack embedded|kafka] [--db mariadb|mysql] [--orders N] [--keys N] [--seed N] [--kills N] [--signal SIGKILL|SIGTERM] [--json]`
import 'reflect-metadata';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Audit, audit } from './demo/audit.ts';
import { type DemoOptions, parseDemoOptions, usage } from './demo/demo-options.ts';
import { killRepeatedly } from './demo/kills.ts';
import { type Ledger, openLedger } from './demo/ledger.ts';
import { readLog } from './demo/log-reader.ts';
import { billingOf, endAll, migrate, placeOrders, relayOf, type Service } from './demo/processes.ts';
import { prepareStack, type Stack } from './demo/stack.ts';
import { createTables } from './demo/tables.ts';

/** How long the rest may take to be published and applied after the last order. */
const DRAIN_LIMIT_MS = 120_000;

const startedAt = performance.now();
const seconds = (): number => Math.round((performance.now() - startedAt) / 100) / 10;
const say = (text: string): void => {
  process.stderr.write(`[${seconds().toFixed(1).padStart(5)} s] ${text}\n`);
};

/** The demo was told to end. */
class Abandoned extends Error {
  constructor(
    why: string,
    readonly code: number,
  ) {
    super(why);
  }
}

const parsed = parseDemoOptions(process.argv.slice(2));
if ('problems' in parsed) {
  process.stderr.write(`${parsed.problems.map((problem) => `demo: ${problem}`).join('\n')}\n${usage}\n`);
  process.exitCode = 2;
} else if (parsed.help) {
  process.stdout.write(`${usage}\n`);
} else {
  process.exitCode = await demo(parsed);
}

async function demo(options: DemoOptions): Promise<number> {
  const abandoned = new Promise<never>((_resolve, reject) => {
    const abandon = (why: string, code: number): void => {
      reject(new Abandoned(why, code));
    };
    process.once('SIGINT', () => abandon('SIGINT', 130));
    process.once('SIGTERM', () => abandon('SIGTERM', 143));
    process.once('SIGHUP', () => abandon('SIGHUP', 129));
    // Whoever reads may have seen enough: `| head`.
    for (const stream of [process.stdout, process.stderr]) stream.on('error', () => abandon('nobody reads', 1));
  });
  abandoned.catch(() => undefined);
  const stack = await prepareStack({ ...options, progress: say });
  let keep = options.keep;
  try {
    const result = await Promise.race([runOn(stack, options), abandoned]);
    report(options, result);
    const clean = result.lost === 0 && result.doubled === 0 && result.outOfOrder === 0 && result.ghosts === 0;
    keep ||= !clean;
    return clean ? 0 : 1;
  } catch (error) {
    if (error instanceof Abandoned) {
      say(`ended early: ${error.message}`);
      await endAll();
      if (!keep) await stack.dispose();
      process.exit(error.code);
    }
    keep = true;
    throw error;
  } finally {
    if (keep) say(`kept for a look: ${stack.folder}`);
    else await stack.dispose();
  }
}

type Result = Audit & {
  readonly rolledBack: number;
  readonly kills: { relay: number; consumer: number };
  /** Deliveries of applied events that consumers which ended in order have seen. */
  readonly redelivered: number;
};

async function runOn(stack: Stack, options: DemoOptions): Promise<Result> {
  say(`stack ${options.stack}, database ${options.db}: ${options.orders} orders of ${options.keys} customers, seed ${options.seed}`);
  await createTables(stack.settings, options.keys);
  await migrate(stack);
  const ledger = await openLedger(stack.settings);
  const relay = relayOf(stack);
  const consumer = billingOf(stack);
  const services = [relay, consumer];
  try {
    for (const service of services) service.start();
    const stopProgress = showProgress(ledger);
    const placing = placeOrders(stack, ['--orders', `${options.orders}`, '--keys', `${options.keys}`, '--seed', `${options.seed}`]);
    const killing = killRepeatedly({
      ledger,
      services,
      kills: options.kills,
      signal: options.signal,
      orders: options.orders,
      placing,
      say,
    });
    const [rolledBack, kills] = await Promise.all([placing.rolledBack, killing]);
    say('all orders placed; waiting until they are published and applied');
    await drained(ledger, services);
    stopProgress();
    for (const service of services) await service.stop();
    say('auditing both databases and the topic');
    return {
      ...audit(await ledger.committed(), await readLog(stack.settings), await ledger.applied()),
      rolledBack,
      kills,
      redelivered: await redeliveries(stack),
    };
  } finally {
    for (const service of services) if (service.ended === undefined) await service.kill();
    await ledger.close();
  }
}

async function redeliveries(stack: Stack): Promise<number> {
  const lines = (await readFile(join(stack.folder, 'billing.log'), 'utf8')).split('\n').filter((line) => line.startsWith('{"applied"'));
  return lines.reduce((sum, line) => sum + (JSON.parse(line) as { duplicates: number }).duplicates, 0);
}

async function drained(ledger: Ledger, services: readonly Service[]): Promise<void> {
  const limit = performance.now() + DRAIN_LIMIT_MS;
  for (;;) {
    const { committed, pending, applied } = await ledger.counts();
    if (pending === 0 && applied >= committed) return;
    const gone = services.find((service) => service.ended !== undefined);
    if (gone) throw new Error(`the ${gone.name} ended by itself: ${gone.ended}`);
    if (performance.now() > limit) {
      say(`not drained within ${DRAIN_LIMIT_MS / 1000} s: ${pending} rows unsettled, ${committed - applied} events not applied`);
      return;
    }
    await sleep(20);
  }
}

function showProgress(ledger: Ledger): () => void {
  const timer = setInterval(() => {
    void ledger.counts().then(({ committed, pending, applied }) => {
      say(`committed ${committed}, published ${committed - pending}, applied ${applied}, lag ${committed - applied}`);
    });
  }, 1_000);
  return () => clearInterval(timer);
}

function report(options: DemoOptions, result: Result): void {
  const { lost, doubled, outOfOrder, ghosts } = result;
  say(`orders committed ${result.committed}, rolled back ${result.rolledBack}; in the log ${result.published}, applied ${result.applied}`);
  say(
    `lost ${lost}, doubled ${doubled}, out of order ${outOfOrder}, ghosts ${ghosts} (repeats in the log, absorbed by the inbox: ${result.duplicatesInLog})`,
  );
  if (!options.json) return;
  process.stdout.write(`${JSON.stringify({ stack: options.stack, db: options.db, ...result, seconds: seconds() })}\n`);
}
