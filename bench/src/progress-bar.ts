/** A bar on stderr: what is done, out of how much. Without a terminal each step is a line of its own. */
export class ProgressBar {
  readonly #steps: number;
  readonly #output: NodeJS.WriteStream;
  #done = 0;

  constructor(steps: number, output: NodeJS.WriteStream = process.stderr) {
    this.#steps = steps;
    this.#output = output;
  }

  /** One step more is done; `text` says what it showed. */
  step(text: string): void {
    this.#done += 1;
    const part = Math.min(1, this.#done / this.#steps);
    const bar = '#'.repeat(Math.round(part * WIDTH)).padEnd(WIDTH, '.');
    const line = `[${bar}] ${String(Math.round(part * 100)).padStart(3)} %  ${text}`;
    if (!this.#output.isTTY) this.#output.write(`${line}\n`);
    else this.#output.write(`\r\u001b[K${line.slice(0, this.#output.columns - 1)}${part === 1 ? '\n' : ''}`);
  }
}

const WIDTH = 24;
