import { beforeAll, describe, expect, it } from 'vitest';
import { CHECKS, type ModelCheck } from './checks.ts';
import { search, spinTools } from './spin.ts';

const FULL = process.env['TXBOX_TEST_FULL'] === '1';
const SEARCH_MS = 15 * 60_000;

/** Every state of a model within its bounds, and of its mutants, each of which must be caught. Says how many states there are. */
export function modelSuite(model: ModelCheck['model']): void {
  describe(model, () => {
    let tools: Awaited<ReturnType<typeof spinTools>>;
    beforeAll(async () => {
      tools = await spinTools();
    }, 120_000);

    const checks = CHECKS.filter((check) => check.model === model && (check.quick || FULL));
    it.each(checks.map((check) => [check.expect === 'holds' ? 'rule' : 'mutant', check.what, check] as const))(
      '%s: %s',
      async (kind, what, check) => {
        const found = await search(tools, check, AbortSignal.timeout(SEARCH_MS));
        process.stderr.write(`${model}, ${kind}: ${what}: ${found.states} states, depth ${found.depth}, ${found.seconds} s\n`);
        expect(found.errors > 0 ? 'caught' : 'holds').toBe(check.expect);
      },
      SEARCH_MS,
    );
  });
}
