import type { TransactionResource } from '@txbox/core/spi';
import { type HandlerContext, handlersOf, type Inbox, type InboxOptions } from '@txbox/inbox';
import { inboxOn, resolveInboxOptions } from '@txbox/inbox/store';
import { type AnyOutbox, refuseNoOutbox } from './added-event.ts';

/** What {@link createMemoryInbox} takes. */
export interface MemoryInboxSettings extends Pick<InboxOptions, 'handlers' | 'logger'> {
  /** The outbox in memory that `ctx.add` adds to; the inbox remembers messages beside it. */
  readonly outbox: AnyOutbox;
  /** Consumer group. Default `test`. */
  readonly group?: string;
}

/** Where the database of a flavour is in a handler's context. */
const HANDLE_NAMES: Readonly<Record<TransactionResource['kind'], string>> = {
  typeorm: 'manager',
  mysql2: 'connection',
  sqlite: 'database',
  memory: 'memory',
};

/**
 * Creates an inbox beside an outbox in memory, to be given to `drain`: for handlers that need no database, and for
 * `inbox.on(event, handler)` without decorators. Throws `OPTIONS_INVALID`, `HANDLER_INVALID` or `HANDLER_MISSING`.
 */
export function createMemoryInbox(settings: MemoryInboxSettings): Inbox<HandlerContext> {
  const { outbox, handlers = [], group = 'test', ...others } = settings;
  refuseNoOutbox('createMemoryInbox({ outbox })', outbox);
  if (outbox.resource.kind !== 'memory') {
    throw new Error(
      'createMemoryInbox takes an outbox of createMemoryOutbox(). With a database: createInbox({ dataSource, … }) of @txbox/inbox/typeorm, /mysql2 or /sqlite.',
    );
  }
  return inboxBeside(outbox, handlers, { group, ...others });
}

/** An inbox in the database of an outbox. */
export function inboxBeside(
  { resource, sink }: AnyOutbox,
  handlers: readonly object[],
  options: Pick<InboxOptions, 'group' | 'logger'>,
): Inbox<HandlerContext> {
  const given: InboxOptions = { ...options, tablePrefix: sink.tablePrefix, handlers: handlers.map(withoutDatabase(resource)) };
  const resolved = resolveInboxOptions<object>(given, {});
  return inboxOn<HandlerContext>(resource, HANDLE_NAMES[resource.kind], resolved);
}

/** In memory, a handler that reaches for its database is told what is missing. */
function withoutDatabase({ kind }: TransactionResource): (handler: object) => object {
  return (handler) => {
    if (kind !== 'memory' || typeof handler !== 'object' || handler === null) return handler;
    const methods = new Map(handlersOf(handler).map(({ method }) => [method, undefined]));
    return new Proxy(handler, {
      get: (target, name) => {
        const value: unknown = Reflect.get(target, name, target);
        if (typeof value !== 'function' || !methods.has(name)) return value;
        return (payload: unknown, ctx: HandlerContext): unknown => Reflect.apply(value, target, [payload, contextInMemory(ctx)]);
      },
    });
  };
}

function contextInMemory(ctx: HandlerContext): HandlerContext {
  const guarded = { ...ctx };
  for (const name of ['manager', 'connection', 'database']) {
    Object.defineProperty(guarded, name, {
      get: () => {
        throw new Error(
          `ctx.${name}: this handler runs in memory, where there is no database. Give drain an inbox that has one, ` +
            'drain({ outbox, inboxes: [createInbox({ dataSource, group, handlers })] }), or the outbox of one.',
        );
      },
    });
  }
  return guarded;
}
