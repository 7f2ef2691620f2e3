// The demo as users run it, with other seeds: processes are killed, and the audit must find nothing.
import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, expect, it } from 'vitest';

const DEMO = join(import.meta.dirname, '../../examples/orders/dist/main.js');
/** Where the runs keep their files. */
const RUNS = join(import.meta.dirname, '../../.demo');

interface DemoResult {
  readonly stack: string;
  readonly db: string;
  readonly committed: number;
  readonly rolledBack: number;
  readonly published: number;
  readonly applied: number;
  readonly lost: number;
  readonly doubled: number;
  readonly outOfOrder: number;
  readonly ghosts: number;
  readonly duplicatesInLog: number;
  readonly redelivered: number;
  readonly kills: { readonly relay: number; readonly consumer: number };
  readonly seconds: number;
}

async function demo(...args: string[]): Promise<{ code: number; result: DemoResult; progress: string }> {
  const child = spawn(process.execPath, [DEMO, '--json', ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  const [stdout, progress, code] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    new Promise<number>((resolve) => child.once('close', (status) => resolve(status ?? 1))),
  ]);
  const last = stdout.trimEnd().split('\n').at(-1) ?? '';
  if (!last.startsWith('{')) throw new Error(`the demo ended with ${code} and no result:\n${progress}`);
  return { code, result: JSON.parse(last) as DemoResult, progress };
}

const STACKS: readonly (readonly [name: string, args: readonly string[]])[] = [
  ['the embedded stack', ['--stack', 'embedded']],
  ['MariaDB and Kafka', ['--stack', 'kafka']],
  ['MySQL and Kafka', ['--stack', 'kafka', '--db', 'mysql']],
];

describe('the demo that is ended early', () => {
  /** Processes that were started with the files of a run. */
  const leftOf = (run: string): string[] =>
    readdirSync('/proc')
      .filter((pid) => /^\d+$/.test(pid))
      .filter((pid) => {
        try {
          return readFileSync(`/proc/${pid}/environ`, 'utf8').includes(run);
        } catch {
          return false;
        }
      });

  it.runIf(process.platform === 'linux').each(['SIGTERM', 'SIGINT', 'output closed'])(
    'by %s leaves no process and no file',
    async (how) => {
      const child = spawn(process.execPath, [DEMO, '--orders', '4000'], { stdio: ['ignore', 'pipe', 'pipe'] });
      const closed = new Promise<void>((resolve) => child.once('exit', () => resolve()));
      let progress = '';
      await new Promise<void>((resolve) => {
        child.stderr.on('data', (data) => {
          progress += String(data);
          if (/SIGKILL|killed/.test(progress)) resolve();
        });
      });
      const runs = (): string[] => readdirSync(RUNS).filter((name) => leftOf(name).length > 0);
      expect(runs().length).toBeGreaterThan(0);
      const [run] = runs();
      if (how === 'output closed') {
        child.stdout.destroy();
        child.stderr.destroy();
      } else child.kill(how as NodeJS.Signals);
      await closed;
      expect(leftOf(run as string)).toEqual([]);
      expect(existsSync(join(RUNS, run as string))).toBe(false);
    },
    60_000,
  );
});

describe.each(STACKS)('the demo on %s', (_name, stack) => {
  it('loses, doubles, reorders and invents nothing while relay and consumer are killed', async () => {
    const { code, result, progress } = await demo(...stack, '--orders', '900', '--kills', '2', '--seed', '20261');
    expect(result, progress).toMatchObject({ lost: 0, doubled: 0, outOfOrder: 0, ghosts: 0, kills: { relay: 2, consumer: 2 } });
    expect(result.committed + result.rolledBack).toBe(900);
    expect(result.rolledBack).toBeGreaterThan(40);
    expect(result.published).toBe(result.committed);
    expect(result.applied).toBe(result.committed);
    expect(code).toBe(0);
  }, 90_000);

  it('sends and delivers nothing twice when relay and consumer are stopped by SIGTERM in mid-run', async () => {
    const { code, result, progress } = await demo(...stack, '--orders', '600', '--kills', '1', '--seed', '20262', '--signal', 'SIGTERM');
    expect(result, progress).toMatchObject({ lost: 0, doubled: 0, outOfOrder: 0, ghosts: 0, duplicatesInLog: 0, redelivered: 0 });
    expect(code).toBe(0);
  }, 90_000);
});

describe('the demo', () => {
  it.each([
    ['a single order', ['--orders', '1', '--kills', '1']],
    ['more kills than orders', ['--orders', '3', '--kills', '5', '--keys', '1']],
  ])(
    'ends well with %s',
    async (_what, args) => {
      const { code, result, progress } = await demo(...args);
      expect(result, progress).toMatchObject({ lost: 0, doubled: 0, outOfOrder: 0, ghosts: 0 });
      expect(result.committed + result.rolledBack).toBe(Number(args[1]));
      expect(code).toBe(0);
    },
    60_000,
  );

  it('reports every wrong option at once', async () => {
    const child = spawn(process.execPath, [DEMO, '--orders', 'many', '--kills', '-1'], { stdio: ['ignore', 'ignore', 'pipe'] });
    const [stderr, code] = await Promise.all([
      text(child.stderr),
      new Promise<number | null>((resolve) => child.once('close', (status) => resolve(status))),
    ]);
    expect(stderr).toContain('--orders');
    expect(stderr).toContain('--kills');
    expect(code).toBe(2);
  });
});
