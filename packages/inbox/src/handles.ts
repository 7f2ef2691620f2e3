import { type EventDefinition, isGenerator, noEventBecause, type PayloadOf, TxboxError } from '@txbox/core/spi';

/** A method that was declared a handler. */
export interface DeclaredHandler {
  readonly event: EventDefinition;
  readonly method: string | symbol;
}

/**
 * What {@link Handles} returns: a decorator for methods that take the event's payload and a handler context, in its
 * legacy form (`experimentalDecorators`) and its standard one.
 */
export interface HandlesDecorator<Payload> {
  <Method extends (payload: Payload, ctx: any) => unknown>(
    target: object,
    method: string | symbol,
    descriptor: TypedPropertyDescriptor<Method>,
  ): void;
  <This, Method extends (this: This, payload: Payload, ctx: any) => unknown>(
    value: Method,
    context: ClassMethodDecoratorContext<This, Method>,
  ): void;
}

/** Own list of a class: on its prototype (legacy form) or its metadata (standard form). Global, for two copies of the package. */
const HANDLES: unique symbol = Symbol.for('txbox.handles') as never;
type Declaring = { [HANDLES]?: DeclaredHandler[] };

// Compilers give a decorator metadata only where this symbol exists when the class is made.
const withMetadata = Symbol as { metadata?: symbol };
withMetadata.metadata ??= Symbol.for('Symbol.metadata');
const METADATA: symbol = withMetadata.metadata;

/**
 * Makes a method the handler of an event: `createInbox({ handlers: [instance] })` calls it with the payload and a
 * handler context. A method may handle several events. An override in a subclass handles what it overrides.
 *
 * The payload is `null` for a tombstone (`ctx.message.value === null`). Throws `HANDLER_INVALID` for anything but an
 * event that `defineEvent` made, and on anything but a public method of instances; a generator is none.
 */
export function Handles<E extends EventDefinition>(event: E): HandlesDecorator<PayloadOf<E>> {
  refuseUndefinedEvent(event, '@Handles');
  return (target: unknown, context: unknown, descriptor?: PropertyDescriptor): void => {
    const standard = isStandardContext(context);
    const owner = standard ? ownerOfStandard(event, context) : ownerOfLegacy(event, target, context, descriptor);
    const method = standard ? context.name : (context as string | symbol);
    refuseGenerator(standard ? target : descriptor?.value, `@Handles(${event.name}) stands on ${String(method)}, which`);
    declare(owner, { event, method });
  };
}

/** What the classes of an instance declare, its own class first. */
export function handlersOf(instance: object): DeclaredHandler[] {
  const found: DeclaredHandler[] = [];
  for (let at = Object.getPrototypeOf(instance); at !== null && at !== Object.prototype; at = Object.getPrototypeOf(at)) {
    for (const declared of [...ownList(at), ...ownList(ownMetadata(at))]) {
      if (!found.some(({ event, method }) => event === declared.event && method === declared.method)) found.push(declared);
    }
  }
  return found;
}

/** Throws `HANDLER_INVALID` unless `event` is an event definition. `what` begins the text. */
export function refuseUndefinedEvent(event: unknown, what: string): void {
  const problem = noEventBecause(event);
  if (problem !== undefined) throw new TxboxError('HANDLER_INVALID', `${what} ${problem}`);
}

/** Throws `HANDLER_INVALID` for a generator. `what` begins the text. */
export function refuseGenerator(handler: unknown, what: string): void {
  if (!isGenerator(handler)) return;
  throw new TxboxError(
    'HANDLER_INVALID',
    `${what} is a generator: its body would not run, for nobody iterates. Make it a function or a method.`,
  );
}

function isStandardContext(value: unknown): value is ClassMethodDecoratorContext {
  return typeof value === 'object' && value !== null && 'kind' in value;
}

function ownerOfStandard(event: EventDefinition, context: ClassMethodDecoratorContext): object {
  if (context.kind !== 'method' || context.static || context.private) throw misplaced(event, context.name);
  // Typed as always there, but compilers leave it out where the symbol was missing.
  const metadata = context.metadata as object | undefined;
  if (metadata !== undefined) return metadata;
  throw new TxboxError(
    'HANDLER_INVALID',
    `@Handles(${event.name}) on ${String(context.name)} got no decorator metadata: the compiler of this class is too old for standard decorators. Use inbox.on(event, handler) instead.`,
  );
}

function ownerOfLegacy(event: EventDefinition, target: unknown, method: unknown, descriptor: PropertyDescriptor | undefined): object {
  if (typeof target === 'object' && target !== null && typeof descriptor?.value === 'function') return target;
  throw misplaced(event, method);
}

function misplaced(event: EventDefinition, method: unknown): TxboxError {
  return new TxboxError(
    'HANDLER_INVALID',
    `@Handles(${event.name}) stands on ${method === undefined ? 'a class' : String(method)}, which is not a public method of instances. Static and private members, fields and accessors cannot handle events.`,
  );
}

function declare(owner: object, handler: DeclaredHandler): void {
  if (!Object.hasOwn(owner, HANDLES)) Object.defineProperty(owner, HANDLES, { value: [] });
  (owner as Declaring)[HANDLES]?.push(handler);
}

function ownList(owner: object | undefined): readonly DeclaredHandler[] {
  return owner !== undefined && Object.hasOwn(owner, HANDLES) ? ((owner as Declaring)[HANDLES] ?? []) : [];
}

function ownMetadata(prototype: object): object | undefined {
  if (!Object.hasOwn(prototype, 'constructor')) return undefined;
  return Object.getOwnPropertyDescriptor(prototype.constructor, METADATA)?.value as object | undefined;
}
