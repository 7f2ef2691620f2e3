import { createSocket, type Socket } from 'node:dgram';
import { type EncodedMessage, encodeWake, isWakeHeard, type SqlSession, tableNames, wakeLocally } from '@txbox/core/spi';
import { SHARD_SCOPE } from './outbox-store.ts';
import { shardOf } from './sql/outbox-writer.ts';

/** How long the shards' owners are taken to stay the same, milliseconds. */
const OWNERS_LIVE_MS = 5_000;

interface Owner {
  readonly host: string;
  readonly port: number;
}

/** What the sender works with. */
export interface WakePlan {
  readonly tablePrefix: string;
  readonly withSession: <T>(fn: (session: SqlSession) => Promise<T>) => Promise<T>;
  /** Milliseconds, monotonic. */
  readonly now: () => number;
}

/**
 * Tells the owners of shards that there is something to read (P-W7): relays of this process directly, others by one
 * datagram each. Never awaited, never throws, never keeps the process alive; what goes wrong costs at most one poll.
 */
export class WakeSender {
  readonly #plan: WakePlan;
  #owners: ReadonlyMap<number, Owner> = new Map();
  #askedAt = Number.NEGATIVE_INFINITY;
  #asking = false;
  #socket: Socket | undefined;
  #closed = false;

  constructor(plan: WakePlan) {
    this.#plan = plan;
  }

  wake(messages: readonly Pick<EncodedMessage, 'key' | 'id'>[]): void {
    if (this.#closed || messages.length === 0) return;
    const due = !this.#asking && this.#plan.now() - this.#askedAt > OWNERS_LIVE_MS;
    // Most services have nobody to tell: relays listen in another process, or there is none yet.
    if (!due && this.#owners.size === 0 && !isWakeHeard()) return;
    const shards = [...new Set(messages.map(shardOf))];
    wakeLocally(shards);
    this.#send(shards);
    if (due) void this.#askOwners(shards);
  }

  close(): void {
    this.#closed = true;
    this.#dropSocket();
  }

  #send(shards: readonly number[]): void {
    const byOwner = Map.groupBy(shards, (shard) => this.#owners.get(shard));
    for (const [owner, owned] of byOwner) {
      if (!owner) continue;
      this.#open()?.send(encodeWake(owned), owner.port, owner.host, () => undefined);
    }
  }

  /** Off the commit path; the commit that asked is told once more when the answer is there. */
  async #askOwners(shards: readonly number[]): Promise<void> {
    this.#asking = true;
    try {
      const { lease, relay } = tableNames(this.#plan.tablePrefix);
      const rows = await this.#plan.withSession((session) =>
        session.query(
          `SELECT l.slot, r.wake_host, r.wake_port FROM ${lease} l JOIN ${relay} r ON r.id = l.owner WHERE l.scope = ? AND r.wake_port IS NOT NULL`,
          [SHARD_SCOPE],
        ),
      );
      this.#owners = new Map(rows.map(([slot, host, port]) => [Number(slot), { host: String(host), port: Number(port) }]));
      if (!this.#closed) this.#send(shards);
    } catch {
      this.#owners = new Map();
    } finally {
      this.#askedAt = this.#plan.now();
      this.#asking = false;
    }
  }

  #open(): Socket | undefined {
    if (this.#socket) return this.#socket;
    try {
      const socket = createSocket('udp4');
      socket.unref();
      socket.on('error', () => this.#dropSocket());
      this.#socket = socket;
      return socket;
    } catch {
      return undefined;
    }
  }

  #dropSocket(): void {
    const socket = this.#socket;
    this.#socket = undefined;
    try {
      socket?.close();
    } catch {
      // Closed by its own error already.
    }
  }
}
