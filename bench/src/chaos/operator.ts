import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { ChaosSite } from './chaos-site.ts';
import { between, type Random } from './random.ts';

const TXBOX = fileURLToPath(new URL('../../../packages/cli/dist/bin.js', import.meta.url));

/** Who has the refused messages published after all, now and then, and is sometimes killed at it. */
export class Operator {
  readonly #site: ChaosSite;
  redrives = 0;
  killed = 0;
  mostParked = 0;

  constructor(site: ChaosSite) {
    this.#site = site;
  }

  /** Until `signal` is aborted. */
  async work(random: Random, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await sleep(between(random, 1_000, 6_000), undefined, { signal }).catch(() => undefined);
      this.mostParked = Math.max(this.mostParked, await this.#site.count('txbox_parked_key'));
      await this.#site.takeLarge(true);
      await this.redrive(random() < 0.3 ? between(random, 300, 1_500) : undefined);
      await this.#site.takeLarge(false);
    }
  }

  /** `txbox dead-letters redrive --all`, killed after so long. */
  async redrive(killAfterMs?: number): Promise<void> {
    this.redrives += 1;
    const child = spawn(
      process.execPath,
      ['--disable-warning=TimeoutNegativeWarning', TXBOX, 'dead-letters', 'redrive', '--all', '--json', '--config', this.#site.configFile],
      { stdio: 'ignore' },
    );
    const timer = killAfterMs === undefined ? undefined : setTimeout(() => child.kill('SIGKILL'), killAfterMs);
    await once(child, 'exit');
    clearTimeout(timer);
    if (child.signalCode !== null) this.killed += 1;
  }
}
