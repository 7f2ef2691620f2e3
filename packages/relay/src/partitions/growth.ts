import { type Clock, instantOfSqlTime, isTxboxError, type Publisher, type TopicAdmin, TxboxError } from '@txbox/core/spi';
import type { PinNote, TopicPin, TopicPins, TopicSwitch, TopicSwitcher } from '@txbox/outbox/store';

/** What giving a topic more partitions works with. */
export interface GrowthPlan {
  readonly pins: Pick<TopicPins, 'pins'> & TopicSwitcher;
  readonly publisher: Pick<Publisher, 'describeTopic' | 'name'>;
  readonly admin: TopicAdmin;
  readonly clock: Clock;
  readonly actor: string;
  /** How long after the switch was noted somebody may still send by the count before, milliseconds. */
  readonly settleMs: number;
  readonly signal: AbortSignal;
  readonly onProgress: (step: GrowthStep) => void;
}

/** What is asked for. */
export interface GrowthWish {
  readonly topic: string;
  /** The count that the topic is to have; may be left out to go on with a switch that was begun. */
  readonly partitions?: number;
  /** Consumer groups that are waited for; the same. */
  readonly groups?: readonly string[];
  /** Whether the broker is to be given the partitions that it lacks. */
  readonly create: boolean;
}

/** What a consumer group has yet to read before the topic can go on. */
export interface GroupLag {
  readonly group: string;
  /** `null`: it has stored no offset, though there is something to read. */
  readonly messages: bigint | null;
}

/** How far a switch has come. */
export type GrowthStep =
  | { readonly step: 'creating' }
  | { readonly step: 'settling'; readonly leftMs: number }
  | { readonly step: 'consuming'; readonly behind: readonly GroupLag[] }
  | { readonly step: 'away'; readonly code: string; readonly message: string };

/** What was found before anything is changed. */
export interface GrowthLook {
  readonly pin: TopicPin;
  /** Partitions that the broker has. */
  readonly brokerPartitions: number;
  readonly to: number;
  readonly groups: readonly string[];
  readonly behind: readonly GroupLag[];
}

const LOOK_MS = 500;
/** Pause after a failure that may pass. */
const AWAY_MS = 2_000;

/**
 * Gives a topic more partitions so that no event overtakes another of its key (P-R12):
 *
 * ```
 * pinned n ── noted ──► held ── settleMs ──► ends noted ── groups are past them ──► pinned m, the next generation
 *    ▲                   └────────────── given up ──────────────┘
 *    └───────────────────────────────────────┘
 * ```
 *
 * Relays look at the pins before each renewal of their leases and hold a topic that is being switched. Once none of them can still
 * be sending by the count before, the ends of the old partitions are final. Each step is one conditional UPDATE of the topic's
 * pin, so it can be killed anywhere, gone on with by anybody, and done by two at once.
 */
export class PartitionGrowth {
  readonly #plan: GrowthPlan;

  constructor(plan: GrowthPlan) {
    this.#plan = plan;
  }

  /** Changes nothing. Rejects with `GROW_REFUSED` and all problems, or as the publisher does. */
  async look({ topic, partitions, groups, create }: GrowthWish): Promise<GrowthLook> {
    const pin = await this.#pinOf(topic);
    const { partitions: brokerPartitions } = await this.#plan.publisher.describeTopic(topic);
    const begun = pin.switching;
    const to = partitions ?? begun?.partitions;
    const named = groups ?? begun?.groups;
    const problems: string[] = [];
    if (to === undefined) problems.push('--to must say how many partitions it is to have');
    if (named === undefined) problems.push('--groups must name its consumer groups, or --without-groups say that it has none');
    if (begun && to !== undefined && to !== begun.partitions)
      problems.push(`it is on its way to ${begun.partitions} partitions already: go on with that, or --cancel it`);
    if (begun && named !== undefined && !isSameSet(named, begun.groups))
      problems.push(`it waits for ${listed(begun.groups)} already: go on with that, or --cancel it`);
    if (to !== undefined && to <= pin.partitions)
      problems.push(`--to must be more than the ${pin.partitions} partitions that its keys are spread over now`);
    if (to !== undefined && brokerPartitions < to && !create)
      problems.push(`the broker has ${brokerPartitions} partitions: create them, or let --create do it`);
    const behind = await this.#lagsOf(pin, named ?? []);
    for (const { group, messages } of behind)
      if (messages === null) problems.push(`group ${group} has stored no offset for it: its name is wrong, or it does not read the topic`);
    if (problems.length > 0) {
      throw new TxboxError('GROW_REFUSED', `Topic ${topic} is not given more partitions: ${problems.join('; ')}.`, {
        details: { topic, problems },
      });
    }
    return { pin, brokerPartitions, to: to as number, groups: named as readonly string[], behind };
  }

  /** Goes on from wherever it is. Resolves to the pin in the end: the new one, or as it is when it was interrupted or given up. */
  async run({ pin, to, groups, brokerPartitions }: GrowthLook): Promise<TopicPin> {
    const { signal, onProgress, admin } = this.#plan;
    const { topic } = pin;
    if (brokerPartitions < to) {
      onProgress({ step: 'creating' });
      await admin.createPartitions(topic, to);
    }
    let now = pin;
    if (!now.switching) {
      const begun = { ...now, switching: { partitions: to, groups, since: null, offsets: null } };
      await this.#change(now, begun, 'grow-begin');
    }
    while (!signal.aborted) {
      now = await this.#pinOf(topic);
      if (!now.switching) return now;
      const pauseMs = await this.#step(now, now.switching).catch((error: unknown) => this.#away(error));
      if (pauseMs > 0) await this.#plan.clock.sleep(pauseMs, signal);
    }
    return now;
  }

  /** Gives up: the topic goes on with the count it has. Rejects with `GROW_REFUSED` when it is not being switched. */
  async cancel(topic: string): Promise<TopicPin> {
    for (;;) {
      const pin = await this.#pinOf(topic);
      if (!pin.switching) {
        throw new TxboxError('GROW_REFUSED', `Topic ${topic} is not being given more partitions: there is nothing to cancel.`, {
          details: { topic },
        });
      }
      const next = { ...pin, switching: null };
      if (await this.#change(pin, next, 'grow-cancel')) return next;
    }
  }

  /** One step; the milliseconds until the next. */
  async #step(pin: TopicPin, switching: TopicSwitch): Promise<number> {
    const { pins, admin, settleMs, onProgress } = this.#plan;
    const change = (what: Partial<TopicSwitch>): Promise<boolean> => this.#change(pin, { ...pin, switching: { ...switching, ...what } });
    // After the note was committed: whoever looks from now on sees it.
    if (switching.since === null) return (await change({ since: await pins.databaseTime() })) ? 0 : LOOK_MS;
    if (switching.offsets === null) {
      const leftMs = settleMs - (instantOfSqlTime(await pins.databaseTime()) - instantOfSqlTime(switching.since));
      if (leftMs > 0) {
        onProgress({ step: 'settling', leftMs });
        return Math.min(leftMs, LOOK_MS);
      }
      const bounds = await admin.boundsOf(pin.topic);
      const offsets = Array.from({ length: pin.partitions }, (_, partition) => {
        const known = bounds.get(partition);
        if (known) return known.high;
        // An end that is guessed would not be waited for.
        throw new TxboxError('BROKER_UNAVAILABLE', `The broker does not say where partition ${partition} of ${pin.topic} ends.`);
      });
      return (await change({ offsets })) ? 0 : LOOK_MS;
    }
    const behind = await this.#lagsOf(pin, switching.groups);
    if (behind.length > 0) {
      onProgress({ step: 'consuming', behind });
      return LOOK_MS;
    }
    const { partitions } = await this.#plan.publisher.describeTopic(pin.topic);
    if (partitions < switching.partitions) {
      onProgress({ step: 'creating' });
      return LOOK_MS;
    }
    const next = { ...pin, partitions: switching.partitions, generation: pin.generation + 1, switching: null };
    await this.#change(pin, next, 'grow-end');
    return 0;
  }

  /** Groups that have yet to read something before the ends of the old partitions. */
  async #lagsOf({ topic, partitions, switching }: TopicPin, groups: readonly string[]): Promise<GroupLag[]> {
    const { admin } = this.#plan;
    const behind: GroupLag[] = [];
    if (groups.length === 0) return behind;
    const bounds = await admin.boundsOf(topic);
    for (const group of groups) {
      const stored = await admin.storedOffsets(group, topic);
      let messages = 0n;
      let records = 0n;
      for (let partition = 0; partition < partitions; partition++) {
        const { low, high } = bounds.get(partition) ?? { low: 0n, high: 0n };
        const end = switching?.offsets?.[partition] ?? high;
        // What the broker has deleted already nobody can read any more.
        const at = largest(stored.get(partition) ?? low, low);
        records += high - low;
        if (end > at) messages += end - at;
      }
      if (stored.size === 0 && records > 0n) behind.push({ group, messages: null });
      else if (messages > 0n) behind.push({ group, messages });
    }
    return behind;
  }

  async #pinOf(topic: string): Promise<TopicPin> {
    const pin = (await this.#plan.pins.pins()).find((one) => one.topic === topic);
    if (pin) return pin;
    throw new TxboxError(
      'GROW_REFUSED',
      `Nothing was published to topic ${topic} yet, so no count is pinned: create the partitions at the broker, and the relay takes them all.`,
      { details: { topic } },
    );
  }

  async #change(known: TopicPin, next: TopicPin, action?: PinNote['action']): Promise<boolean> {
    const { pins, actor } = this.#plan;
    return await pins.changePin(known, next, action && { action, actor });
  }

  #away(error: unknown): number {
    if (!isTxboxError(error) || !error.retryable) throw error;
    this.#plan.onProgress({ step: 'away', code: error.code, message: error.message });
    return AWAY_MS;
  }
}

function isSameSet(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((name) => other.includes(name));
}

function largest(one: bigint, other: bigint): bigint {
  return one > other ? one : other;
}

function listed(names: readonly string[]): string {
  return names.length === 0 ? 'no group' : `group ${names.join(', ')}`;
}
