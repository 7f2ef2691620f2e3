import { type Delivery, type DeliveryBatch, type SubscribeOptions, type Subscription, systemClock, TxboxError } from '@txbox/core/spi';

/** A lane as its group sees it. */
interface Place {
  readonly topic: string;
  readonly partition: number;
  nextOffset: number;
  holder: Hold | undefined;
}

/** A lane in a member's hands. */
interface Hold {
  readonly member: MemoryMember;
  readonly lost: AbortController;
}

/** Pause before a batch is delivered again that ended without a checkpoint. */
const REDELIVERY_PAUSE_MS = 5;

/** A consumer group in memory: who holds which lane, and how far the group has come in each. */
export class MemoryGroup {
  readonly name: string;
  readonly #log: (topic: string) => Delivery[][];
  readonly #places: Map<string, Place> = new Map();
  readonly #members: MemoryMember[] = [];

  constructor(name: string, log: (topic: string) => Delivery[][]) {
    this.name = name;
    this.#log = log;
  }

  join(options: SubscribeOptions): Subscription {
    const member = new MemoryMember(this, options);
    this.#members.push(member);
    this.#balance();
    return member;
  }

  leave(member: MemoryMember): void {
    const at = this.#members.indexOf(member);
    if (at >= 0) this.#members.splice(at, 1);
    for (const place of this.placesOf(member)) this.#free(place);
    this.#balance();
  }

  expel(): void {
    for (const place of this.#places.values()) {
      const former = place.holder?.member;
      this.#free(place);
      const other = this.#members.find((member) => member !== former && member.topics.includes(place.topic));
      if (other) this.#take(place, other);
    }
    this.wake();
  }

  /** Looks for work: after an append, a change of hands, a batch's end. */
  wake(): void {
    for (const member of this.#members) member.pump();
  }

  /** Called when a batch has ended: a lane that was told to go is free now. */
  settled(place: Place, hold: Hold): void {
    if (place.holder === hold && hold.lost.signal.aborted) this.#free(place);
    this.#balance();
  }

  placesOf(member: MemoryMember): Place[] {
    return [...this.#places.values()].filter((place) => place.holder?.member === member);
  }

  recordsFrom(place: Place, limit: number): Delivery[] {
    return (this.#log(place.topic)[place.partition] ?? []).slice(place.nextOffset, place.nextOffset + limit);
  }

  lag(place: Place): number {
    return (this.#log(place.topic)[place.partition]?.length ?? 0) - place.nextOffset;
  }

  #balance(): void {
    for (const topic of new Set(this.#members.flatMap((member) => member.topics))) {
      const wanting = this.#members.filter((member) => member.topics.includes(topic));
      const places = this.#log(topic).map((_, partition) => this.#place(topic, partition));
      const held = (member: MemoryMember): Place[] => places.filter((place) => place.holder?.member === member);
      const ranked = wanting.toSorted((a, b) => held(b).length - held(a).length);
      for (const [rank, member] of ranked.entries()) {
        const share = Math.floor(places.length / ranked.length) + (rank < places.length % ranked.length ? 1 : 0);
        for (const place of held(member).slice(share)) {
          place.holder?.lost.abort();
          if (!member.isRunning(place)) this.#free(place);
        }
      }
      for (const place of places.filter((one) => one.holder === undefined)) {
        const free = wanting.filter((member) => !member.isRunning(place));
        const [poorest] = free.toSorted((a, b) => held(a).length - held(b).length);
        if (poorest) this.#take(place, poorest);
      }
    }
    this.wake();
  }

  #place(topic: string, partition: number): Place {
    const key = `${partition}/${topic}`;
    const known = this.#places.get(key);
    if (known) return known;
    const place: Place = { topic, partition, nextOffset: 0, holder: undefined };
    this.#places.set(key, place);
    return place;
  }

  #take(place: Place, member: MemoryMember): void {
    place.holder = { member, lost: new AbortController() };
  }

  #free(place: Place): void {
    place.holder?.lost.abort();
    place.holder = undefined;
  }
}

/** A member at work: one batch of a lane at a time, lanes side by side. */
class MemoryMember implements Subscription {
  readonly topics: readonly string[];
  readonly done: Promise<void>;
  readonly #group: MemoryGroup;
  readonly #options: SubscribeOptions;
  readonly #running: Map<Place, Promise<void>> = new Map();
  readonly #end: () => void;
  #stopping: Promise<void> | undefined;

  constructor(group: MemoryGroup, options: SubscribeOptions) {
    this.#group = group;
    this.#options = options;
    this.topics = options.topics;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.done = promise;
    this.#end = resolve;
  }

  isRunning(place: Place): boolean {
    return this.#running.has(place);
  }

  pump(): void {
    if (this.#stopping) return;
    for (const place of this.#group.placesOf(this)) {
      const hold = place.holder;
      if (!hold || hold.lost.signal.aborted || this.#running.has(place)) continue;
      const deliveries = this.#group.recordsFrom(place, this.#options.batchSize);
      if (deliveries.length > 0) this.#running.set(place, this.#run(place, hold, deliveries));
    }
  }

  lag(): Promise<bigint | undefined> {
    return Promise.resolve(BigInt(this.#group.placesOf(this).reduce((sum, place) => sum + this.#group.lag(place), 0)));
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#leave();
    return this.#stopping;
  }

  async #leave(): Promise<void> {
    for (const place of this.#group.placesOf(this)) place.holder?.lost.abort();
    await Promise.all(this.#running.values());
    this.#group.leave(this);
    this.#end();
  }

  async #run(place: Place, hold: Hold, deliveries: readonly Delivery[]): Promise<void> {
    const began = place.nextOffset;
    try {
      await this.#options.onBatch(this.#batch(place, hold, deliveries));
    } catch (error) {
      this.#report(error);
    }
    if (place.nextOffset === began) await systemClock.sleep(REDELIVERY_PAUSE_MS);
    this.#running.delete(place);
    this.#group.settled(place, hold);
  }

  #batch(place: Place, hold: Hold, deliveries: readonly Delivery[]): DeliveryBatch {
    const refuseLost = (): void => {
      if (place.holder === hold) return;
      const { topic, partition } = place;
      throw new TxboxError(
        'ASSIGNMENT_LOST',
        `Partition ${partition} of ${topic} is no longer assigned to this member of group ${this.#group.name}.`,
        {
          details: { topic, partition },
        },
      );
    };
    return {
      topic: place.topic,
      partition: place.partition,
      deliveries,
      signal: hold.lost.signal,
      heartbeat: async () => refuseLost(),
      checkpoint: async (offset) => {
        refuseLost();
        place.nextOffset = Math.max(place.nextOffset, Number(offset) + 1);
      },
    };
  }

  #report(error: unknown): void {
    try {
      this.#options.onError?.(error);
    } catch {
      // A listener that throws is not the source's business.
    }
  }
}
