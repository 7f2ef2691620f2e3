import { afterAll, beforeAll, describe, expect, it } from 'vitest';

/** What a backend says about itself. */
export interface SuiteOptions<Feature extends string> {
  /**
   * Features that this backend does not have, each with the reason. Their claims are not made; the compatibility matrix
   * names them. A feature that no claim asks for fails the suite: a declaration may not outlive its reason.
   */
  readonly lacks?: Readonly<Partial<Record<Feature, string>>>;
}

/** A claim that was not made. */
export interface ConformanceGap {
  readonly claim: string;
  readonly feature: string;
  readonly reason: string;
}

/** What the last test of a suite leaves in its `meta.conformance`: who was asked, and what was not claimed. */
export interface ConformanceRecord {
  readonly port: string;
  readonly backend: string;
  readonly gaps: readonly ConformanceGap[];
}

/** Makes one claim about the backend; `needs` names the feature without which it cannot be made. */
export type Claim<Backend, Feature extends string> = (
  name: string,
  check: (backend: Backend) => Promise<void>,
  options?: { readonly needs?: Feature; readonly timeoutMs?: number },
) => void;

/** One thing to be disposed of after the suite. */
export interface Disposable {
  dispose(): Promise<void>;
}

/**
 * Declares a suite: one `describe` for a port on a backend, made before its claims and disposed of after them. Claims
 * run one after another on the same backend and use names of their own.
 */
export function conformanceSuite<Backend extends Disposable, Feature extends string>(
  port: string,
  backend: string,
  make: () => Promise<Backend>,
  { lacks }: SuiteOptions<Feature>,
  claims: (claim: Claim<Backend, Feature>) => void,
): void {
  describe(`${port} on ${backend}`, () => {
    // Every claim fails while there is no backend: a hook that fails would only skip them.
    let made: Promise<Backend>;
    beforeAll(async () => {
      made = make();
      await made.catch(() => undefined);
    });
    afterAll(async () => {
      const backend = await made.catch(() => undefined);
      await backend?.dispose();
    });
    const gaps: ConformanceGap[] = [];
    claims((name, check, { needs, timeoutMs } = {}) => {
      const reason = needs === undefined ? undefined : lacks?.[needs];
      if (needs !== undefined && reason !== undefined) gaps.push({ claim: name, feature: needs, reason });
      else it(name, async () => await check(await made), timeoutMs);
    });
    it('declares its gaps, each with a reason', ({ task }) => {
      const conformance: ConformanceRecord = { port, backend, gaps };
      Object.assign(task.meta, { conformance });
      expect(Object.keys(lacks ?? {}).sort()).toEqual([...new Set(gaps.map((gap) => gap.feature))].sort());
      expect(gaps.filter((gap) => gap.reason.trim() === '')).toEqual([]);
    });
  });
}
