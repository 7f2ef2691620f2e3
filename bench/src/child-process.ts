import { type ChildProcess, fork, type Serializable } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

/** A process that says something when it is ready, answers one question after another, and ends when told `close`. */
export class ChildProcessHandle {
  readonly #child: ChildProcess;
  /** What it said first. */
  readonly greeting: unknown;

  private constructor(child: ChildProcess, greeting: unknown) {
    this.#child = child;
    this.greeting = greeting;
  }

  static async start(file: URL, args: readonly string[]): Promise<ChildProcessHandle> {
    // kafkajs sets itself timers in the past, and Node tells of each.
    const execArgv = ['--disable-warning=TimeoutNegativeWarning'];
    const child = fork(fileURLToPath(file), args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'], execArgv });
    return new ChildProcessHandle(child, await answerOf(child));
  }

  async ask(question: Serializable): Promise<unknown> {
    const answer = answerOf(this.#child);
    this.#child.send(question);
    return await answer;
  }

  async close(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exit = once(this.#child, 'exit');
    this.#child.send('close');
    await exit;
  }
}

async function answerOf(child: ChildProcess): Promise<unknown> {
  const stop = new AbortController();
  const message = once(child, 'message', stop);
  const exit = once(child, 'exit', stop).then(([code]) => {
    throw new Error(`the process ended with exit code ${String(code)}`);
  });
  try {
    const [answer] = (await Promise.race([message, exit])) as [unknown];
    return answer;
  } finally {
    stop.abort();
    for (const waiting of [message, exit]) waiting.catch(() => undefined);
  }
}
