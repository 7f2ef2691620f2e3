export { inboxOn } from './inbox.ts';
export { type ResolvedInboxOptions, resolveInboxOptions } from './inbox-options.ts';
export type { InboxStore, RecordOutcome } from './inbox-store.ts';
export { inboxComponent } from './migrations/inbox-component.ts';
export { inboxStore } from './sql/inbox-store.ts';
