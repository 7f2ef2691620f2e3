import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { HttpOptions, RelaySettings } from '@txbox/relay';
import { onTestFinished } from 'vitest';
import { BROKERS } from '../faults/kafka-cluster.ts';

const PROGRAM = fileURLToPath(new URL('../../packages/cli/src/bin.ts', import.meta.url));

/** The rest of a configuration. */
interface Sections {
  readonly kind?: 'kafkajs' | 'platformatic';
  readonly http?: HttpOptions;
  /** Further options of the publisher. */
  readonly publisher?: Readonly<Record<string, unknown>>;
}

/** `txbox` with a configuration file for one database and the broker. */
export class TxboxCommands {
  readonly #config: string;

  private constructor(config: string) {
    this.#config = config;
  }

  /** Writes the file; removed after the test. `kind`: of the publisher. */
  static async create(
    url: string,
    relay: RelaySettings = {},
    { kind = 'kafkajs', http, publisher = {} }: Sections = {},
  ): Promise<TxboxCommands> {
    const folder = await mkdtemp(join(tmpdir(), 'txbox-relay-'));
    onTestFinished(() => rm(folder, { recursive: true }));
    const config = join(folder, 'txbox.config.json');
    await writeFile(config, JSON.stringify({ database: { url }, publisher: { kind, brokers: BROKERS, ...publisher }, relay, http }));
    return new TxboxCommands(config);
  }

  /** Begins `txbox <words>`; killed after the test at the latest. */
  spawn(...words: readonly string[]): TxboxProcess {
    const child = spawn(process.execPath, ['--conditions=@txbox/source', PROGRAM, ...words, '--config', this.#config]);
    const started = new TxboxProcess(child);
    onTestFinished(() => started.kill());
    return started;
  }

  /** Runs `txbox <words> --json` to its end. */
  async json(...words: readonly string[]): Promise<{ code: unknown; json: Record<string, unknown>; stderr: string }> {
    const run = this.spawn(...words, '--json');
    const code = await run.end();
    return { code, json: run.stdout === '' ? {} : (JSON.parse(run.stdout) as Record<string, unknown>), stderr: run.stderr };
  }
}

/** A running `txbox`. */
export class TxboxProcess {
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown[]>;
  stdout = '';
  stderr = '';

  constructor(child: ChildProcess) {
    this.#child = child;
    this.#ended = once(child, 'close');
    child.stdout?.on('data', (bytes: Buffer) => {
      this.stdout += bytes.toString();
    });
    child.stderr?.on('data', (bytes: Buffer) => {
      this.stderr += bytes.toString();
      child.emit('told');
    });
  }

  /** Resolves when it has said so on stderr. Rejects when it ends before. */
  async says(text: string): Promise<void> {
    const ended = this.#ended.then(() => {
      throw new Error(`txbox ended before it said ${text}: ${this.stderr}`);
    });
    // Also when it is heard at once.
    ended.catch(() => undefined);
    while (!this.stderr.includes(text)) await Promise.race([once(this.#child, 'told'), ended]);
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** The exit code. */
  async end(): Promise<unknown> {
    const [code] = await this.#ended;
    return code;
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#ended;
  }
}
