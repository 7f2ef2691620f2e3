import {
  type CommandContext,
  type CommandOption,
  coreComponent,
  type DeadLetterHead,
  messageIdFromBytes,
  type Publisher,
  systemClock,
} from '@txbox/core/spi';
import { outboxComponent, outboxStore } from '@txbox/outbox/store';
import { type KeyStop, LetterSender } from '../dead-letters/letter-sender.ts';
import { ACTOR_OPTION, actorOf } from './actor.ts';
import { FILTER_OPTIONS } from './dead-letter-filter.ts';
import { type DeadLetterScope, describeKey, keyAsJson, SCOPE_OPTIONS, withDeadLetters } from './dead-letter-scope.ts';

/** Options of every command that changes something about dead letters. */
export const SENDING_OPTIONS: Readonly<Record<string, CommandOption>> = {
  ...SCOPE_OPTIONS,
  ...FILTER_OPTIONS,
  all: { type: 'boolean', description: 'all dead letters are meant' },
  'dry-run': { type: 'boolean', description: 'say what would be done, change nothing' },
  actor: ACTOR_OPTION,
  json: { type: 'boolean', description: 'print one JSON object' },
};

/** What a command that may send dead letters works with. */
export interface DeadLetterSending extends DeadLetterScope {
  readonly publisher: Publisher;
  readonly sender: LetterSender;
  readonly actor: string;
  readonly dryRun: boolean;
}

/** How often a long work says how far it is. */
const REPORT_MS = 2_000;

/** Opens database and broker, works, closes both. A dry run needs no broker. */
export async function withDeadLetterSending(
  context: CommandContext,
  { force }: { readonly force: boolean },
  work: (sending: DeadLetterSending) => Promise<number>,
): Promise<number> {
  const { options, output, signal } = context;
  const dryRun = options['dry-run'] === true;
  const actor = actorOf(options['actor']);
  const publisher = await context.publisher();
  return await withDeadLetters(
    context,
    async (scope) => {
      let sent = 0;
      let reportedAt = systemClock.monotonic();
      const sender = new LetterSender({
        letters: scope.letters,
        publisher,
        pins: outboxStore(scope.database, scope.tablePrefix),
        clock: systemClock,
        random: Math.random,
        actor,
        force,
        signal,
        onSent: (letters: readonly DeadLetterHead[]) => {
          sent += letters.length;
          if (systemClock.monotonic() - reportedAt < REPORT_MS) return;
          reportedAt = systemClock.monotonic();
          output.progress(`dead letters: published ${sent}`);
        },
      });
      try {
        if (!dryRun) await publisher.connect();
        return await work({ ...scope, publisher, sender, actor, dryRun });
      } finally {
        await publisher.close();
      }
    },
    [coreComponent, outboxComponent],
  );
}

/** What stays, as JSON. */
export function stopAsJson({ why, letter, code, message }: KeyStop): Readonly<Record<string, unknown>> {
  const reason = code === undefined ? {} : { code, message };
  return { why, id: messageIdFromBytes(letter.id), topic: letter.topic, ...keyAsJson(letter.key), ...reason };
}

/** What stays, for people. */
export function describeStop({ why, letter, code, message }: KeyStop): string {
  const name = `${messageIdFromBytes(letter.id)} (${letter.topic}, ${describeKey(letter.key)})`;
  switch (why) {
    case 'waits':
      return `${name} stands before what was asked for: redrive, discard or skip it first`;
    case 'refused':
      return `${name} is refused still: ${code}: ${message}`;
    case 'topic':
      return `${name} cannot be sent: ${code}: ${message}`;
    case 'too-old':
      return `${name} may have been published more than a week ago, and consumers may have forgotten it: --force sends it all the same`;
    case 'ended':
      return `${name} and what stands behind it are left: the command was ended`;
  }
}
