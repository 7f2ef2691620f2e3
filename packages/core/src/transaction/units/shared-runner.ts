import { TxboxError } from '../../runtime/error.ts';

/** TypeORM's QueryRunner, as far as joining needs it. */
export interface Runner {
  isTransactionActive: boolean;
  /** Protected there: 1 in a transaction, higher in savepoints. */
  transactionDepth?: number;
  query(sql: string, parameters?: unknown[], structured?: boolean): Promise<unknown>;
  stream(sql: string, ...rest: unknown[]): Promise<unknown>;
  startTransaction(...args: unknown[]): Promise<void>;
  commitTransaction(): Promise<void>;
  rollbackTransaction(): Promise<void>;
  release(): Promise<void>;
  connect(): Promise<unknown>;
}

/**
 * SQLite's one runner for code outside of any unit: its statements wait until no unit is open, and its transactions keep
 * units out, where TypeORM would let them become part of each other (P-W9). Among itself such code is TypeORM's own
 * affair: while one of its transactions is open, other statements become part of that.
 */
export class SharedRunner {
  readonly #turn: () => Promise<() => void>;
  #free: (() => void) | undefined;
  #depth = 0;

  constructor(turn: () => Promise<() => void>) {
    this.#turn = turn;
  }

  viewOf(runner: Runner): Runner {
    const own: Partial<Record<string | symbol, unknown>> = {
      query: (...args: Parameters<Runner['query']>) => this.#alone(() => runner.query(...args)),
      stream: (...args: Parameters<Runner['stream']>) => this.#alone(() => runner.stream(...args)),
      startTransaction: (...args: unknown[]) => this.#begin(() => runner.startTransaction(...args)),
      commitTransaction: () => this.#end(() => runner.commitTransaction()),
      rollbackTransaction: () => this.#end(() => runner.rollbackTransaction()),
      release: async () => undefined,
    };
    return new Proxy(runner, {
      get: (target, name) => {
        if (name === 'isTransactionActive') return this.#depth > 0 && target.isTransactionActive;
        if (Object.hasOwn(own, name)) return own[name];
        const value: unknown = Reflect.get(target, name, target);
        return typeof value === 'function' ? (value.bind(target) as unknown) : value;
      },
      set: (target, name, value) => Reflect.set(target, name, value, target),
    });
  }

  async #alone<T>(work: () => Promise<T>): Promise<T> {
    if (this.#depth > 0) return await work();
    const free = await this.#turn();
    try {
      return await work();
    } finally {
      free();
    }
  }

  async #begin(work: () => Promise<void>): Promise<void> {
    const free = this.#depth === 0 ? await this.#turn() : undefined;
    this.#free = free ?? this.#free;
    this.#depth += 1;
    try {
      await work();
    } catch (error) {
      this.#leave();
      throw error;
    }
  }

  async #end(work: () => Promise<void>): Promise<void> {
    // TypeORM rolls back also what could not begin; that would be the transaction of whoever has the connection.
    if (this.#depth === 0) throw new TxboxError('NO_OPEN_TRANSACTION', 'No transaction was begun here that could be ended.');
    try {
      await work();
    } finally {
      this.#leave();
    }
  }

  #leave(): void {
    this.#depth -= 1;
    if (this.#depth > 0) return;
    this.#depth = 0;
    this.#free?.();
    this.#free = undefined;
  }
}
