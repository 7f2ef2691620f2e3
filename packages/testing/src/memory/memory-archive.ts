import { sqlTimeOf } from '@txbox/core/spi';
import type { ArchivedMessage, ArchivedTopic, ArchiveFilter, ArchiveSpan, OutboxArchive } from '@txbox/outbox/store';

/** A message as it is put in; place and time come from the archive. */
export type NewArchivedMessage = Omit<ArchivedMessage, 'place' | 'publishedAt'>;

/** Published messages in memory. */
export class MemoryArchive implements OutboxArchive {
  readonly #now: () => number;
  #messages: ArchivedMessage[] = [];
  #place = 0;

  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  /** Appends a message. */
  add(message: NewArchivedMessage, publishedAt: number = this.#now()): void {
    this.#place += 1;
    this.#messages.push({ ...message, place: this.#place, publishedAt: sqlTimeOf(publishedAt) });
  }

  /** Makes messages as old as that. */
  backdate(ids: readonly Buffer[], ageMs: number): void {
    const publishedAt = sqlTimeOf(this.#now() - ageMs);
    this.#messages = this.#messages.map((message) => (ids.some((id) => id.equals(message.id)) ? { ...message, publishedAt } : message));
  }

  span({ since, until }: ArchiveFilter): Promise<ArchiveSpan> {
    const found = this.#messages.filter((message) => matches(message, { ...(since && { since }), ...(until && { until }) }));
    const [first] = found;
    return Promise.resolve(first ? { after: first.place - 1, upTo: found.at(-1)?.place ?? 0 } : { after: 0, upTo: 0 });
  }

  count(filter: ArchiveFilter, span: ArchiveSpan): Promise<{ topics: ArchivedTopic[]; upTo: number }> {
    const topics = [...Map.groupBy(this.#within(filter, span), ({ topic }) => topic)].map(([topic, messages]) => {
      const times = messages.map(({ publishedAt }) => publishedAt).sort();
      return {
        topic,
        messages: messages.length,
        bytes: messages.reduce((sum, message) => sum + message.bytes, 0),
        firstPublishedAt: times[0] as string,
        lastPublishedAt: times.at(-1) as string,
      };
    });
    return Promise.resolve({ topics, upTo: span.upTo });
  }

  read(filter: ArchiveFilter, span: ArchiveSpan, limit: number, bytes: number): Promise<{ messages: ArchivedMessage[]; upTo: number }> {
    const all = this.#within(filter, span);
    let sum = 0;
    const beyond = all.findIndex((message, index) => {
      sum += message.bytes;
      return index >= limit || (index > 0 && sum > bytes);
    });
    if (beyond < 0) return Promise.resolve({ messages: all, upTo: span.upTo });
    return Promise.resolve({ messages: all.slice(0, beyond), upTo: all[beyond - 1]?.place ?? span.after });
  }

  prune(ageMs: number, limit: number): Promise<number> {
    const before = sqlTimeOf(this.#now() - ageMs);
    const old = this.#messages
      .filter(({ publishedAt }) => publishedAt < before)
      .toSorted((one, other) => (one.publishedAt < other.publishedAt ? -1 : 1))
      .slice(0, limit);
    this.#messages = this.#messages.filter((message) => !old.includes(message));
    return Promise.resolve(old.length);
  }

  #within(filter: ArchiveFilter, { after, upTo }: ArchiveSpan): ArchivedMessage[] {
    return this.#messages.filter((message) => message.place > after && message.place <= upTo && matches(message, filter));
  }
}

function matches(message: ArchivedMessage, { id, topic, key, type, since, until }: ArchiveFilter): boolean {
  return (
    (id === undefined || message.id.equals(id)) &&
    (topic === undefined || message.topic === topic) &&
    (key === undefined || message.key?.equals(key) === true) &&
    (type === undefined || message.type === type) &&
    (since === undefined || message.publishedAt >= since) &&
    (until === undefined || message.publishedAt < until)
  );
}
