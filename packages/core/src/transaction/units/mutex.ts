/** Lets one at a time in, in the order of asking. */
export class Mutex {
  #last: Promise<void> = Promise.resolve();

  /** Resolves, when it is free, to what frees it again (calling that twice does no harm). */
  async take(): Promise<() => void> {
    let free = (): void => undefined;
    const before = this.#last;
    this.#last = new Promise((resolve) => {
      free = resolve;
    });
    await before;
    return free;
  }
}
