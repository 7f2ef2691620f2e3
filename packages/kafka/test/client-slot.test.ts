import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { ClientSlot, type Connectable, type NewClient } from '../src/client-slot.ts';

class Client implements Connectable {
  connected = 0;
  disconnected = 0;
  /** Never settles but by a cut. */
  readonly stuck: PromiseWithResolvers<void> = Promise.withResolvers();
  readonly #failure: Error | undefined;

  constructor(failure?: Error) {
    this.#failure = failure;
    this.stuck.promise.catch(() => undefined);
  }

  async connect(): Promise<void> {
    if (this.#failure) throw this.#failure;
    this.connected += 1;
  }

  async disconnect(): Promise<void> {
    this.disconnected += 1;
  }
}

function slotOf(...clients: Client[]): { slot: ClientSlot<Client>; made: Client[] } {
  const made: Client[] = [];
  const create = async (): Promise<NewClient<Client>> => {
    const client = clients[made.length] ?? new Client();
    made.push(client);
    return { client, cut: () => client.stuck.reject(new Error('cut')) };
  };
  return { slot: new ClientSlot('It', create, (error) => (error as Error).message === 'stale'), made };
}

const fail = (message: string) => async () => {
  throw new Error(message);
};

describe('a slot', () => {
  it('connects one client, when it is first needed', async () => {
    const { slot, made } = slotOf();
    expect(made).toEqual([]);
    const [a, b] = await Promise.all([slot.use(async (client) => client), slot.use(async (client) => client)]);
    expect([a === b, made.length, a.connected]).toEqual([true, 1, 1]);
  });

  it('replaces a client that met an error which speaks against it, and no other', async () => {
    const { slot, made } = slotOf();
    await expect(slot.use(fail('harmless'))).rejects.toThrow('harmless');
    await slot.use(async () => undefined);
    expect(made.length).toBe(1);
    await expect(slot.use(fail('stale'))).rejects.toThrow('stale');
    await slot.use(async () => undefined);
    expect([made.length, made[0]?.disconnected, made[1]?.disconnected]).toEqual([2, 1, 0]);
  });

  it('lets a replaced client finish what it does', async () => {
    const { slot, made } = slotOf();
    const busy = Promise.withResolvers<void>();
    const using = slot.use(async () => await busy.promise);
    await expect(slot.use(fail('stale'))).rejects.toThrow('stale');
    await slot.use(async (client) => expect(client).not.toBe(made[0]));
    expect(made[0]?.disconnected).toBe(0);
    busy.resolve();
    await using;
    await expect.poll(() => made[0]?.disconnected).toBe(1);
  });

  it('tries another client after one that could not connect', async () => {
    const { slot, made } = slotOf(new Client(new Error('unreachable')));
    await expect(slot.use(async () => 1)).rejects.toThrow('unreachable');
    expect(await slot.use(async () => 2)).toBe(2);
    expect(made.length).toBe(2);
  });

  it('waits for uses in flight when it is closed, and serves nobody afterwards', async () => {
    const { slot, made } = slotOf();
    const busy = Promise.withResolvers<void>();
    const using = slot.use(async () => await busy.promise);
    let closed = false;
    const closing = slot.close().then(() => {
      closed = true;
    });
    await expect(slot.use(async () => 1)).rejects.toMatchObject({ code: 'STOPPED' });
    expect(closed).toBe(false);
    busy.resolve();
    await Promise.all([using, closing, slot.close()]);
    expect(made[0]?.disconnected).toBe(1);
  });

  it('cuts the connections of a client that would not end', async () => {
    vi.useFakeTimers();
    onTestFinished(() => {
      vi.useRealTimers();
    });
    const { slot } = slotOf();
    const using = slot.use(async (client) => await client.stuck.promise).catch((error: Error) => error.message);
    const closing = slot.close();
    await vi.advanceTimersByTimeAsync(3_000);
    expect(await using).toBe('cut');
    await closing;
  });
});
