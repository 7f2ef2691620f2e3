import {
  type AuditNote,
  type DeadLetter,
  type DeadLetterFilter,
  type DeadLetterHead,
  type DeadLetterStore,
  gapMarkerHeaders,
  newMessageIdBytes,
  type ParkedCount,
  sqlTimeOf,
} from '@txbox/core/spi';

/** A dead letter as it is put in; place and age come from the store. */
export type NewDeadLetter = Omit<DeadLetter, 'place' | 'parkedAt' | 'ageMs' | 'quietMs'>;

/** Parked keys and their dead letters in memory. Each call is one transaction. */
export class MemoryDeadLetters implements DeadLetterStore {
  readonly #letters: Map<string, DeadLetter & { readonly at: number }> = new Map();
  readonly #keys: Set<string> = new Set();
  readonly #sentAt: Map<string, number> = new Map();
  readonly #now: () => number;
  #place = 0;
  /** What operators did, oldest first. */
  readonly audit: (AuditNote & { readonly messageId: Buffer })[] = [];

  readonly #onRedriven: (letter: DeadLetter) => void;

  constructor(now: () => number = Date.now, onRedriven: (letter: DeadLetter) => void = () => undefined) {
    this.#now = now;
    this.#onRedriven = onRedriven;
  }

  get anyParked(): boolean {
    return this.#keys.size > 0;
  }

  isParked(parkedKeyId: Buffer): boolean {
    return this.#keys.has(hex(parkedKeyId));
  }

  /** Parks the letter's key and appends the letter. */
  add(letter: NewDeadLetter): void {
    const at = this.#now();
    this.#place += 1;
    this.#keys.add(hex(letter.parkedKeyId));
    this.#letters.set(hex(letter.id), { ...letter, place: this.#place, parkedAt: sqlTimeOf(at), ageMs: 0, quietMs: 0, at });
  }

  count(): Promise<ParkedCount> {
    return Promise.resolve({ keys: this.#keys.size, deadLetters: this.#letters.size });
  }

  list(filter: DeadLetterFilter, after: number, limit: number): Promise<DeadLetterHead[]> {
    const found = this.#sorted().filter((letter) => letter.place > after && matches(letter, filter));
    return Promise.resolve(found.slice(0, limit).map(({ headers, payload, aggregateId, aggregateType, ...head }) => head));
  }

  front(parkedKeyId: Buffer, limit: number, bytes: number): Promise<DeadLetter[]> {
    const letters = this.#sorted().filter((letter) => letter.parkedKeyId.equals(parkedKeyId));
    let sum = 0;
    const beyond = letters.findIndex((letter, index) => {
      sum += letter.bytes;
      return index > 0 && sum > bytes;
    });
    return Promise.resolve(letters.slice(0, beyond < 0 ? limit : Math.min(limit, beyond)));
  }

  find(id: Buffer): Promise<DeadLetter | undefined> {
    return Promise.resolve(this.#sorted().find((letter) => letter.id.equals(id)));
  }

  beginSending(letters: readonly DeadLetterHead[]): Promise<void> {
    const now = this.#now();
    for (const { id, parkedKeyId } of letters) {
      this.#sentAt.set(hex(parkedKeyId), now);
      const letter = this.#letters.get(hex(id));
      if (letter) this.#letters.set(hex(id), { ...letter, publishedAt: letter.publishedAt ?? sqlTimeOf(now) });
    }
    return Promise.resolve();
  }

  refused({ id, publishedAt }: DeadLetterHead, reason: string): Promise<void> {
    const letter = this.#letters.get(hex(id));
    if (letter) this.#letters.set(hex(id), { ...letter, attempts: letter.attempts + 1, reason, publishedAt });
    return Promise.resolve();
  }

  remove(letters: readonly DeadLetterHead[], note: AuditNote): Promise<number> {
    const there = letters.filter(({ id }) => {
      const letter = this.#letters.get(hex(id));
      if (letter && note.action === 'redrive') this.#onRedriven(letter);
      return this.#letters.delete(hex(id));
    });
    for (const { id } of there) this.audit.push({ ...note, messageId: id });
    for (const { parkedKeyId } of letters.slice(0, 1)) this.#unparkIfEmpty(parkedKeyId);
    return Promise.resolve(there.length);
  }

  async takeOut(head: DeadLetterHead, note: AuditNote): Promise<boolean> {
    const letter = this.#letters.get(hex(head.id));
    if (!letter?.parkedKeyId.equals(head.parkedKeyId)) return false;
    const { sequence, key, place } = letter;
    this.#letters.delete(hex(head.id));
    if (sequence !== null) {
      const headers = gapMarkerHeaders(sequence);
      const id = newMessageIdBytes();
      const marker = { type: null, aggregateType: null, aggregateId: null, sequence: null, headers, payload: Buffer.alloc(0), attempts: 0 };
      const reason = `gap marker for number ${sequence}`;
      this.#letters.set(hex(id), { ...letter, ...marker, id, reason, bytes: headers.length + (key?.length ?? 0) });
    }
    if (note.action === 'skip') {
      this.#keys.add(hex(head.id));
      this.#place += 1;
      this.#letters.set(hex(head.id), { ...letter, parkedKeyId: head.id, place: sequence === null ? place : this.#place });
    }
    this.audit.push({ ...note, messageId: head.id });
    this.#unparkIfEmpty(head.parkedKeyId);
    return true;
  }

  #unparkIfEmpty(parkedKeyId: Buffer): void {
    if (!this.#sorted().some((letter) => letter.parkedKeyId.equals(parkedKeyId))) this.#keys.delete(hex(parkedKeyId));
  }

  #sorted(): DeadLetter[] {
    const now = this.#now();
    const letters = [...this.#letters.values()].map(({ at, ...letter }) => {
      const sentAt = this.#sentAt.get(hex(letter.parkedKeyId)) ?? at;
      return { ...letter, ageMs: now - at, quietMs: now - Math.max(at, sentAt) };
    });
    return letters.sort((a, b) => a.place - b.place);
  }
}

function matches(letter: DeadLetterHead, { id, parkedKeyId, topic, key, type, reason, since, until }: DeadLetterFilter): boolean {
  return (
    (id === undefined || letter.id.equals(id)) &&
    (parkedKeyId === undefined || letter.parkedKeyId.equals(parkedKeyId)) &&
    (topic === undefined || letter.topic === topic) &&
    (key === undefined || letter.key?.equals(key) === true) &&
    (type === undefined || letter.type === type) &&
    (reason === undefined || letter.reason?.toLowerCase().includes(reason.toLowerCase()) === true) &&
    (since === undefined || letter.parkedAt >= since) &&
    (until === undefined || letter.parkedAt < until)
  );
}

function hex(id: Buffer): string {
  return id.toString('hex');
}
