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
 * anything but a method.
 */
export function methodDecorator(decorator: string, wrap: (method: AnyMethod, name: string) => AnyMethod): AsyncMethodDecorator {
  const decorate = (target: unknown, key: unknown, descriptor: unknown): unknown => {
    if (isContext(key)) {
      if (key.kind !== 'method' || typeof target !== 'function') throw misuse(decorator, key.kind, String(key.name));
      return wrapped(target as AnyMethod, String(key.name), wrap);
    }
    const found = descriptor as PropertyDescriptor | undefined;
    if (typeof found?.value !== 'function')
      throw misuse(decorator, whatItIs(target, key, found), String(key ?? (target as { name?: string }).name));
    found.value = wrapped(found.value as AnyMethod, String(key), wrap);
    return found;
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

function whatItIs(target: unknown, key: unknown, descriptor: PropertyDescriptor | undefined): string {
  if (key === undefined) return typeof target === 'function' ? 'class' : 'value';
  return descriptor?.get || descriptor?.set ? 'getter' : 'field';
}

function misuse(decorator: string, kind: string, name: string): TxboxError {
  return new TxboxError(
    'DECORATOR_MISUSE',
    `${decorator} decorates methods that return a promise, and ${name} is a ${kind}. Move it to a method.`,
  );
}

/** reflect-metadata's part of `Reflect`, where it is loaded. */
interface MetadataReflect {
  getOwnMetadataKeys?(target: object): unknown[];
  getOwnMetadata?(key: unknown, target: object): unknown;
  defineMetadata?(key: unknown, value: unknown, target: object): void;
}

function wrapped(method: AnyMethod, name: string, wrap: (method: AnyMethod, name: string) => AnyMethod): AnyMethod {
  const wrapper = wrap(method, name);
  Object.defineProperty(wrapper, 'name', { value: method.name, configurable: true });
  Object.defineProperty(wrapper, 'length', { value: method.length, configurable: true });
  const { getOwnMetadataKeys, getOwnMetadata, defineMetadata } = Reflect as MetadataReflect;
  for (const key of getOwnMetadataKeys?.(method) ?? []) defineMetadata?.(key, getOwnMetadata?.(key, method), wrapper);
  return wrapper;
}
