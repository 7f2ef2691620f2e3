import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';

export const ROOT = join(import.meta.dirname, '../..');

/** The ends of both ranges of `engines`; the newest Node is the newest that was tried. */
export const NODES = ['22.18.0', '24.11.0', '26.10.0'] as const;

/** A project outside this workspace, which has the packages as its users get them: packed, and installed with npm. */
export class FreshProject implements Disposable {
  readonly path: string = mkdtempSync(join(tmpdir(), 'txbox-consumer-'));

  /** Packs packages of this workspace; resolves to their dependencies as package.json has them. */
  async pack(packages: readonly string[]): Promise<Record<string, string>> {
    const destination = join(this.path, 'packed');
    mkdirSync(destination);
    const folder = (name: string): string => join(ROOT, 'packages', name);
    await Promise.all(packages.map((name) => command('pnpm', ['pack', '--pack-destination', destination], folder(name))));
    return Object.fromEntries(
      packages.map((name) => {
        const { version } = readJson(join(folder(name), 'package.json')) as { version: string };
        return [`@txbox/${name}`, `file:packed/txbox-${name}-${version}.tgz`];
      }),
    );
  }

  /** Installs what package.json says, and fetches the versions of Node that the tests run. */
  async install(nodes: readonly string[]): Promise<void> {
    await Promise.all([
      command('npm', ['install', '--no-audit', '--no-fund', '--prefer-offline', '--ignore-scripts'], this.path),
      ...nodes.map((version) => onNode(version, ['--version'], this.path)),
    ]);
  }

  write(path: string, text: string): void {
    const file = join(this.path, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
  }

  writeJson(path: string, value: unknown): void {
    this.write(path, JSON.stringify(value, undefined, 2));
  }

  folders(path: string): string[] {
    return readdirSync(join(this.path, path));
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

export function readJson(path: string): unknown {
  return JSON.parse(readFileSync(path, 'utf8'));
}

const programs = new Map<string, Promise<string>>();

/** Runs a version of Node, which npm fetches once. */
export async function onNode(version: string, args: readonly string[], cwd: string): Promise<string> {
  const fetched = programs.get(version) ?? fetchNode(version);
  programs.set(version, fetched);
  const program = await fetched;
  return await command(program, args, cwd, dirname(program));
}

async function fetchNode(version: string): Promise<string> {
  const args = ['--yes', '--prefer-offline', '--package', `node@${version}`, '--', 'node', '--print', 'process.execPath'];
  return (await command('npx', args, ROOT)).trim();
}

/** Runs a program and returns its stdout; a bad exit throws all it printed. `first`: a folder that its PATH begins with. */
export function command(program: string, args: readonly string[], cwd: string, first?: string): Promise<string> {
  // What npm, pnpm, Vitest and Jest set for their children must not reach the consumer's project.
  const env = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(npm_|pnpm_|VITEST|JEST|NODE_OPTIONS|NODE_ENV$|INIT_CWD$)/i.test(name)),
  );
  if (first !== undefined) env['PATH'] = `${first}${delimiter}${env['PATH']}`;
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    child.once('error', reject);
    child.once('close', (code) => {
      if (code === 0) resolve(stdout);
      else reject(new Error(`${program} ${args.join(' ')} ended with ${code}\n${stdout}\n${stderr}`));
    });
  });
}
