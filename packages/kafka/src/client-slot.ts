import { TxboxError } from '@txbox/core/spi';

/** A client as far as its connection goes. */
export interface Connectable {
  connect(): Promise<void>;
  disconnect(): Promise<void>;
}

interface Tenant<Client> {
  readonly client: Promise<Client>;
  /** Settled when the client is disconnected. */
  readonly gone: PromiseWithResolvers<void>;
  uses: number;
  retired: boolean;
}

/**
 * One client that is connected when it is first needed and replaced when it is no longer trusted: kafkajs keeps asking
 * on a connection that went silent, and one topic that is gone spoils its metadata of all others.
 */
export class ClientSlot<Client extends Connectable> {
  readonly #create: () => Promise<Client>;
  readonly #isStale: (error: unknown) => boolean;
  readonly #what: string;
  readonly #tenants: Set<Tenant<Client>> = new Set();
  #current: Tenant<Client> | undefined;
  #closed = false;

  /** `isStale`: whether a use that failed so speaks against the client; then the next use gets another one. */
  constructor(what: string, create: () => Promise<Client>, isStale: (error: unknown) => boolean) {
    this.#what = what;
    this.#create = create;
    this.#isStale = isStale;
  }

  /** Runs `fn` on a connected client. Rejects with `STOPPED` after `close`. */
  async use<T>(fn: (client: Client) => Promise<T>): Promise<T> {
    if (this.#closed) throw new TxboxError('STOPPED', `${this.#what} was closed.`);
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

  /** Waits for uses in flight. May be called twice. */
  async close(): Promise<void> {
    this.#closed = true;
    this.renew();
    await Promise.all([...this.#tenants].map((tenant) => tenant.gone.promise));
  }

  #moveIn(): Tenant<Client> {
    const tenant = { client: this.#connect(), gone: Promise.withResolvers<void>(), uses: 0, retired: false };
    this.#tenants.add(tenant);
    tenant.client.catch(() => this.#retire(tenant));
    return tenant;
  }

  async #connect(): Promise<Client> {
    const client = await this.#create();
    try {
      await client.connect();
    } catch (error) {
      await client.disconnect().catch(() => undefined);
      throw error;
    }
    return client;
  }

  #retire(tenant: Tenant<Client>): void {
    tenant.retired = true;
    if (this.#current === tenant) this.#current = undefined;
    this.#leaveIfDone(tenant);
  }

  #leaveIfDone(tenant: Tenant<Client>): void {
    if (!tenant.retired || tenant.uses > 0 || !this.#tenants.has(tenant)) return;
    this.#tenants.delete(tenant);
    void this.#disconnect(tenant);
  }

  async #disconnect({ client, gone }: Tenant<Client>): Promise<void> {
    try {
      await (await client).disconnect();
    } catch {
      // A client that never came to be, or that cannot say goodbye, is gone all the same.
    }
    gone.resolve();
  }
}
