import { TxboxError } from '../runtime/error.ts';

/** Any method. */
export type AnyMethod = (this: unknown, ...args: any[]) => unknown;

/** A decorator of methods that return a promise, in the legacy (`experimentalDecorators`) and in the TC39 form. */
export interface AsyncMethodDecorator {
  <T extends (...args: any[]) => Promise<unknown>>(target: object, key: string | symbol, descriptor: TypedPropertyDescriptor<T>): void;
  <This, A extends unknown[], R>(
    value: (this: This, ...args: A) => Promise<R>,
    context: ClassMethodDecoratorContext<This, (this: This, ...args: A) => Promise<R>>,
  ): (this: This, ...args: A) => Promise<R>;
}

/**
 * Makes a decorator out of a function that wraps a method. The wrapper keeps the method's name, length and reflect
 * metadata, so that framework decorators work above and below it. Throws `DECORATOR_MISUSE`, where it is written, for
 * anything but a method that can return a promise.
 */
export function methodDecorator(decorator: string, wrap: (method: AnyMethod, name: string) => AnyMethod): AsyncMethodDecorator {
  const decorate = (target: unknown, key: unknown, third: unknown): unknown => {
    if (isContext(key)) {
      if (key.kind !== 'method' || typeof target !== 'function') throw misuse(decorator, key.kind, key.name);
      return wrapped(decorator, target as AnyMethod, key.name, wrap);
    }
    const descriptor = isDescriptor(third) ? third : undefined;
    if ((typeof key !== 'string' && typeof key !== 'symbol') || typeof descriptor?.value !== 'function')
      throw misuse(decorator, whatItIs(target, key, third), key ?? (target as { name?: string } | undefined)?.name);
    descriptor.value = wrapped(decorator, descriptor.value as AnyMethod, key, wrap);
    return descriptor;
  };
  return decorate as AsyncMethodDecorator;
}

/**
 * Throws `DECORATOR_MISUSE` when a factory was used as a decorator itself, without parentheses; in the legacy form that
 * would leave the method undecorated without a word. `args`: all that the factory was called with.
 */
export function refuseWithoutParentheses(decorator: string, args: readonly unknown[]): void {
  const [, key] = args;
  const legacy = args.length >= 2 && (typeof key === 'string' || typeof key === 'symbol');
  if (!legacy && !isContext(key)) return;
  const name = isContext(key) ? key.name : key;
  throw new TxboxError('DECORATOR_MISUSE', `${decorator} on ${String(name)} needs parentheses: ${decorator}(…).`);
}

function isContext(value: unknown): value is { kind: string; name: string | symbol } {
  return typeof value === 'object' && value !== null && 'kind' in value && 'name' in value;
}

function isDescriptor(value: unknown): value is PropertyDescriptor {
  return typeof value === 'object' && value !== null;
}

/** What a legacy decorator was written on, by what it was called with. */
function whatItIs(target: unknown, key: unknown, third: unknown): string {
  if (key === undefined) return typeof target === 'function' ? 'class' : 'value';
  if (typeof third === 'number') return 'parameter';
  if (!isDescriptor(third)) return 'field';
  if (third.get) return 'getter';
  return third.set ? 'setter' : 'field';
}

function misuse(decorator: string, kind: string, name: unknown): TxboxError {
  return new TxboxError(
    'DECORATOR_MISUSE',
    `${decorator} decorates methods that return a promise, and ${String(name)} is a ${kind}. Move it to a method.`,
  );
}

const GENERATOR = /^\[object (Async)?GeneratorFunction\]$/;

/** Whether a function's body runs when somebody iterates over its result: after the transaction that it was called in, or never. */
export function isGenerator(method: unknown): boolean {
  return GENERATOR.test(Object.prototype.toString.call(method));
}

/** reflect-metadata's part of `Reflect`, where it is loaded. */
interface MetadataReflect {
  getOwnMetadataKeys?(target: object): unknown[];
  getOwnMetadata?(key: unknown, target: object): unknown;
  defineMetadata?(key: unknown, value: unknown, target: object): void;
}

function wrapped(
  decorator: string,
  method: AnyMethod,
  key: string | symbol,
  wrap: (method: AnyMethod, name: string) => AnyMethod,
): AnyMethod {
  if (isGenerator(method)) throw misuse(decorator, 'generator', key);
  const wrapper = wrap(method, String(key));
  Object.defineProperty(wrapper, 'name', { value: method.name, configurable: true });
  Object.defineProperty(wrapper, 'length', { value: method.length, configurable: true });
  const { getOwnMetadataKeys, getOwnMetadata, defineMetadata } = Reflect as MetadataReflect;
  for (const key of getOwnMetadataKeys?.(method) ?? []) defineMetadata?.(key, getOwnMetadata?.(key, method), wrapper);
  return wrapper;
}
