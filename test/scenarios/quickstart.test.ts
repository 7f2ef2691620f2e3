// The quickstart of the README is the file that runs, and it does what it says.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';

const ROOT = join(import.meta.dirname, '../..');

it('prints the invoice that its order led to, each time it runs', () => {
  const folder = mkdtempSync(join(tmpdir(), 'txbox-quickstart-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const run = (): string =>
    execFileSync(process.execPath, [join(ROOT, 'examples/quickstart/dist/main.js')], { cwd: folder, encoding: 'utf8' });
  const invoices = (output: string): number => output.match(/orderId: 'order-1', amount: '9\.90'/g)?.length ?? 0;
  expect(invoices(run())).toBe(1);
  expect(invoices(run())).toBe(2);
});

it('stands in the README as it is', () => {
  const readme = readFileSync(join(ROOT, 'README.md'), 'utf8');
  const source = readFileSync(join(ROOT, 'examples/quickstart/src/main.ts'), 'utf8');
  expect(readme).toContain(`\`\`\`ts\n${source}\`\`\``);
  expect(readme.split('\n').length).toBeLessThan(150);
});
