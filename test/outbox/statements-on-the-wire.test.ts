// Issue 4, cost: in a normal transaction any number of events costs one INSERT, and nothing else goes over the wire.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { FaultProxy, type Filter } from '../faults/proxy.ts';
import { LANES, Placed, SERVERS, startService } from './lane.ts';
import { place, startPoolService } from './mysql2-lane.ts';

const COM_QUERY = 3;

/** Everything that clients ask of a MySQL server, by connection: statements by their text, other commands by their number. */
class CommandTap implements AsyncDisposable {
  #connections: string[][] = [];
  #proxy: FaultProxy | undefined;

  static async start(url: string): Promise<CommandTap> {
    const tap = new CommandTap();
    tap.#proxy = await FaultProxy.start({ target: new URL(url).host, filters: () => tap.#filters() });
    return tap;
  }

  urlOf(url: string): string {
    return Object.assign(new URL(url), { host: this.#proxy?.address }).href;
  }

  /** What was asked in each transaction since it was last forgotten, and outside of all, connection by connection. */
  asked(): { readonly inside: string[][]; readonly outside: string[] } {
    const inside: string[][] = [];
    const outside: string[] = [];
    for (const commands of this.#connections) {
      let open: string[] | undefined;
      for (const command of commands) {
        if (command === 'START TRANSACTION') {
          open = [];
          inside.push(open);
        }
        (open ?? outside).push(command);
        if (command === 'COMMIT') open = undefined;
      }
    }
    return { inside, outside };
  }

  forget(): void {
    for (const commands of this.#connections) commands.length = 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#proxy?.close();
  }

  #filters(): Record<'to-server' | 'to-client', Filter> {
    const commands: string[] = [];
    this.#connections.push(commands);
    let pending = Buffer.alloc(0);
    return {
      'to-client': (bytes) => [{ bytes }],
      'to-server': (bytes) => {
        pending = Buffer.concat([pending, bytes]);
        for (let length = lengthOf(pending); pending.length >= length; length = lengthOf(pending)) {
          // The first packet of each command has number 0; those of the greeting have not.
          if (pending[3] === 0) commands.push(commandIn(pending.subarray(4, length)));
          pending = pending.subarray(length);
        }
        return [{ bytes }];
      },
    };
  }
}

function lengthOf(packets: Buffer): number {
  return packets.length < 4 ? Number.POSITIVE_INFINITY : 4 + packets.readUIntLE(0, 3);
}

function commandIn(payload: Buffer): string {
  if (payload[0] !== COM_QUERY) return `command ${payload[0]}`;
  // Before the text may stand that it has no query attributes.
  const text = payload.subarray(payload[1] === 0 && payload[2] === 1 ? 3 : 1).toString();
  return /^\w+(?: (?:INTO|TRANSACTION) ?\w*| l\.slot)?/.exec(text.replaceAll('`', ''))?.[0] ?? text;
}

/** A service whose transactions write one order and so many events. */
interface Writer {
  write(order: string, events: number): Promise<void>;
  events(): Promise<number>;
  clear(): Promise<void>;
  close(): Promise<void>;
}

type StartWriter = (url: (url: string) => Promise<string>) => Promise<Writer>;

const WRITERS: readonly (readonly [name: string, start: StartWriter])[] = [
  ...LANES.map(([name, server, typeorm]) => {
    const start: StartWriter = async (url) => {
      const service = await startService(server, typeorm, { url });
      return {
        write: (order, events) =>
          service.outbox.transaction(async (tx) => {
            for (let n = 0; n < events; n += 1) tx.add(Placed, { id: `${order}-${n}` });
            await service.orders.insert({ id: order, amount: 1 });
          }),
        events: async () => (await service.database.events()).length,
        clear: () => service.database.clear(),
        close: () => service.close(),
      };
    };
    return [name, start] as const;
  }),
  ...SERVERS.map((server) => {
    const start: StartWriter = async (url) => {
      const service = await startPoolService(server, 'promise', { url });
      return {
        write: (order, events) =>
          service.outbox.transaction(async (tx) => {
            for (let n = 0; n < events; n += 1) tx.add(Placed, { id: `${order}-${n}` });
            await place(tx.connection, order);
          }),
        events: async () => (await service.database.events()).length,
        clear: () => service.database.clear(),
        close: () => service.close(),
      };
    };
    return [`mysql2 on ${server[0]}`, start] as const;
  }),
];

describe.each(WRITERS)('of %s, the server is asked', (_name, start) => {
  let tap: CommandTap;
  let writer: Writer;
  beforeAll(async () => {
    writer = await start(async (url) => {
      tap = await CommandTap.start(url);
      return tap.urlOf(url);
    });
    // The first event of a process looks at the schema.
    await writer.write('first', 1);
  });
  afterAll(async () => {
    await writer.close();
    await tap[Symbol.asyncDispose]();
  });
  beforeEach(async () => {
    await writer.clear();
    tap.forget();
  });

  // Every few seconds a process asks, after a COMMIT and beside it, for relays to wake.
  const expectInside = (expected: string[][]): void => {
    const { inside, outside } = tap.asked();
    expect(inside).toEqual(expected);
    expect(outside.filter((command) => command !== 'SELECT l.slot')).toEqual([]);
    expect(outside.length).toBeLessThanOrEqual(1);
  };

  it.each([1, 10, 500, 4_000])('one INSERT for %i events', async (count) => {
    await writer.write('order', count);
    expectInside([['START TRANSACTION', 'INSERT INTO orders', 'INSERT INTO txbox_outbox', 'COMMIT']]);
    expect(await writer.events()).toBe(count);
  });

  it('nothing more in a transaction without events', async () => {
    await writer.write('order', 0);
    expectInside([['START TRANSACTION', 'INSERT INTO orders', 'COMMIT']]);
  });

  it('as much in each of many transactions at once', async () => {
    const counts = Array.from({ length: 40 }, (_, n) => n % 3);
    await Promise.all(counts.map((count, n) => writer.write(`order-${n}`, count)));
    const withEvents = ['START TRANSACTION', 'INSERT INTO orders', 'INSERT INTO txbox_outbox', 'COMMIT'];
    const without = ['START TRANSACTION', 'INSERT INTO orders', 'COMMIT'];
    const { inside } = tap.asked();
    expectInside(inside.map((commands) => (commands.length === 4 ? withEvents : without)));
    expect(inside.filter((commands) => commands.length === 4)).toHaveLength(counts.filter((count) => count > 0).length);
    expect(inside).toHaveLength(counts.length);
  });
});
