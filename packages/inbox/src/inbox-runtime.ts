import type { Clock, Logger, TransactionResource } from '@txbox/core/spi';
import type { Attempts } from './attempts.ts';
import type { Work } from './batch.ts';
import type { HandlerRegistry } from './handler-registry.ts';
import type { InboxEvents } from './inbox-events.ts';
import type { ResolvedInboxOptions } from './inbox-options.ts';
import type { InboxStore } from './inbox-store.ts';
import { type ProcessOnceOutcome, processOnce } from './process-once.ts';

/** What the parts of one inbox share. */
export interface InboxRuntime {
  readonly options: ResolvedInboxOptions;
  readonly resource: TransactionResource;
  readonly store: InboxStore;
  readonly handlers: HandlerRegistry;
  readonly handleName: string;
  readonly attempts: Attempts;
  readonly events: InboxEvents;
  readonly logger: Logger;
  readonly clock: Clock;
}

/** Processes works of a lane in one transaction, with the attempts counted so far. */
export async function applyOnce(runtime: InboxRuntime, works: readonly Work[], signal: AbortSignal): Promise<ProcessOnceOutcome> {
  const { resource, store, handleName, attempts, options } = runtime;
  const context = { resource, store, handleName, group: options.group };
  const outcome = await processOnce(context, works, { signal, attemptOf: ({ message }) => attempts.next(message.id) });
  if (outcome.kind === 'applied') for (const { message } of works) attempts.succeeded(message.id);
  return outcome;
}
