// `npm run check`: what must pass before a change is offered. Every step runs, failures are listed at the end, and the last
// line on stdout and stderr counts steps and unit tests together.
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { formatTotals } from './totals.ts';

interface Outcome {
  readonly code: number;
  readonly output: string;
}

const ROOT = join(import.meta.dirname, '..');
const bin = (name: string): string => join(ROOT, 'tools/node_modules/.bin', name);
const tsc = join(ROOT, 'node_modules/.bin/tsc');
const packed = mkdtempSync(join(tmpdir(), 'txbox-packed-'));
const packages = readdirSync(join(ROOT, 'packages'));

const STEPS: readonly (readonly [name: string, run: () => Promise<Outcome>])[] = [
  ['format and lint', () => command(bin('biome'), ['ci', '--error-on-warnings', '.'])],
  // Forced: the compiler takes results for current when nothing but its options changed.
  ['types', () => command(tsc, ['--build', '--force'])],
  ['promises', lintPromises],
  ['unused code', () => command(bin('knip'), ['--no-progress'])],
  ['packed packages', checkPacked],
];

const failures: string[] = [];
let passed = 0;
for (const [name, run] of STEPS) {
  const startedAt = performance.now();
  const { code, output } = await run();
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
  say(`${code === 0 ? 'ok    ' : 'FAILED'} ${name} (${seconds} s)`);
  if (code === 0) passed += 1;
  else {
    failures.push(name);
    say(output);
  }
}
rmSync(packed, { recursive: true, force: true });

const units = await command(process.execPath, [join(ROOT, 'tools/run-suites.ts'), 'unit'], 'shown');
const counted = /^(\d+) passed, (\d+) failed, (\d+) skipped$/m.exec(units.output);
const [unitsPassed, unitsFailed, unitsSkipped] = counted ? counted.slice(1).map(Number) : [0, 1, 0];
if (units.code !== 0) failures.push('unit tests');
if (failures.length > 0) say(`check failed: ${failures.join(', ')}`);
const stepsFailed = failures.filter((name) => name !== 'unit tests').length;
const line = formatTotals({
  passed: passed + (unitsPassed ?? 0),
  failed: stepsFailed + (unitsFailed ?? 0),
  skipped: unitsSkipped ?? 0,
});
say(line);
process.stdout.write(`${line}\n`);
process.exitCode = failures.length > 0 ? 1 : 0;

/** The type-aware linter is found from the folder that has it. */
function lintPromises(): Promise<Outcome> {
  const folders = ['packages', 'examples', 'test', 'tools', 'bench'].map((folder) => join(ROOT, folder));
  const config = join(ROOT, '.oxlintrc.json');
  return command(bin('oxlint'), ['--config', config, '--type-aware', '--deny-warnings', ...folders], 'kept', join(ROOT, 'tools'));
}

/** Packs every package as it would be published and judges the tarballs. */
async function checkPacked(): Promise<Outcome> {
  const outcomes = await Promise.all(
    packages.map(async (name): Promise<Outcome> => {
      const pack = await command('pnpm', ['pack', '--pack-destination', packed], 'kept', join(ROOT, 'packages', name));
      if (pack.code !== 0) return pack;
      const tarball = join(packed, readdirSync(packed).find((file) => file.startsWith(`txbox-${name}-`)) ?? '');
      const judged = [
        await command(bin('publint'), ['run', tarball, '--strict']),
        await command(bin('attw'), [tarball, '--profile', 'esm-only', '--no-emoji', '--no-color']),
        await tarballHolds(tarball, ['package/LICENSE', 'package/dist/index.js', 'package/dist/index.d.ts']),
      ];
      return { code: Math.max(...judged.map((outcome) => outcome.code)), output: judged.map((outcome) => outcome.output).join('\n') };
    }),
  );
  const bad = outcomes.filter((outcome) => outcome.code !== 0);
  return { code: bad.length === 0 ? 0 : 1, output: bad.map((outcome) => outcome.output).join('\n') };
}

async function tarballHolds(tarball: string, wanted: readonly string[]): Promise<Outcome> {
  const { code, output } = await command('tar', ['-tzf', tarball]);
  const files = output.split('\n');
  const missing = wanted.filter((file) => !files.includes(file));
  const foreign = files.filter(
    (file) => file !== '' && !/^package\/(dist\/|LICENSE$|README\.md$|config\.schema\.json$|package\.json$)/.test(file),
  );
  if (code === 0 && missing.length === 0 && foreign.length === 0) return { code: 0, output: '' };
  return {
    code: 1,
    output: `${tarball}: missing ${missing.join(', ') || 'nothing'}; should not be there: ${foreign.join(', ') || 'nothing'}`,
  };
}

function command(program: string, args: readonly string[], output: 'kept' | 'shown' = 'kept', cwd = ROOT): Promise<Outcome> {
  return new Promise((resolve) => {
    const child = spawn(program, args, { cwd, stdio: ['ignore', 'pipe', output === 'shown' ? 'inherit' : 'pipe'] });
    let text = '';
    const keep = (chunk: Buffer): void => {
      text += chunk.toString();
    };
    child.stdout?.on('data', keep);
    child.stderr?.on('data', keep);
    child.once('error', (error) => resolve({ code: 1, output: `${program}: ${error.message}` }));
    child.once('close', (status) => resolve({ code: status ?? 1, output: text }));
  });
}

function say(text: string): void {
  process.stderr.write(`${text}\n`);
}
