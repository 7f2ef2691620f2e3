import { isObject, isPublisher } from './config-options.ts';

/** Where a value comes from. */
export interface Origin {
  readonly from: 'flag' | 'environment' | 'file' | 'default';
  /** The flag, the variable, the path of the file. */
  readonly name?: string;
}

/** An origin in words. */
export function describeOrigin({ from, name }: Origin): string {
  return name === undefined ? from : `${from} ${name}`;
}

/**
 * The values of a configuration, each with its origin. What is put later wins, option by option: a variable changes one
 * option of a section and leaves the others of the file.
 */
export class ConfigSettings {
  readonly #value: Record<string, unknown> = {};
  /** By the path of each option that has a value; options with options of their own have none. */
  readonly #origins = new Map<string, Origin>();

  get value(): Readonly<Record<string, unknown>> {
    return this.#value;
  }

  /** Returns what stands in the way: an instance has no options that could be changed one by one. */
  put(path: readonly string[], value: unknown, origin: Origin): string | undefined {
    let parent = this.#value;
    for (const [index, name] of path.slice(0, -1).entries()) {
      const found = parent[name];
      const above = path.slice(0, index + 1);
      if (isObject(found) && !isOpen(found))
        return `${above.join('.')} is made in code there, and its options with it: describe it as data`;
      if (!isOpen(found)) this.#forget(above);
      parent = define(parent, name, isOpen(found) ? { ...found } : {});
    }
    this.#forget(path);
    define(parent, path.at(-1) ?? '', copyOf(value));
    this.#remember(path, value, origin);
    return undefined;
  }

  /** Every option that has a value. */
  entries(): readonly { readonly path: readonly string[]; readonly value: unknown; readonly origin: Origin }[] {
    return [...this.#origins].map(([key, origin]) => {
      const path = key.split('\0');
      return { path, value: path.reduce<unknown>((parent, name) => (parent as Record<string, unknown>)[name], this.#value), origin };
    });
  }

  /** The origins of an option, or of all that lies below it. */
  originsOf(path: readonly string[]): readonly Origin[] {
    const found = [...this.#origins].filter(([key]) => isBelow(key, path)).map(([, origin]) => origin);
    return found.filter((origin, index) => found.findIndex((other) => describeOrigin(other) === describeOrigin(origin)) === index);
  }

  #remember(path: readonly string[], value: unknown, origin: Origin): void {
    if (!isOpen(value) || Object.keys(value).length === 0) this.#origins.set(keyOf(path), origin);
    else for (const [name, option] of Object.entries(value)) this.#remember([...path, name], option, origin);
  }

  #forget(path: readonly string[]): void {
    for (const key of this.#origins.keys()) if (isBelow(key, path)) this.#origins.delete(key);
  }
}

function keyOf(path: readonly string[]): string {
  return path.join('\0');
}

function isBelow(key: string, path: readonly string[]): boolean {
  return key === keyOf(path) || key.startsWith(`${keyOf(path)}\0`);
}

/** An object whose options are options of the configuration: a literal, no instance. */
export function isOpen(value: unknown): value is Readonly<Record<string, unknown>> {
  if (!isObject(value) || isPublisher(value)) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

/** The file's own objects may be frozen, and stay as they are. */
function copyOf(value: unknown): unknown {
  return isOpen(value) ? Object.fromEntries(Object.entries(value).map(([name, option]) => [name, copyOf(option)])) : value;
}

/** Sets an own property, also one named like `__proto__`. */
function define<T>(target: Record<string, unknown>, name: string, value: T): T {
  Object.defineProperty(target, name, { value, writable: true, enumerable: true, configurable: true });
  return value;
}
