import { backoffMs, isTxboxError, type Subscription } from '@txbox/core/spi';
import { unavailable } from '../kafkajs-errors.ts';
import { GroupMember } from './kafkajs-member.ts';
import type { MemberContext } from './kafkajs-member-context.ts';

const RESTART_BACKOFF = { baseMs: 200, capMs: 10_000 };
const MISSING_TOPIC_LOOK_MS = 5_000;

/** A subscription: one member of the group after another, for as long as it is wanted. */
export class KafkajsSubscription implements Subscription {
  readonly #context: MemberContext;
  readonly #stopping: AbortController = new AbortController();
  readonly done: Promise<void>;
  #member: GroupMember | undefined;

  constructor(context: MemberContext) {
    this.#context = context;
    this.done = this.#loop();
  }

  async lag(): Promise<bigint | undefined> {
    return await this.#member?.lag();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.done;
  }

  async #loop(): Promise<void> {
    const { clock, report } = this.#context;
    const { signal } = this.#stopping;
    let failures = 0;
    while (!signal.aborted) {
      const member = new GroupMember(this.#context);
      this.#member = member;
      try {
        await this.#runMember(member);
      } catch (error) {
        failures = member.joined ? 1 : failures + 1;
        report(unavailable(error, `Group ${this.#context.subscribe.group} is joined anew`));
      }
      // Two members of one process must not work on the same lane.
      await member.drained();
      await clock.sleep(signal.aborted ? 0 : backoffMs(RESTART_BACKOFF, Math.max(failures, 1)), signal);
    }
  }

  async #runMember(member: GroupMember): Promise<void> {
    const { present, missing } = await this.#sortTopics();
    if (missing.length === 0) return await member.run(present, this.#stopping.signal);
    const ended = new AbortController();
    const found = this.#untilFound(missing, ended.signal);
    try {
      await member.run(present, AbortSignal.any([this.#stopping.signal, found]));
    } finally {
      ended.abort();
    }
  }

  /** One topic that is gone must not stop the others: kafkajs cannot read any while it lacks one. */
  async #sortTopics(): Promise<{ present: string[]; missing: string[] }> {
    const { directory, subscribe, report } = this.#context;
    const errors = new Map<string, unknown>();
    const topics = [...new Set(subscribe.topics)];
    for (const topic of topics) {
      try {
        await directory.partitionsOf(topic);
      } catch (error) {
        if (!isTxboxError(error, 'TOPIC_MISSING') && !isTxboxError(error, 'TOPIC_NOT_AUTHORIZED')) throw error;
        errors.set(topic, error);
      }
    }
    const present = topics.filter((topic) => !errors.has(topic));
    const missing = [...errors.keys()];
    if (present.length === 0) throw errors.get(missing[0] as string);
    for (const error of errors.values()) report(error);
    return { present, missing };
  }

  /** Aborts when one of the topics is there again. */
  #untilFound(topics: readonly string[], ended: AbortSignal): AbortSignal {
    const { directory, clock } = this.#context;
    const found = new AbortController();
    const look = async (): Promise<void> => {
      while (!ended.aborted && !found.signal.aborted) {
        await clock.sleep(MISSING_TOPIC_LOOK_MS, ended);
        const looks = topics.map((topic) => directory.partitionsOf(topic).then(() => found.abort()));
        await Promise.allSettled(looks);
      }
    };
    void look();
    return found.signal;
  }
}
