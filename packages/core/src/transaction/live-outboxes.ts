import { TxboxError } from '../runtime/error.ts';
import type { OptionRule } from '../runtime/options.ts';
import { innermostOpenUnit } from './current-transaction.ts';
import type { EventSink } from './event-sink.ts';
import type { TransactionResource } from './unit-of-work.ts';

/** What decorators must know of an outbox. */
export interface LiveOutbox {
  readonly name: string;
  readonly resource: TransactionResource;
  readonly sink: EventSink;
}

/** Which outbox a decorator means: a name, or a function of the decorated object that returns an outbox. */
export type OutboxChoice = string | ((self: any) => LiveOutbox);

export const outboxChoice: OptionRule = (value) =>
  typeof value === 'string' || typeof value === 'function' ? undefined : 'must be a name or a function';

const LIVE: unique symbol = Symbol.for('txbox.live-outboxes') as never;

// Under a global symbol, so that two loaded copies of the package share it.
function live(): Set<LiveOutbox> {
  const holder = globalThis as { [LIVE]?: Set<LiveOutbox> };
  holder[LIVE] ??= new Set();
  return holder[LIVE];
}

/** Makes an outbox known to the decorators of this process; returns what takes it back. */
export function registerLiveOutbox(outbox: LiveOutbox): () => void {
  live().add(outbox);
  return () => {
    live().delete(outbox);
  };
}

/** The outbox that `on` means. Throws `OUTBOX_NOT_CREATED` or `OUTBOX_AMBIGUOUS`, which list the names there are. */
export function chosenOutbox(decorator: string, on: OutboxChoice, self: unknown): LiveOutbox {
  if (typeof on === 'function') {
    const outbox = on(self) as Partial<LiveOutbox> | null | undefined;
    if (outbox?.resource && outbox.sink) return outbox as LiveOutbox;
    throw notCreated(decorator, `the function given as 'on' returned ${outbox === null ? 'null' : typeof outbox} and not an outbox`);
  }
  const named = [...live()].filter(({ name }) => name === on);
  if (named.length > 1) throw ambiguous(decorator, `there are ${named.length} outboxes named ${JSON.stringify(on)}`);
  if (named[0]) return named[0];
  throw notCreated(decorator, `no outbox named ${JSON.stringify(on)} is live`);
}

/**
 * The resource a decorated method runs on: of the outbox that `on` chooses, else of the open unit, else of the only live
 * outbox, or the only one in whose database another framework has a transaction open. Throws `OUTBOX_NOT_CREATED` or
 * `OUTBOX_AMBIGUOUS`, which list the names there are.
 */
export function chooseResource(decorator: string, on: OutboxChoice | undefined, self: unknown): TransactionResource {
  if (on !== undefined) return chosenOutbox(decorator, on, self).resource;
  const open = innermostOpenUnit();
  if (open) return open.resource;
  const resources = new Set([...live()].map(({ resource }) => resource));
  const [only] = resources;
  if (resources.size === 1 && only) return only;
  const ambient = [...resources].filter((resource) => resource.ambientUnit?.());
  if (ambient.length === 1 && ambient[0]) return ambient[0];
  if (resources.size === 0) throw notCreated(decorator, 'no outbox is live');
  throw ambiguous(decorator, `there are several live outboxes (${liveNames()})`);
}

function liveNames(): string {
  return [...live()].map(({ name }) => JSON.stringify(name)).join(', ') || 'none';
}

function notCreated(decorator: string, why: string): TxboxError {
  return new TxboxError(
    'OUTBOX_NOT_CREATED',
    `${decorator}: ${why} (live: ${liveNames()}). Call createOutbox before the method is called, and close it after.`,
  );
}

function ambiguous(decorator: string, why: string): TxboxError {
  return new TxboxError(
    'OUTBOX_AMBIGUOUS',
    `${decorator}: ${why}. Say which one: { on: 'name' } or { on: (self) => self.outbox }; names are given by createOutbox({ name }).`,
  );
}
