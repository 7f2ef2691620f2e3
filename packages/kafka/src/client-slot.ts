import { TxboxError } from '@txbox/core/spi';

/** A client as far as its connection goes. */
export interface Connectable {
  connect(): Promise<void>;
  disconnect(): Promise<void>;
}

/** A client that was made and not connected yet. */
export interface NewClient<Client extends Connectable> {
  readonly client: Client;
  /** Ends its connections at once; it makes no others. */
  cut(): void;
}

interface Tenant<Client> {
  readonly client: Promise<Client>;
  /** Settled when the client is disconnected. */
  readonly gone: PromiseWithResolvers<void>;
  cut: () => void;
  uses: number;
  /** Replaced: it serves nobody new. */
  retired: boolean;
  leaving: boolean;
}

/** How long uses in flight may take to end, and a client to say goodbye, before its connections are cut. */
const GOODBYE_MS = 3_000;

/**
 * One client that is connected when it is first needed and replaced when it is no longer trusted: kafkajs keeps asking
 * on a connection that went silent, and one topic that is gone spoils its metadata of all others.
 */
export class ClientSlot<Client extends Connectable> {
  readonly #create: () => Promise<NewClient<Client>>;
  readonly #isStale: (error: unknown) => boolean;
  readonly #what: string;
  readonly #tenants: Set<Tenant<Client>> = new Set();
  #current: Tenant<Client> | undefined;
  #closed = false;

  /** `isStale`: whether a use that failed so speaks against the client; then the next use gets another one. */
  constructor(what: string, create: () => Promise<NewClient<Client>>, isStale: (error: unknown) => boolean) {
    this.#what = what;
    this.#create = create;
    this.#isStale = isStale;
  }

  /** Runs `fn` on a connected client. Rejects with `STOPPED` after `close`. */
  async use<T>(fn: (client: Client) => Promise<T>): Promise<T> {
    if (this.#closed)
      throw new TxboxError('STOPPED', `${this.#what} was closed, by the relay that stopped for example: each needs one of its own.`);
    this.#current ??= this.#moveIn();
    const tenant = this.#current;
    tenant.uses += 1;
    try {
      return await fn(await tenant.client);
    } catch (error) {
      if (this.#isStale(error)) this.#retire(tenant);
      throw error;
    } finally {
      tenant.uses -= 1;
      this.#leaveIfDone(tenant);
    }
  }

  /** The next use gets a new client; the present one is let go when its last use has ended. */
  renew(): void {
    if (this.#current) this.#retire(this.#current);
  }

  /** Waits a few seconds for uses in flight, then they reject. May be called twice. */
  async close(): Promise<void> {
    this.#closed = true;
    this.renew();
    const tenants = [...this.#tenants];
    const late = setTimeout(() => {
      for (const tenant of tenants) tenant.cut();
    }, GOODBYE_MS);
    await Promise.all(tenants.map((tenant) => tenant.gone.promise));
    clearTimeout(late);
  }

  #moveIn(): Tenant<Client> {
    const made = this.#create();
    const cut = (): void => void made.then((one) => one.cut()).catch(() => undefined);
    const tenant = { client: connected(made), gone: Promise.withResolvers<void>(), cut, uses: 0, retired: false, leaving: false };
    this.#tenants.add(tenant);
    tenant.client.catch(() => this.#retire(tenant));
    return tenant;
  }

  #retire(tenant: Tenant<Client>): void {
    tenant.retired = true;
    if (this.#current === tenant) this.#current = undefined;
    this.#leaveIfDone(tenant);
  }

  #leaveIfDone(tenant: Tenant<Client>): void {
    if (!tenant.retired || tenant.uses > 0 || tenant.leaving) return;
    tenant.leaving = true;
    void this.#disconnect(tenant);
  }

  async #disconnect(tenant: Tenant<Client>): Promise<void> {
    const late = setTimeout(tenant.cut, GOODBYE_MS);
    try {
      await (await tenant.client).disconnect();
    } catch {
      // A client that never came to be, or that cannot say goodbye, is gone all the same.
    }
    clearTimeout(late);
    tenant.cut();
    this.#tenants.delete(tenant);
    tenant.gone.resolve();
  }
}

async function connected<Client extends Connectable>(made: Promise<NewClient<Client>>): Promise<Client> {
  const { client } = await made;
  try {
    await client.connect();
  } catch (error) {
    await client.disconnect().catch(() => undefined);
    throw error;
  }
  return client;
}
