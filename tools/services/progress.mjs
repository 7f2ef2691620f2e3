// Progress goes to stderr: stdout carries only KEY=VALUE lines.

/** A failure that is told to the user as it is, without a stack. */
export class ServicesError extends Error {}

/** Writes one line of progress. */
export function say(text) {
  process.stderr.write(`services: ${text}\n`);
}

/** Runs `work` and says how long it took; `work` may return a text to add. */
export async function timed(what, work) {
  const startedAt = performance.now();
  const note = await work();
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
  say(`${what} in ${seconds} s${note ? ` (${note})` : ''}`);
}
