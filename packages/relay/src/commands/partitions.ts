import {
  type Command,
  type CommandContext,
  type CommandOption,
  coreComponent,
  type Publisher,
  systemClock,
  TxboxError,
} from '@txbox/core/spi';
import { type OutboxStore, outboxComponent, outboxStore, type TopicPin } from '@txbox/outbox/store';
import { describeError } from '../foreign-error.ts';
import { type GroupLag, type GrowthLook, type GrowthStep, type GrowthWish, PartitionGrowth } from '../partitions/growth.ts';
import { TRUSTED_COUNT_MS } from '../pinned-partitions.ts';
import { ACTOR_OPTION, actorOf } from './actor.ts';
import { counted } from './counted.ts';
import { GivenOptions, given } from './given-options.ts';
import { leaseTtlMsOf } from './relay-configuration.ts';
import { withServiceDatabase } from './service-database.ts';

const JSON_OPTION: CommandOption = { type: 'boolean', description: 'print one JSON object' };
/** How often a long work says how far it is. */
const REPORT_MS = 1_000;
/** Where a publisher does not say how long it tries. */
const GIVES_UP_AFTER_MS = 60_000;
const MOST_PARTITIONS = 100_000;

/** `txbox partitions list`. */
export const partitionsListCommand: Command = {
  path: ['partitions', 'list'],
  summary: 'Lists the topics to which was published: the partitions that their keys are spread over, and those that the broker has.',
  options: { json: JSON_OPTION },
  usesDatabase: true,
  usesPublisher: true,
  run: (context) =>
    withPins(context, 'partitions list', async ({ pins, publisher }) => {
      const topics = [];
      for (const pin of await pins.pins()) topics.push({ pin, broker: await brokerPartitions(publisher, pin.topic) });
      const { output, options } = context;
      if (options['json'] === true) output.json({ topics: topics.map(({ pin, broker }) => ({ ...jsonOf(pin), broker })) });
      else {
        for (const { pin, broker } of topics) output.line(describePin(pin, broker));
        if (topics.length === 0) output.line('nothing was published yet');
      }
      return 0;
    }),
};

/** `txbox partitions grow`. */
export const partitionsGrowCommand: Command = {
  path: ['partitions', 'grow'],
  summary:
    'Spreads the keys of a topic over more partitions, in order: holds the topic, waits for its consumers, goes on with the new count.',
  options: {
    topic: { type: 'string', description: 'the topic' },
    to: { type: 'string', description: 'how many partitions it is to have in all' },
    groups: { type: 'string', description: 'consumer groups that are waited for, separated by commas: all that need the order' },
    'without-groups': { type: 'boolean', description: 'no consumer group needs the order' },
    create: { type: 'boolean', description: 'creates the partitions that the broker lacks' },
    'dry-run': { type: 'boolean', description: 'looks, and changes nothing' },
    cancel: { type: 'boolean', description: 'gives up a switch that was begun: the topic goes on with the count it has' },
    actor: ACTOR_OPTION,
    json: JSON_OPTION,
  },
  usesDatabase: true,
  usesPublisher: true,
  run: async (context) => {
    const { options, output } = context;
    const wish = wishOf(context);
    const actor = actorOf(options['actor']);
    return await withPins(context, 'partitions grow', async ({ pins, publisher }) => {
      const admin = publisher.topicAdmin;
      if (!admin) {
        throw new TxboxError(
          'GROW_REFUSED',
          `The publisher ${publisher.name} cannot look at offsets of consumer groups: configure kafkajs for this command.`,
        );
      }
      const givesUpAfterMs = (await publisher.inspect?.([]))?.givesUpAfterMs ?? GIVES_UP_AFTER_MS;
      const settleMs = Math.max(leaseTtlMsOf(context), TRUSTED_COUNT_MS) + givesUpAfterMs;
      const onProgress = reporter(context);
      const growth = new PartitionGrowth({
        pins,
        publisher,
        admin,
        clock: systemClock,
        actor,
        settleMs,
        signal: context.signal,
        onProgress,
      });
      if (options['cancel'] === true) {
        const pin = await growth.cancel(wish.topic);
        if (options['json'] === true) output.json({ cancelled: true, ...jsonOf(pin) });
        else output.line(`given up: topic ${pin.topic} goes on with ${counted(pin.partitions, 'partition')}`);
        return 0;
      }
      const look = await growth.look(wish);
      if (options['dry-run'] === true) {
        if (options['json'] === true) output.json({ dryRun: true, ...jsonOfLook(look, settleMs) });
        else for (const line of describeLook(look, settleMs)) output.line(line);
        return 0;
      }
      const pin = await growth.run(look);
      const grown = pin.partitions === look.to;
      if (options['json'] === true) output.json({ dryRun: false, grown, ...jsonOf(pin) });
      else output.line(describeEnd(pin, grown));
      return grown ? 0 : 1;
    });
  },
};

function wishOf(context: CommandContext): GrowthWish {
  const options = new GivenOptions(context, systemClock.now());
  const topic = options.text('topic');
  const partitions = options.wholeNumber('to', 1, MOST_PARTITIONS);
  const named = options.text('groups')?.split(',');
  const [withGroups, withoutGroups] = [named !== undefined, context.options['without-groups'] === true];
  if (context.options['topic'] === undefined) options.problem('--topic must name the topic');
  if (named?.some((group) => group.trim() === ''))
    options.problem(`--groups must be names separated by commas, got ${JSON.stringify(named.join(','))}`);
  if (withGroups && withoutGroups) options.problem('--groups and --without-groups exclude each other');
  const cancels = context.options['cancel'] === true;
  if (cancels && (context.options['to'] !== undefined || withGroups || withoutGroups || context.options['create'] === true))
    options.problem('--cancel goes with --topic alone');
  options.refuse();
  const groups = named ? [...new Set(named.map((group) => group.trim()))] : withoutGroups ? [] : undefined;
  return { topic: topic as string, create: context.options['create'] === true, ...given({ partitions, groups }) };
}

interface Opened {
  readonly pins: OutboxStore;
  readonly publisher: Publisher;
}

async function withPins(context: CommandContext, command: string, work: (opened: Opened) => Promise<number>): Promise<number> {
  return await withServiceDatabase(context, command, [coreComponent, outboxComponent], async ({ database, tablePrefix }) => {
    const publisher = await context.publisher();
    try {
      await publisher.connect();
      return await work({ pins: outboxStore(database, tablePrefix), publisher });
    } finally {
      await publisher.close();
    }
  });
}

/** A number, or why there is none. */
async function brokerPartitions(
  publisher: Publisher,
  topic: string,
): Promise<number | { readonly code: string; readonly message: string }> {
  try {
    return (await publisher.describeTopic(topic)).partitions;
  } catch (error) {
    return describeError(error);
  }
}

function reporter({ output }: CommandContext): (step: GrowthStep) => void {
  let saidAt = Number.NEGATIVE_INFINITY;
  let saidOf: GrowthStep['step'] | undefined;
  return (step) => {
    const now = systemClock.monotonic();
    if (step.step === saidOf && now - saidAt < REPORT_MS) return;
    saidAt = now;
    saidOf = step.step;
    output.progress(`partitions: ${describeStep(step)}`);
  };
}

function describeStep(step: GrowthStep): string {
  if (step.step === 'creating') return 'waiting for the partitions at the broker';
  if (step.step === 'settling') return `held; the old partitions have their end in ${Math.ceil(step.leftMs / 1_000)} s`;
  if (step.step === 'consuming') return `held; waiting for ${describeBehind(step.behind)}`;
  return `tries again: ${step.code}: ${step.message}`;
}

function describeBehind(behind: readonly GroupLag[]): string {
  return behind
    .map(({ group, messages }) =>
      messages === null ? `${group} (has stored no offset)` : `${group} (${counted(Number(messages), 'message')} behind)`,
    )
    .join(', ');
}

function describePin({ topic, partitions, generation, switching }: TopicPin, broker: Awaited<ReturnType<typeof brokerPartitions>>): string {
  const has = typeof broker === 'number' ? `the broker has ${broker}` : `the broker: ${broker.code}`;
  const state = switching ? `; on its way to ${switching.partitions}, held${switching.offsets ? ', waiting for its groups' : ''}` : '';
  return `${topic}: keys over ${counted(partitions, 'partition')}, generation ${generation}; ${has}${state}`;
}

function describeLook({ pin, to, brokerPartitions: has, groups, behind }: GrowthLook, settleMs: number): string[] {
  const waits =
    groups.length === 0
      ? 'no group is waited for'
      : behind.length === 0
        ? `${groups.join(', ')} has read all there is now`
        : `waited for: ${describeBehind(behind)}`;
  return [
    `would spread the keys of ${pin.topic} over ${counted(to, 'partition')} instead of ${pin.partitions}; the broker has ${has}`,
    `the topic would be held for ${Math.ceil(settleMs / 1_000)} s${groups.length === 0 ? '' : ', and until the groups have read what was sent before'}; ${waits}`,
    'nothing was changed',
  ];
}

function describeEnd(pin: TopicPin, grown: boolean): string {
  if (grown) return `topic ${pin.topic} goes on with ${counted(pin.partitions, 'partition')}, generation ${pin.generation}`;
  if (!pin.switching) return `given up by somebody else: topic ${pin.topic} goes on with ${counted(pin.partitions, 'partition')}`;
  return `interrupted, and topic ${pin.topic} is held: "txbox partitions grow --topic ${pin.topic}" goes on, --cancel gives it up`;
}

function jsonOf({ topic, partitions, generation, switching }: TopicPin): object {
  return {
    topic,
    partitions,
    generation,
    switching: switching && { partitions: switching.partitions, groups: switching.groups, offsets: switching.offsets?.map(String) ?? null },
  };
}

function jsonOfLook({ pin, to, brokerPartitions: broker, groups, behind }: GrowthLook, settleMs: number): object {
  const lags = behind.map(({ group, messages }) => ({ group, messages: messages === null ? null : Number(messages) }));
  return { ...jsonOf(pin), to, broker, groups, behind: lags, heldForMs: settleMs };
}
