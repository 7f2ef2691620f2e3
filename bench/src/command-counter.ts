/**
 * Counts the commands that a MySQL client sends on one connection, statements and all others. Every packet begins with its
 * length (3 bytes) and its number (1 byte), and the first of each command has number 0.
 */
export class CommandCounter {
  #head = Buffer.alloc(0);
  /** Bytes of the packet that have not come yet. */
  #rest = 0;

  /** How many commands begin in the next bytes. */
  count(bytes: Buffer): number {
    let commands = 0;
    for (let at = 0; at < bytes.length; ) {
      const skipped = Math.min(this.#rest, bytes.length - at);
      this.#rest -= skipped;
      at += skipped;
      if (at === bytes.length) break;
      const taken = bytes.subarray(at, at + 4 - this.#head.length);
      this.#head = Buffer.concat([this.#head, taken]);
      at += taken.length;
      if (this.#head.length < 4) break;
      this.#rest = this.#head.readUIntLE(0, 3);
      if (this.#head[3] === 0) commands += 1;
      this.#head = Buffer.alloc(0);
    }
    return commands;
  }
}
