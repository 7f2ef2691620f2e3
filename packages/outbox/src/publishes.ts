import {
  type AnyMethod,
  type AsyncMethodDecorator,
  checkOptions,
  chooseResource,
  chosenOutbox,
  currentUnit,
  type EventDefinition,
  eventSinkOf,
  methodDecorator,
  noEventBecause,
  type OutboxChoice,
  outboxChoice,
  type PayloadInputOf,
  refuseWithoutParentheses,
  TxboxError,
  transactionalPart,
  type UnitOfWork,
} from '@txbox/core/spi';

/** What `@Publishes` and `@PublishesEach` take beside the event. */
export interface PublishesOptions {
  /** The outbox that is meant: by name, or from the decorated object. Default: the open unit's, else the only one. */
  readonly on?: OutboxChoice;
}

/** Makes a payload of a method's result and arguments; `undefined` = no event this time. May be asynchronous. */
export type PayloadMapper<E> = (result: any, ...args: any[]) => PayloadInputOf<E> | undefined | Promise<PayloadInputOf<E> | undefined>;

/** Makes any number of payloads. May be asynchronous. */
export type PayloadsMapper<E> = (result: any, ...args: any[]) => Iterable<PayloadInputOf<E>> | Promise<Iterable<PayloadInputOf<E>>>;

/**
 * Adds an event when the method's promise resolves, in the transaction that it runs in: `@Transactional` above or below,
 * or one that is open around the call. The payload is what `map` makes of result and arguments, the result itself without
 * `map`. A method that throws adds nothing. Throws before the method runs: `NO_UNIT_OF_WORK` outside of a transaction, and
 * `NO_OUTBOX` or `OUTBOX_AMBIGUOUS` where it is not clear which outbox is meant.
 */
export function Publishes<E extends EventDefinition>(
  event: E,
  map?: PayloadMapper<E>,
  options: PublishesOptions = {},
): AsyncMethodDecorator {
  refuseMisuse('@Publishes', event, map, options, true);
  const payloads = async (result: unknown, args: readonly unknown[]): Promise<Iterable<unknown>> => {
    const payload: unknown = map ? await map(result, ...args) : result;
    return payload === undefined ? [] : [payload];
  };
  return publishing('@Publishes', event, payloads, options);
}

/** Adds an event for each payload that `map` gives; otherwise like {@link Publishes}. */
export function PublishesEach<E extends EventDefinition>(
  event: E,
  map: PayloadsMapper<E>,
  options: PublishesOptions = {},
): AsyncMethodDecorator {
  refuseMisuse('@PublishesEach', event, map, options, false);
  return publishing('@PublishesEach', event, async (result, args) => await map(result, ...args), options);
}

/** Where the decorator is written, and not at the first call. */
function refuseMisuse(decorator: string, event: unknown, map: unknown, options: PublishesOptions, mapIsOptional: boolean): void {
  refuseWithoutParentheses(decorator, [event, map, options]);
  const problem = noEventBecause(event);
  if (problem !== undefined) throw new TxboxError('EVENT_INVALID', `${decorator} ${problem}`);
  const { name } = event as EventDefinition;
  if (typeof map !== 'function' && !(map === undefined && mapIsOptional)) {
    throw new TxboxError(
      'DECORATOR_MISUSE',
      `${decorator}(${name}) takes a function of the method's result and arguments${mapIsOptional ? ', or nothing' : ''} as its second argument, got ${map === null ? 'null' : typeof map}.`,
    );
  }
  checkOptions<PublishesOptions>(`${decorator}(${name})`, options, { rules: { on: outboxChoice }, optional: ['on'] });
}

type Payloads = (result: unknown, args: readonly unknown[]) => Promise<Iterable<unknown>>;

function publishing(decorator: string, event: EventDefinition, payloads: Payloads, options: PublishesOptions): AsyncMethodDecorator {
  const publishAfter = (method: AnyMethod): AnyMethod =>
    async function (this: unknown, ...args: unknown[]) {
      const unit = openUnit(decorator, event, options, this);
      const sink = options.on === undefined ? eventSinkOf(unit) : chosenOutbox(decorator, options.on, this).sink;
      const result = await method.apply(this, args);
      for (const payload of await payloads(result, args)) sink.add(unit, event, payload);
      return result;
    };
  return methodDecorator(decorator, (method) => {
    // Above @Transactional the transaction must still be open when the event is added, so it is begun here.
    const inner = transactionalPart(method);
    return inner ? inner.around(publishAfter(inner.method)) : publishAfter(method);
  });
}

function openUnit(decorator: string, event: EventDefinition, options: PublishesOptions, self: unknown): UnitOfWork {
  const resource = chooseResource(decorator, options.on, self);
  const unit = currentUnit(resource.key) ?? resource.ambientUnit?.();
  if (unit?.accepts) return unit;
  throw new TxboxError(
    'NO_UNIT_OF_WORK',
    `${decorator}(${event.name}): the method was called outside of a transaction, so there is nothing the event could commit with. ` +
      `Decorate it with @Transactional too, or call it inside outbox.transaction(fn). Of another framework's @Transactional it must stand below.`,
    { details: { event: event.name } },
  );
}
