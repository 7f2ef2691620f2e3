export type { OnUnknown } from './batch.ts';
export type { HandlerContext, HandlerFunction } from './handler-context.ts';
export { type DeclaredHandler, Handles, type HandlesDecorator, handlersOf } from './handles.ts';
export type { Inbox, InboxStatus } from './inbox.ts';
export type { HeldMessage, InboxEventMap, InboxEventName, InboxEvents, LanePlace } from './inbox-events.ts';
export type { InboxOptions } from './inbox-options.ts';
export type { LaneProgress } from './lane-batch.ts';
export type { PushedMessage } from './pushed-message.ts';
