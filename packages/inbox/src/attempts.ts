import type { MessageId } from '@txbox/core/spi';

const MAX_REMEMBERED = 10_000;

/** How often messages have failed in this process. Forgets the oldest beyond a bound: a count is information, nothing rests on it. */
export class Attempts {
  readonly #failures = new Map<MessageId, number>();

  /** The number of the try that comes next, from 1. */
  next(id: MessageId): number {
    return this.failures(id) + 1;
  }

  failures(id: MessageId): number {
    return this.#failures.get(id) ?? 0;
  }

  failed(id: MessageId): void {
    const failures = this.next(id);
    this.#failures.delete(id);
    this.#failures.set(id, failures);
    const [oldest] = this.#failures.keys();
    if (this.#failures.size > MAX_REMEMBERED && oldest !== undefined) this.#failures.delete(oldest);
  }

  succeeded(id: MessageId): void {
    this.#failures.delete(id);
  }
}
