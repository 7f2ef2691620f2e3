import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { createOutbox, type Mysql2Outbox } from '@txbox/outbox/mysql2';
import { createPool, type Pool, type RowDataPacket } from 'mysql2/promise';
import { backendUrl } from '../conformance/backend-url.ts';

/** Servers that the examples run on: name, variable of the URL, name of the service. */
export const EXAMPLE_SERVERS: readonly (readonly [name: string, variable: string, service: string])[] = [
  ['MariaDB', 'TXBOX_TEST_MARIADB_URL', 'mariadb'],
  ['MySQL 9', 'TXBOX_TEST_MYSQL9_URL', 'mysql9'],
];

/** An example that listens for HTTP requests, as a process with a database of its own. */
export class ExampleService implements AsyncDisposable {
  /** The example's outbox, looked at from outside. */
  readonly outbox: Mysql2Outbox;
  readonly #pool: Pool;
  readonly #database: string;
  readonly #process: ChildProcess;
  readonly #exit: Promise<unknown[]>;
  readonly #stderr: Promise<string>;
  #url = '';

  private constructor(example: string, pool: Pool, database: string, url: string) {
    this.#pool = pool;
    this.#database = database;
    this.outbox = createOutbox({ pool });
    this.#process = spawn(process.execPath, [join(import.meta.dirname, '../../examples', example, 'dist/main.js')], {
      env: { ...process.env, DATABASE_URL: url, PORT: '0' },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#exit = once(this.#process, 'exit');
    this.#stderr = text(this.#process.stderr as NonNullable<ChildProcess['stderr']>);
  }

  /** Resolves when the example takes requests. */
  static async start(example: string, [, variable, service]: (typeof EXAMPLE_SERVERS)[number]): Promise<ExampleService> {
    const url = new URL(backendUrl(variable, service).replace(/^mariadb:/, 'mysql:'));
    const database = `txbox_example_${randomBytes(6).toString('hex')}`;
    const admin = createPool({ uri: url.href });
    await admin.query(`CREATE DATABASE ${database}`);
    await admin.end();
    url.pathname = `/${database}`;
    const started = new ExampleService(example, createPool({ uri: url.href }), database, url.href);
    await started.#listening();
    return started;
  }

  async #listening(): Promise<void> {
    for await (const line of createInterface({ input: this.#process.stdout as NonNullable<ChildProcess['stdout']> })) {
      const [, url] = /^listening on (\S+)$/.exec(line) ?? [];
      if (url === undefined) continue;
      this.#url = url;
      return;
    }
    throw new Error(`the example ended before it listened:\n${await this.#stderr}`);
  }

  async post(path: string, body: unknown): Promise<{ status: number; body: any }> {
    const response = await fetch(new URL(path, this.#url), {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    const answer = await response.text();
    return { status: response.status, body: answer.startsWith('{') || answer.startsWith('[') ? JSON.parse(answer) : answer };
  }

  /** A statement beside the example; resolves to its rows. */
  async query(sql: string): Promise<RowDataPacket[]> {
    const [rows] = await this.#pool.query<RowDataPacket[]>(sql);
    return rows;
  }

  /** Ends it as a container is ended; resolves to how it ended and what it wrote to stderr. */
  async terminate(): Promise<{ code: unknown; signal: unknown; stderr: string }> {
    this.#process.kill('SIGTERM');
    const [code, signal] = await this.#exit;
    return { code, signal, stderr: await this.#stderr };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.kill('SIGKILL');
    await this.#exit;
    await this.outbox.close();
    await this.#pool.query(`DROP DATABASE ${this.#database}`);
    await this.#pool.end();
  }
}
