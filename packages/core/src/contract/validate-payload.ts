import type { StandardSchemaV1 } from '@standard-schema/spec';
import { TxboxError } from '../runtime/error.ts';

/** What the validator makes of a value. Throws `PAYLOAD_INVALID` with every issue and its path; `what` begins the text. */
export function validatePayload(schema: StandardSchemaV1, value: unknown, what: string): unknown {
  let result: StandardSchemaV1.Result<unknown> | Promise<StandardSchemaV1.Result<unknown>>;
  try {
    result = schema['~standard'].validate(value);
  } catch (cause) {
    throw new TxboxError('PAYLOAD_INVALID', `${what}: its validator threw: ${cause instanceof Error ? cause.message : String(cause)}.`, {
      cause,
    });
  }
  if (typeof (result as Promise<unknown>).then === 'function') {
    // Nobody will look at the answer any more; a rejection must not end the process.
    void Promise.resolve(result).catch(() => undefined);
    throw new TxboxError(
      'PAYLOAD_INVALID',
      `${what}: its validator is asynchronous. Validators must answer synchronously; check what needs waiting before.`,
    );
  }
  const answer = result as StandardSchemaV1.Result<unknown>;
  const { issues } = answer;
  if (issues === undefined) return (answer as StandardSchemaV1.SuccessResult<unknown>).value;
  const problems = issues.map((issue) => `${pathOf(issue)}: ${issue.message}`);
  throw new TxboxError('PAYLOAD_INVALID', `${what} is not valid: ${problems.join('; ')}.`, { details: { problems } });
}

function pathOf(issue: StandardSchemaV1.Issue): string {
  const keys = (issue.path ?? []).map((part) => String(typeof part === 'object' ? part.key : part));
  return ['$', ...keys].join('.');
}
