import {
  type CommandContext,
  type CommandOption,
  coreComponent,
  type DeadLetterHead,
  type DeadLetterStore,
  deadLetterStore,
  type MigrationComponent,
  messageIdFromBytes,
} from '@txbox/core/spi';
import { archiveRedriven, RELAY_SCOPE } from '@txbox/outbox/store';
import { type ServiceDatabase, withServiceDatabase } from './service-database.ts';

/** Whose dead letters a command is about. */
export const SCOPE_OPTIONS: Readonly<Record<string, CommandOption>> = {
  of: { type: 'string', description: 'whose dead letters: relay', default: RELAY_SCOPE },
};

/** What a command says to whom nothing was meant. */
export const NOTHING_MATCHES = 'no dead letter matches: txbox dead-letters list shows what there is';

/** Where the dead letters of a command lie. */
export interface DeadLetterScope extends ServiceDatabase {
  readonly letters: DeadLetterStore;
}

/** Opens the database, works, closes it. Rejects like {@link withServiceDatabase}. */
export async function withDeadLetters<T>(
  context: CommandContext,
  work: (scope: DeadLetterScope) => Promise<T>,
  components: readonly MigrationComponent[] = [coreComponent],
): Promise<T> {
  return await withServiceDatabase(context, 'dead-letters', components, async ({ database, tablePrefix }) => {
    const archive = (context.config as { relay?: { archive?: unknown } }).relay?.archive ?? false;
    const onRedriven = archive !== false ? archiveRedriven(tablePrefix.tablePrefix) : undefined;
    return await work({ database, letters: deadLetterStore(database, RELAY_SCOPE, tablePrefix.tablePrefix, onRedriven), tablePrefix });
  });
}

/** A dead letter as JSON. */
export function jsonOf(letter: DeadLetterHead): Readonly<Record<string, unknown>> {
  const { place, id, parkedKeyId, topic, key, type, sequence, bytes, partition, publishedAt, attempts, reason, parkedAt, ageMs } = letter;
  return {
    id: messageIdFromBytes(id),
    topic,
    ...keyAsJson(key),
    type,
    sequence,
    bytes,
    partition,
    mayBePublishedSince: publishedAt,
    attempts,
    reason,
    parkedAt,
    ageMs: Math.round(ageMs),
    place,
    alone: key === null || parkedKeyId.equals(id),
  };
}

/** Text where the bytes are text, base64 beside it where they are not. */
export function keyAsJson(key: Buffer | null): Readonly<Record<string, unknown>> {
  const text = key === null ? null : textOf(key);
  return text === undefined ? { key: null, keyBase64: key?.toString('base64') } : { key: text };
}

/** A key for people. */
export function describeKey(key: Buffer | null): string {
  if (key === null) return 'no key';
  return `key ${textOf(key) ?? `base64:${key.toString('base64')}`}`;
}

/** `undefined` when the bytes are no printable text. */
export function textOf(bytes: Buffer): string | undefined {
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    return /[\p{Cc}\p{Cs}\p{Co}\p{Cn}]/u.test(text.replace(/[\t\n\r]/g, '')) ? undefined : text;
  } catch {
    return undefined;
  }
}

/** An age for people. */
export function describeAge(ms: number): string {
  const seconds = Math.round(ms / 1_000);
  if (seconds < 120) return `${seconds} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 120) return `${minutes} min`;
  const hours = Math.round(minutes / 60);
  return hours < 72 ? `${hours} h` : `${Math.round(hours / 24)} d`;
}
